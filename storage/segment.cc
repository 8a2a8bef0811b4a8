#include "storage/segment.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cairn/error.h"

#include "base/bytes.h"
#include "storage/codec_kernels/codec_kernels.h"

namespace cairn::storage {
namespace {

constexpr unsigned kMaxBlockRowsLog2 = 16;
constexpr std::uint8_t kZstdFlag = 1;

class EntryChecker {
 public:
  EntryChecker(const std::string& name, std::size_t number)
      : name_(name + ": vectors: segment " + std::to_string(number) + ": ") {}

  void expect(bool condition, const std::string& what) const {
    if (!condition) throw Error(ErrorCode::corrupt, name_ + what);
  }
  void expect_equal(std::uint64_t found, std::uint64_t expected, const char* what) const {
    expect(found == expected, std::string(what) + " is " + std::to_string(found) + ", expected " +
                                  std::to_string(expected));
  }

 private:
  std::string name_;
};

bool is_stored_encoding(std::uint8_t encoding) {
  return encoding >= static_cast<std::uint8_t>(VectorEncoding::constant) &&
         encoding <= static_cast<std::uint8_t>(VectorEncoding::delta16);
}

Segment decode_entry(base::ByteReader& reader, std::size_t dim, const EntryChecker& checker) {
  Segment segment;
  segment.offset = reader.u64();
  segment.bytes = reader.u64();
  segment.first_block = reader.u64();
  segment.rows = reader.u32();
  const std::uint8_t encoding = reader.u8();
  const std::uint8_t flags = reader.u8();
  segment.block_rows_log2 = reader.u8();
  const std::uint8_t reserved = reader.u8();
  segment.base = static_cast<std::int32_t>(reader.u32());
  segment.num_exceptions = reader.u32();
  segment.max_error = reader.f64();
  segment.mean_error = reader.f64();
  const std::uint64_t more_reserved = reader.u64();

  checker.expect(is_stored_encoding(encoding), "unknown encoding " + std::to_string(encoding));
  segment.encoding = static_cast<VectorEncoding>(encoding);
  segment.uses_zstd = flags == kZstdFlag;
  const bool may_use_zstd =
      segment.encoding != VectorEncoding::constant && segment.encoding != VectorEncoding::exponent;
  checker.expect(flags == 0 || (flags == kZstdFlag && may_use_zstd),
                 "flags are " + std::to_string(flags));
  checker.expect(reserved == 0 && more_reserved == 0, "reserved bytes are not zero");
  checker.expect(segment.block_rows_log2 <= kMaxBlockRowsLog2,
                 "block_rows_log2 is " + std::to_string(segment.block_rows_log2) +
                     ", expected at most " + std::to_string(kMaxBlockRowsLog2));
  const bool is_error_valid = std::isfinite(segment.max_error) && segment.max_error >= 0 &&
                              std::isfinite(segment.mean_error) && segment.mean_error >= 0;
  checker.expect(is_error_valid, "error is not a finite number >= 0");
  const std::uint64_t block_bytes = segment.block_rows() * dim * sizeof(float);
  checker.expect(
      !segment.has_block_ends() || segment.block_rows_log2 == 0 || block_bytes <= kMaxUnpackedBytes,
      "blocks of " + std::to_string(block_bytes) + " bytes, expected at most " +
          std::to_string(kMaxUnpackedBytes));
  return segment;
}

void check_base(const Segment& segment, const EntryChecker& checker) {
  const std::int64_t base = segment.base;
  std::int64_t low = 0;
  std::int64_t high = 0;
  if (segment.encoding == VectorEncoding::int8 || segment.encoding == VectorEncoding::int16) {
    // Every code gives an integer that float32 holds.
    high = (1 << 24) - (segment.encoding == VectorEncoding::int8 ? 255 : 65535);
    low = -(1 << 24);
  } else if (segment.encoding == VectorEncoding::decimal) {
    high = kMaxFirstPower;
  }
  checker.expect(base >= low && base <= high, "base is " + std::to_string(base) + ", expected " +
                                                  std::to_string(low) + " to " +
                                                  std::to_string(high));
  const std::uint32_t max_exceptions =
      segment.encoding == VectorEncoding::decimal ? kernels::kMaxExceptions : 0;
  checker.expect(segment.num_exceptions <= max_exceptions, std::to_string(segment.num_exceptions) +
                                                               " exceptions, expected at most " +
                                                               std::to_string(max_exceptions));
}

// The size that follows from the rest; of blocks of different sizes at least the preamble.
void check_bytes(const Segment& segment, std::size_t dim, const EntryChecker& checker) {
  const std::uint64_t preamble = segment.preamble_bytes(dim);
  if (segment.has_block_ends()) {
    checker.expect(segment.bytes >= preamble, "bytes are " + std::to_string(segment.bytes) +
                                                  ", expected at least " +
                                                  std::to_string(preamble));
    return;
  }
  std::uint64_t expected = preamble;
  if (segment.num_blocks() > 0) {
    const std::size_t last = segment.num_blocks() - 1;
    expected += last * plain_block_bytes(segment.encoding, dim, segment.block_rows()) +
                plain_block_bytes(segment.encoding, dim, segment.rows_of_block(last));
  }
  checker.expect_equal(segment.bytes, expected, "bytes");
}

std::uint64_t align_segment(std::uint64_t offset) {
  return (offset + kSegmentAlignment - 1) / kSegmentAlignment * kSegmentAlignment;
}

}  // namespace

std::size_t Segment::num_blocks() const noexcept {
  if (encoding == VectorEncoding::constant) return 0;
  return (rows + block_rows() - 1) >> block_rows_log2;
}

std::size_t Segment::rows_of_block(std::size_t block) const noexcept {
  return std::min(block_rows(), rows - (block << block_rows_log2));
}

bool Segment::has_block_ends() const noexcept {
  return uses_zstd || encoding == VectorEncoding::exponent;
}

std::size_t Segment::preamble_bytes(std::size_t dim) const noexcept {
  if (encoding == VectorEncoding::constant) return dim * sizeof(float);
  return sizeof(std::uint32_t) * (num_exceptions + (has_block_ends() ? num_blocks() : 0));
}

std::size_t Segment::num_checksums(std::size_t dim) const noexcept {
  return num_blocks() + (preamble_bytes(dim) > 0 ? 1 : 0);
}

std::size_t coded_row_bytes(VectorEncoding encoding, std::size_t dim) noexcept {
  switch (encoding) {
    case VectorEncoding::int8:
      return dim;
    case VectorEncoding::int16:
    case VectorEncoding::half:
    case VectorEncoding::bfloat16:
    case VectorEncoding::delta16:
      return 2 * dim;
    case VectorEncoding::scaled_half:
      return 2 * dim + sizeof(float);
    case VectorEncoding::decimal:
      return (20 * dim + 7) / 8;
    case VectorEncoding::float32:
      return 4 * dim;
    case VectorEncoding::automatic:
    case VectorEncoding::constant:
    case VectorEncoding::exponent:
      break;
  }
  return 0;
}

std::size_t block_header_bytes(VectorEncoding encoding, std::size_t dim) noexcept {
  return encoding == VectorEncoding::delta16 ? (dim + 1) * sizeof(float) : 0;
}

std::size_t plain_block_bytes(VectorEncoding encoding, std::size_t dim, std::size_t rows) noexcept {
  return block_header_bytes(encoding, dim) + rows * coded_row_bytes(encoding, dim);
}

std::size_t num_planes(VectorEncoding encoding) noexcept {
  switch (encoding) {
    case VectorEncoding::int16:
    case VectorEncoding::half:
    case VectorEncoding::bfloat16:
    case VectorEncoding::scaled_half:
    case VectorEncoding::delta16:
      return 2;
    case VectorEncoding::float32:
      return 4;
    default:
      return 1;
  }
}

std::vector<float> decimal_powers(int first_power) {
  static constexpr float kPowers[] = {1e0f, 1e1f, 1e2f, 1e3f, 1e4f, 1e5f,
                                      1e6f, 1e7f, 1e8f, 1e9f, 1e10f};
  static_assert(std::size(kPowers) == kMaxFirstPower + kernels::kDecimalPowers);
  std::vector<float> powers(8, 1.0f);
  std::copy_n(kPowers + first_power, kernels::kDecimalPowers, powers.begin());
  return powers;
}

std::vector<std::byte> encode_segments(std::span<const Segment> segments) {
  base::ByteWriter writer;
  for (const Segment& segment : segments) {
    writer.u64(segment.offset);
    writer.u64(segment.bytes);
    writer.u64(segment.first_block);
    writer.u32(segment.rows);
    writer.u8(static_cast<std::uint8_t>(segment.encoding));
    writer.u8(segment.uses_zstd ? kZstdFlag : 0);
    writer.u8(static_cast<std::uint8_t>(segment.block_rows_log2));
    writer.u8(0);
    writer.u32(static_cast<std::uint32_t>(segment.base));
    writer.u32(segment.num_exceptions);
    writer.f64(segment.max_error);
    writer.f64(segment.mean_error);
    writer.u64(0);
  }
  return writer.take();
}

std::vector<Segment> decode_segments(std::span<const std::byte> entries, std::uint64_t rows,
                                     std::size_t dim, std::uint64_t section_bytes,
                                     std::uint64_t num_checksums, const std::string& name) {
  base::ByteReader reader(entries, name);
  std::vector<Segment> segments;
  std::uint64_t end = 0;
  std::uint64_t next_row = 0;
  std::uint64_t next_block = 0;
  for (std::size_t i = 0; reader.remaining() > 0; ++i) {
    const EntryChecker checker(name, i);
    Segment segment = decode_entry(reader, dim, checker);
    check_base(segment, checker);
    const std::uint64_t expected_rows =
        std::min<std::uint64_t>(rows - next_row, i == 0 ? kMaxSegmentRows : segments[0].rows);
    const bool is_last = segment.rows == rows - next_row;
    checker.expect(
        segment.rows > 0 && segment.rows <= expected_rows &&
            (is_last ||
             (segment.rows == expected_rows && (segment.rows & (segment.rows - 1)) == 0) ||
             (i == 0 && (segment.rows & (segment.rows - 1)) == 0)),
        std::to_string(segment.rows) + " rows do not fit in the order of segments");
    segment.first_row = static_cast<std::uint32_t>(next_row);
    checker.expect_equal(segment.offset, align_segment(end), "offset");
    checker.expect(
        segment.offset <= section_bytes && segment.bytes <= section_bytes - segment.offset,
        "ends after the section of " + std::to_string(section_bytes) + " bytes");
    checker.expect_equal(segment.first_block, next_block, "first_block");
    check_bytes(segment, dim, checker);
    end = segment.offset + segment.bytes;
    next_row += segment.rows;
    next_block += segment.num_checksums(dim);
    segments.push_back(segment);
  }
  const auto expect_total = [&name](std::uint64_t found, std::uint64_t expected, const char* what) {
    if (found == expected) return;
    throw Error(ErrorCode::corrupt, name + ": vectors: " + what + " of all segments are " +
                                        std::to_string(found) + ", expected " +
                                        std::to_string(expected));
  };
  expect_total(next_row, rows, "rows");
  expect_total(end, section_bytes, "bytes");
  expect_total(next_block, num_checksums, "blocks");
  return segments;
}

}  // namespace cairn::storage

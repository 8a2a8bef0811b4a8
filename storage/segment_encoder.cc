#include "storage/segment_encoder.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>
#include <span>
#include <unordered_map>

#include "storage/codec_kernels/codec_kernels.h"
#include "storage/float_bits.h"
#include "storage/scaled_half.h"
#include "storage/segment_decoder.h"

namespace cairn::storage {
namespace {

// Blocks have at least so many bytes, which keeps their 8-byte checksums below 0.1 % of them; what
// is smaller than raw can afford more, and what is unpacked whole for one row better is small.
constexpr std::size_t kRawBlockBytes = 16384;
constexpr std::size_t kBlockBytes = 8192;
// Rows of a block with a mean of its own.
constexpr std::size_t kDeltaBlockRows = 64;

// An encoding that costs zero-copy must save so much of raw.
constexpr double kWorthwhile = 0.98;

constexpr VectorEncoding kLossless[] = {
    VectorEncoding::constant, VectorEncoding::int8,     VectorEncoding::int16,
    VectorEncoding::half,     VectorEncoding::bfloat16, VectorEncoding::scaled_half,
    VectorEncoding::decimal,  VectorEncoding::exponent, VectorEncoding::float32};

template <typename T>
void put(T value, std::vector<std::byte>& out) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

std::span<const float> values_of(MatrixView rows) { return {rows.data, rows.rows * rows.dim}; }

// The least and the largest value, if all are integers that float32 counts one by one.
struct IntegerRange {
  bool is_valid = false;
  std::int32_t low = 0;
  std::int32_t high = 0;
};

IntegerRange integer_range(std::span<const float> values) {
  IntegerRange range{true, 1 << 24, -(1 << 24)};
  for (const float value : values) {
    if (!(std::abs(value) < 0x1p24f)) return {};
    const auto integer = static_cast<std::int32_t>(value);
    if (!are_same(static_cast<float>(integer), value)) return {};
    range.low = std::min(range.low, integer);
    range.high = std::max(range.high, integer);
  }
  return range;
}

// What a fixed-width encoding needs to know of the whole segment.
struct FixedWidth {
  VectorEncoding encoding;
  std::int32_t base = 0;
};

std::optional<FixedWidth> fixed_width(VectorEncoding encoding, std::span<const float> values) {
  if (encoding != VectorEncoding::int8 && encoding != VectorEncoding::int16) {
    return FixedWidth{encoding, 0};
  }
  const IntegerRange range = integer_range(values);
  const std::int32_t width = encoding == VectorEncoding::int8 ? 255 : 65535;
  if (!range.is_valid || range.high - range.low > width) return std::nullopt;
  // Bytes and 16-bit words keep the values of their own type.
  if (range.low >= 0 && range.high <= width) return FixedWidth{encoding, 0};
  if (range.low >= -(width + 1) / 2 && range.high <= width / 2) {
    return FixedWidth{encoding, -(width + 1) / 2};
  }
  return FixedWidth{encoding, std::min(range.low, (1 << 24) - width)};
}

bool put_row(const FixedWidth& how, const float* row, std::size_t dim,
             std::vector<std::byte>& out) {
  const auto put_each = [&](auto&& encode) {
    for (std::size_t i = 0; i < dim; ++i) {
      if (!encode(row[i])) return false;
    }
    return true;
  };
  switch (how.encoding) {
    case VectorEncoding::int8:
      return put_each([&](float value) {
        put(static_cast<std::uint8_t>(static_cast<std::int32_t>(value) - how.base), out);
        return true;
      });
    case VectorEncoding::int16:
      return put_each([&](float value) {
        put(static_cast<std::uint16_t>(static_cast<std::int32_t>(value) - how.base), out);
        return true;
      });
    case VectorEncoding::half:
      return put_each([&](float value) {
        const std::uint16_t half = to_half(value);
        put(half, out);
        return are_same(from_half(half), value);
      });
    case VectorEncoding::bfloat16:
      return put_each([&](float value) {
        put(static_cast<std::uint16_t>(bits_of(value) >> 16), out);
        return (bits_of(value) & 0xFFFF) == 0;
      });
    case VectorEncoding::scaled_half: {
      thread_local std::vector<std::uint16_t> halves;
      halves.resize(dim);
      float divisor = 1;
      if (!find_scaled_half(row, dim, halves.data(), divisor)) return false;
      put(divisor, out);
      const auto bytes = std::as_bytes(std::span(halves));
      out.insert(out.end(), bytes.begin(), bytes.end());
      return true;
    }
    default: {
      const auto bytes = std::as_bytes(std::span(row, dim));
      out.insert(out.end(), bytes.begin(), bytes.end());
      return true;
    }
  }
}

// Finds the 20-bit codes of values; the first power of ten is the one that the largest value leaves
// room for.
class DecimalEncoder {
 public:
  explicit DecimalEncoder(std::span<const float> values)
      : max_exceptions_(std::min<std::size_t>(kernels::kMaxExceptions, 16 + values.size() / 64)) {
    float largest = 0;
    for (const float value : values) {
      if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
    }
    first_power_ = kMaxFirstPower;
    while (first_power_ > 0 && largest * decimal_powers(first_power_)[0] >= kDigits) {
      --first_power_;
    }
    powers_ = decimal_powers(first_power_);
  }

  int first_power() const { return first_power_; }
  std::span<const std::uint32_t> exceptions() const { return exceptions_; }

  // Empty if there are too many exceptions.
  std::optional<std::uint32_t> encode(float value) {
    const std::uint32_t sign = bits_of(value) >> 31;
    const float magnitude = std::abs(value);
    for (std::uint32_t power = 0; power < kernels::kDecimalPowers; ++power) {
      const float digits = std::nearbyint(magnitude * powers_[power]);
      if (!(digits < kDigits)) break;
      if (are_same(digits / powers_[power], magnitude)) {
        return (2 * power + sign) * kernels::kDecimalDigits + static_cast<std::uint32_t>(digits);
      }
    }
    return exception(bits_of(value));
  }

 private:
  static constexpr float kDigits = static_cast<float>(kernels::kDecimalDigits);

  std::optional<std::uint32_t> exception(std::uint32_t bits) {
    // A segment without decimals is given up for its many exceptions, though few may be distinct.
    if (++num_exceptional_ > max_exceptions_) return std::nullopt;
    const auto [place, is_new] =
        numbers_.try_emplace(bits, static_cast<std::uint32_t>(exceptions_.size()));
    if (is_new) exceptions_.push_back(bits);
    return kernels::kFirstException + place->second;
  }

  std::size_t max_exceptions_;
  std::size_t num_exceptional_ = 0;
  int first_power_ = 0;
  std::vector<float> powers_;
  std::vector<std::uint32_t> exceptions_;
  std::unordered_map<std::uint32_t, std::uint32_t> numbers_;
};

// Two codes fill five bytes.
void pack_decimals(std::span<const std::uint32_t> codes, std::vector<std::byte>& out) {
  std::uint64_t pending = 0;
  unsigned filled = 0;
  for (const std::uint32_t code : codes) {
    pending |= std::uint64_t{code} << filled;
    for (filled += 20; filled >= 8; filled -= 8, pending >>= 8) {
      out.push_back(static_cast<std::byte>(pending));
    }
  }
  if (filled > 0) out.push_back(static_cast<std::byte>(pending));
}

// The rows of `plain` in the blocks of `segment`, their bytes in planes.
template <typename Visit>
void for_each_plane_block(const EncodedSegment& plain, const Segment& segment, std::size_t dim,
                          Visit&& visit) {
  std::span<const std::byte> left =
      std::span(plain.bytes).subspan(plain.segment.preamble_bytes(dim));
  std::vector<std::byte> planes;
  for (std::size_t block = 0; block < segment.num_blocks(); ++block) {
    planes.resize(plain_block_bytes(segment.encoding, dim, segment.rows_of_block(block)));
    split_planes(left.first(planes.size()), num_planes(segment.encoding), planes.data());
    left = left.subspan(planes.size());
    visit(planes);
  }
}

}  // namespace

SegmentEncoder::SegmentEncoder(std::size_t dim, const CompressionOptions& options,
                               const ExponentCode* exponent_code, const BlockCodec* block_codec)
    : dim_(dim), options_(options), exponent_code_(exponent_code), block_codec_(block_codec) {}

EncodedSegment SegmentEncoder::encode(MatrixView rows) const {
  EncodedSegment plain = choose(options_.encoding, rows);
  if (block_codec_ == nullptr) return plain;
  // Exponents leave nothing for zstd, but zstd finds what they do not: repeated rows.
  const EncodedSegment* source = &plain;
  std::optional<EncodedSegment> raw;
  if (plain.segment.encoding == VectorEncoding::exponent) {
    raw = encode_as(VectorEncoding::float32, rows);
    source = &*raw;
  }
  std::optional<EncodedSegment> packed = compress(*source, rows);
  const double limit = kWorthwhile * static_cast<double>(plain.bytes.size());
  if (packed && static_cast<double>(packed->bytes.size()) < limit) return std::move(*packed);
  return plain;
}

EncodedSegment SegmentEncoder::choose(VectorEncoding wanted, MatrixView rows) const {
  if (wanted != VectorEncoding::automatic) {
    if (std::optional<EncodedSegment> encoded = encode_as(wanted, rows)) return *encoded;
    return *encode_as(VectorEncoding::float32, rows);
  }
  // In the order of the bytes they take, so the first that holds is the smallest.
  for (const VectorEncoding encoding : kLossless) {
    if (std::optional<EncodedSegment> encoded = encode_as(encoding, rows)) {
      return std::move(*encoded);
    }
  }
  return *encode_as(VectorEncoding::float32, rows);
}

void SegmentEncoder::append_planes(MatrixView rows, std::vector<std::byte>& planes,
                                   std::vector<std::size_t>& sizes) const {
  const EncodedSegment plain = choose(options_.encoding, rows);
  const VectorEncoding encoding = plain.segment.encoding;
  if (encoding == VectorEncoding::constant || encoding == VectorEncoding::exponent) return;
  Segment segment = plain.segment;
  segment.block_rows_log2 = zstd_block_rows_log2(encoding);
  for_each_plane_block(plain, segment, dim_, [&](const std::vector<std::byte>& block) {
    planes.insert(planes.end(), block.begin(), block.end());
    sizes.push_back(block.size());
  });
}

std::optional<EncodedSegment> SegmentEncoder::encode_as(VectorEncoding encoding,
                                                        MatrixView rows) const {
  std::optional<EncodedSegment> encoded;
  switch (encoding) {
    case VectorEncoding::automatic:
      return choose(encoding, rows);
    case VectorEncoding::constant:
      encoded = encode_constant(rows);
      break;
    case VectorEncoding::decimal:
      encoded = encode_decimal(rows);
      break;
    case VectorEncoding::exponent:
      encoded = encode_exponent(rows);
      break;
    case VectorEncoding::delta16:
      encoded = encode_delta(rows);
      break;
    default:
      encoded = encode_fixed(encoding, rows);
  }
  if (!encoded || !prove(*encoded, rows)) return std::nullopt;
  return encoded;
}

unsigned SegmentEncoder::block_rows_log2(VectorEncoding encoding, bool is_unpacked_whole) const {
  const std::size_t raw_row = dim_ * sizeof(float);
  const std::size_t row =
      encoding == VectorEncoding::exponent ? raw_row : coded_row_bytes(encoding, dim_);
  const bool is_large = encoding == VectorEncoding::float32 && !is_unpacked_whole;
  const std::size_t bytes = is_large ? kRawBlockBytes : kBlockBytes;
  std::size_t wanted = (bytes + row - 1) / row;
  if (encoding == VectorEncoding::delta16) wanted = kDeltaBlockRows;
  if (options_.block_rows != 0) wanted = options_.block_rows;
  std::size_t block_rows = std::bit_ceil(std::min(wanted, kMaxBlockRows));
  // The rows of a file that is read back must not unpack to any size.
  while (block_rows > 1 && block_rows * raw_row > kMaxUnpackedBytes) block_rows /= 2;
  return static_cast<unsigned>(std::bit_width(block_rows) - 1);
}

// The blocks of delta16 have their own bases, so they stay as they are.
unsigned SegmentEncoder::zstd_block_rows_log2(VectorEncoding encoding) const {
  return block_rows_log2(encoding, encoding != VectorEncoding::delta16);
}

std::optional<EncodedSegment> SegmentEncoder::encode_constant(MatrixView rows) const {
  // Of fewer rows other encodings may be smaller.
  if (rows.rows <= sizeof(float)) return std::nullopt;
  const std::size_t row_bytes = dim_ * sizeof(float);
  for (std::size_t i = 1; i < rows.rows; ++i) {
    if (std::memcmp(rows.row(i), rows.data, row_bytes) != 0) return std::nullopt;
  }
  EncodedSegment encoded;
  encoded.segment.encoding = VectorEncoding::constant;
  const auto bytes = std::as_bytes(std::span(rows.data, dim_));
  encoded.bytes.assign(bytes.begin(), bytes.end());
  encoded.part_bytes = {bytes.size()};
  return encoded;
}

std::optional<EncodedSegment> SegmentEncoder::encode_fixed(VectorEncoding encoding,
                                                           MatrixView rows) const {
  // A divisor per row may cost a short one more than it saves.
  const bool is_smaller = coded_row_bytes(encoding, dim_) < dim_ * sizeof(float);
  if (!is_smaller && encoding != VectorEncoding::float32) return std::nullopt;
  const std::optional<FixedWidth> how = fixed_width(encoding, values_of(rows));
  if (!how) return std::nullopt;
  EncodedSegment encoded;
  Segment& segment = encoded.segment;
  segment.encoding = encoding;
  segment.base = how->base;
  segment.block_rows_log2 = block_rows_log2(encoding, false);
  segment.rows = static_cast<std::uint32_t>(rows.rows);
  encoded.bytes.reserve(rows.rows * coded_row_bytes(encoding, dim_) + kBlockSlack);
  for (std::size_t i = 0; i < rows.rows; ++i) {
    if (!put_row(*how, rows.row(i), dim_, encoded.bytes)) return std::nullopt;
  }
  for (std::size_t block = 0; block < segment.num_blocks(); ++block) {
    encoded.part_bytes.push_back(plain_block_bytes(encoding, dim_, segment.rows_of_block(block)));
  }
  return encoded;
}

std::optional<EncodedSegment> SegmentEncoder::encode_decimal(MatrixView rows) const {
  DecimalEncoder encoder(values_of(rows));
  EncodedSegment encoded;
  Segment& segment = encoded.segment;
  std::vector<std::byte> blocks;
  std::vector<std::uint32_t> codes(dim_);
  for (std::size_t i = 0; i < rows.rows; ++i) {
    for (std::size_t j = 0; j < dim_; ++j) {
      const std::optional<std::uint32_t> code = encoder.encode(rows.row(i)[j]);
      if (!code) return std::nullopt;
      codes[j] = *code;
    }
    pack_decimals(codes, blocks);
  }
  segment.encoding = VectorEncoding::decimal;
  segment.base = encoder.first_power();
  segment.num_exceptions = static_cast<std::uint32_t>(encoder.exceptions().size());
  segment.block_rows_log2 = block_rows_log2(VectorEncoding::decimal, false);
  segment.rows = static_cast<std::uint32_t>(rows.rows);
  const auto preamble = std::as_bytes(encoder.exceptions());
  encoded.bytes.assign(preamble.begin(), preamble.end());
  encoded.bytes.insert(encoded.bytes.end(), blocks.begin(), blocks.end());
  if (!preamble.empty()) encoded.part_bytes.push_back(preamble.size());
  for (std::size_t block = 0; block < segment.num_blocks(); ++block) {
    encoded.part_bytes.push_back(
        plain_block_bytes(VectorEncoding::decimal, dim_, segment.rows_of_block(block)));
  }
  const double limit = kWorthwhile * static_cast<double>(values_of(rows).size_bytes());
  if (static_cast<double>(encoded.bytes.size()) >= limit) return std::nullopt;
  return encoded;
}

std::optional<EncodedSegment> SegmentEncoder::encode_exponent(MatrixView rows) const {
  if (exponent_code_ == nullptr) return std::nullopt;
  EncodedSegment encoded;
  Segment& segment = encoded.segment;
  segment.encoding = VectorEncoding::exponent;
  segment.rows = static_cast<std::uint32_t>(rows.rows);
  segment.block_rows_log2 = block_rows_log2(VectorEncoding::exponent, true);
  std::vector<std::byte> blocks;
  std::vector<std::byte> records;
  std::vector<std::uint32_t> block_ends;
  for (std::size_t block = 0; block < segment.num_blocks(); ++block) {
    const std::size_t begin = blocks.size();
    records.clear();
    for (std::size_t i = 0; i < segment.rows_of_block(block); ++i) {
      const float* const row = rows.row(block * segment.block_rows() + i);
      for (std::size_t j = 0; j < dim_; ++j) {
        const std::uint32_t bits = bits_of(row[j]);
        const std::uint32_t low = (bits & 0x7FFFFF) | bits >> 31 << 23;
        for (const unsigned shift : {0u, 8u, 16u}) {
          records.push_back(static_cast<std::byte>(low >> shift));
        }
      }
      exponent_code_->encode(row, dim_, records);
      put(static_cast<std::uint32_t>(records.size()), blocks);
    }
    blocks.insert(blocks.end(), records.begin(), records.end());
    block_ends.push_back(static_cast<std::uint32_t>(blocks.size()));
    encoded.part_bytes.push_back(blocks.size() - begin);
  }
  const auto preamble = std::as_bytes(std::span(block_ends));
  encoded.part_bytes.insert(encoded.part_bytes.begin(), preamble.size());
  encoded.bytes.assign(preamble.begin(), preamble.end());
  encoded.bytes.insert(encoded.bytes.end(), blocks.begin(), blocks.end());
  const double limit = kWorthwhile * static_cast<double>(values_of(rows).size_bytes());
  if (static_cast<double>(encoded.bytes.size()) >= limit) return std::nullopt;
  return encoded;
}

// The base of a block is the mean of its rows, the step such that the largest difference just fits.
std::optional<EncodedSegment> SegmentEncoder::encode_delta(MatrixView rows) const {
  const std::span<const float> values = values_of(rows);
  if (!std::all_of(values.begin(), values.end(), [](float x) { return std::abs(x) < 0x1p120f; })) {
    return std::nullopt;
  }
  EncodedSegment encoded;
  Segment& segment = encoded.segment;
  segment.encoding = VectorEncoding::delta16;
  segment.rows = static_cast<std::uint32_t>(rows.rows);
  segment.block_rows_log2 = block_rows_log2(VectorEncoding::delta16, false);
  std::vector<float> base(dim_);
  for (std::size_t block = 0; block < segment.num_blocks(); ++block) {
    const std::size_t count = segment.rows_of_block(block);
    const float* const first = rows.row(block * segment.block_rows());
    float largest = 0;
    for (std::size_t j = 0; j < dim_; ++j) {
      double sum = 0;
      for (std::size_t i = 0; i < count; ++i) sum += double{first[i * dim_ + j]};
      base[j] = static_cast<float>(sum / static_cast<double>(count));
      for (std::size_t i = 0; i < count; ++i) {
        largest = std::max(largest, std::abs(first[i * dim_ + j] - base[j]));
      }
    }
    const float scale = largest > 0 ? largest / 32767.0f : 1.0f;
    for (const float value : base) put(value, encoded.bytes);
    put(scale, encoded.bytes);
    for (std::size_t i = 0; i < count * dim_; ++i) {
      const float steps = std::nearbyint((first[i] - base[i % dim_]) / scale);
      const float clamped = std::clamp(steps, -32767.0f, 32767.0f);
      put(static_cast<std::uint16_t>(static_cast<std::int16_t>(clamped)), encoded.bytes);
    }
    encoded.part_bytes.push_back(plain_block_bytes(VectorEncoding::delta16, dim_, count));
  }
  return encoded;
}

// Whole blocks, their bytes in planes, and block ends put into the preamble.
std::optional<EncodedSegment> SegmentEncoder::compress(const EncodedSegment& plain,
                                                       MatrixView rows) const {
  const VectorEncoding encoding = plain.segment.encoding;
  if (encoding == VectorEncoding::constant || encoding == VectorEncoding::exponent) {
    return std::nullopt;
  }
  EncodedSegment packed;
  packed.segment = plain.segment;
  Segment& segment = packed.segment;
  segment.uses_zstd = true;
  segment.block_rows_log2 = zstd_block_rows_log2(encoding);
  const std::size_t exceptions_bytes = plain.segment.preamble_bytes(dim_);
  std::vector<std::byte> blocks;
  std::vector<std::uint32_t> block_ends;
  for_each_plane_block(plain, segment, dim_, [&](const std::vector<std::byte>& planes) {
    const std::vector<std::byte> frame = block_codec_->compress(planes);
    const std::vector<std::byte>& stored = frame.empty() ? planes : frame;
    blocks.insert(blocks.end(), stored.begin(), stored.end());
    block_ends.push_back(static_cast<std::uint32_t>(blocks.size()));
    packed.part_bytes.push_back(stored.size());
  });
  packed.bytes.assign(plain.bytes.begin(),
                      plain.bytes.begin() + static_cast<std::ptrdiff_t>(exceptions_bytes));
  for (const std::uint32_t end : block_ends) put(end, packed.bytes);
  packed.part_bytes.insert(packed.part_bytes.begin(), packed.bytes.size());
  packed.bytes.insert(packed.bytes.end(), blocks.begin(), blocks.end());
  if (!prove(packed, rows)) return std::nullopt;
  return packed;
}

bool SegmentEncoder::prove(EncodedSegment& encoded, MatrixView rows) const {
  Segment& segment = encoded.segment;
  segment.rows = static_cast<std::uint32_t>(rows.rows);
  segment.bytes = encoded.bytes.size();
  const std::span<const float> expected = values_of(rows);
  thread_local std::vector<float> decoded;
  decoded.resize(expected.size());
  encoded.bytes.resize(segment.bytes + kBlockSlack);
  const bool is_valid = decode_encoded(encoded, dim_, exponent_code_, block_codec_, decoded.data());
  encoded.bytes.resize(segment.bytes);
  if (!is_valid) return false;
  if (segment.encoding != VectorEncoding::delta16) {
    return std::memcmp(decoded.data(), expected.data(), expected.size_bytes()) == 0;
  }
  double sum = 0;
  segment.max_error = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double error = std::abs(double{decoded[i]} - double{expected[i]});
    segment.max_error = std::max(segment.max_error, error);
    sum += error;
  }
  segment.mean_error = sum / static_cast<double>(expected.size());
  return true;
}

bool decode_encoded(const EncodedSegment& encoded, std::size_t dim,
                    const ExponentCode* exponent_code, const BlockCodec* block_codec, float* out) {
  const Segment& segment = encoded.segment;
  const std::size_t preamble = segment.preamble_bytes(dim);
  if (segment.encoding == VectorEncoding::constant) {
    for (std::size_t row = 0; row < segment.rows; ++row) {
      std::memcpy(out + row * dim, encoded.bytes.data(), preamble);
    }
    return true;
  }
  const SegmentContext context{&segment, dim, std::span(encoded.bytes).first(preamble),
                               exponent_code, block_codec};
  std::vector<std::byte> plain;
  std::vector<std::byte> scratch;
  std::size_t begin = preamble;
  for (std::size_t block = 0; block < segment.num_blocks(); ++block) {
    const std::size_t rows = segment.rows_of_block(block);
    const std::size_t size = encoded.part_bytes[block + (preamble > 0 ? 1 : 0)];
    std::span<const std::byte> bytes = std::span(encoded.bytes).subspan(begin, size);
    if (segment.uses_zstd) {
      const std::size_t plain_bytes = plain_block_bytes(segment.encoding, dim, rows);
      plain.resize(plain_bytes + kBlockSlack);
      if (!unpack_block(context, bytes, std::span(plain).first(plain_bytes), scratch)) return false;
      bytes = std::span(plain).first(plain_bytes);
    }
    float* const block_out = out + block * segment.block_rows() * dim;
    if (!decode_block_rows(context, bytes, rows, 0, rows, block_out)) return false;
    begin += size;
  }
  return true;
}

}  // namespace cairn::storage

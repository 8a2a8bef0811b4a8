#include "storage/payload_blocks.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <utility>

#include "cairn/error.h"
#include "cairn/payload.h"

#include "base/checksum.h"
#include "storage/block_codec.h"
#include "storage/file.h"
#include "storage/format.h"

namespace cairn::storage {
namespace {

// A block is closed when it has as many bytes.
constexpr std::size_t kBlockBytes = std::size_t{8} << 10;
constexpr int kZstdLevel = 3;

// A plain block: its first row, its number of rows, the end of each row's payload, the payloads.
constexpr std::size_t kHeaderBytesOfBlock = 2 * sizeof(std::uint32_t);
// So nothing larger is ever unpacked.
constexpr std::size_t kMaxPlainBytes = kBlockBytes + sizeof(std::uint32_t) + kMaxPayloadBytes;

const BlockCodec& codec() {
  static const BlockCodec result(kZstdLevel, {});
  return result;
}

std::uint32_t u32_at(std::span<const std::byte> bytes, std::size_t index) noexcept {
  std::uint32_t value;
  std::memcpy(&value, bytes.data() + index * sizeof value, sizeof value);
  return value;
}

void append_u32(std::vector<std::byte>& bytes, std::span<const std::uint32_t> values) {
  const auto raw = std::as_bytes(values);
  bytes.insert(bytes.end(), raw.begin(), raw.end());
}

std::vector<PayloadBlock> encode_all(std::size_t rows, PayloadEncoder::Sink sink,
                                     const std::function<void(std::size_t, std::string&)>& next) {
  PayloadEncoder encoder(std::move(sink));
  std::string payload;
  for (std::size_t row = 0; row < rows; ++row) {
    next(row, payload);
    encoder.add(payload);
  }
  return encoder.finish();
}

}  // namespace

std::uint64_t payload_block_checksum(std::span<const std::byte> stored,
                                     std::uint64_t block) noexcept {
  return block_checksum(SectionType::payload_blocks, block, stored);
}

PayloadEncoder::PayloadEncoder(Sink sink) : sink_(std::move(sink)) {}

void PayloadEncoder::add(std::string_view payload) {
  open_.append(payload);
  ends_.push_back(static_cast<std::uint32_t>(open_.size()));
  const std::size_t bytes =
      kHeaderBytesOfBlock + ends_.size() * sizeof(std::uint32_t) + open_.size();
  if (bytes >= kBlockBytes) flush();
}

void PayloadEncoder::flush() {
  const auto rows = static_cast<std::uint32_t>(ends_.size());
  std::vector<std::byte> plain;
  append_u32(plain, std::array{first_row_, rows});
  append_u32(plain, ends_);
  const auto payloads = std::as_bytes(std::span(open_));
  plain.insert(plain.end(), payloads.begin(), payloads.end());
  std::vector<std::byte> frame = codec().compress(plain);
  const std::vector<std::byte>& stored = frame.empty() ? plain : frame;
  blocks_.push_back({.offset = offset_,
                     .bytes = static_cast<std::uint32_t>(stored.size()),
                     .plain_bytes = static_cast<std::uint32_t>(plain.size()),
                     .first_row = first_row_,
                     .checksum = payload_block_checksum(stored, blocks_.size())});
  sink_(stored);
  offset_ += stored.size();
  first_row_ += rows;
  ends_.clear();
  open_.clear();
}

std::vector<PayloadBlock> PayloadEncoder::finish() {
  if (!ends_.empty()) flush();
  return std::exchange(blocks_, {});
}

// A view of a plain block whose header fits the table.
class PayloadReader::PlainBlock {
 public:
  PlainBlock(std::span<const std::byte> bytes, std::uint32_t first_row)
      : bytes_(bytes), first_row_(first_row) {}

  bool is_valid() const {
    if (bytes_.size() < kHeaderBytesOfBlock || u32_at(bytes_, 0) != first_row_) return false;
    return num_rows() <= (bytes_.size() - kHeaderBytesOfBlock) / sizeof(std::uint32_t);
  }
  std::size_t num_rows() const { return u32_at(bytes_, 1); }
  bool has(std::uint32_t row) const { return row - first_row_ < num_rows(); }
  // Empty if the row's ends are none.
  std::optional<std::string_view> payload(std::uint32_t row) const {
    const std::size_t local = row - first_row_;
    const std::size_t begin = local == 0 ? 0 : end_of(local - 1);
    const std::size_t end = end_of(local);
    const auto payloads = bytes_.subspan(kHeaderBytesOfBlock + num_rows() * sizeof(std::uint32_t));
    if (begin > end || end > payloads.size()) return std::nullopt;
    return std::string_view(reinterpret_cast<const char*>(payloads.data()) + begin, end - begin);
  }

 private:
  std::size_t end_of(std::size_t local) const { return u32_at(bytes_, 2 + local); }

  std::span<const std::byte> bytes_;
  std::uint32_t first_row_;
};

PayloadReader::PayloadReader(std::span<const std::byte> stored,
                             std::span<const PayloadBlock> blocks, std::size_t rows,
                             std::string name)
    : stored_(stored), blocks_(blocks), rows_(rows), name_(std::move(name)) {
  if (blocks_.empty() == (rows_ == 0)) return;
  throw Error(ErrorCode::corrupt, name_ + ": payloads: " + std::to_string(blocks_.size()) +
                                      " blocks for " + std::to_string(rows_) + " rows");
}

void PayloadReader::fail(std::size_t block, std::uint32_t row, const std::string& what) const {
  throw Error(ErrorCode::corrupt, name_ + ": payloads: block " + std::to_string(block) +
                                      ", read for row " + std::to_string(row) + ": " + what);
}

// The last block that begins at or before the row. In a damaged table it may be any.
std::size_t PayloadReader::block_of(std::uint32_t row) const {
  const auto after =
      std::partition_point(blocks_.begin(), blocks_.end(),
                           [row](const PayloadBlock& block) { return block.first_row <= row; });
  return after == blocks_.begin() ? 0 : static_cast<std::size_t>(after - blocks_.begin()) - 1;
}

// Asks for the pages of a block; a damaged entry is left for checked_block() to report.
void PayloadReader::announce(std::size_t block) const noexcept {
  const PayloadBlock& entry = blocks_[block];
  if (entry.offset > stored_.size() || entry.bytes > stored_.size() - entry.offset) return;
  advise(stored_.subspan(entry.offset, entry.bytes), Advice::will_need);
}

std::span<const std::byte> PayloadReader::checked_block(std::size_t block,
                                                        std::uint32_t row) const {
  const PayloadBlock& entry = blocks_[block];
  if (entry.offset > stored_.size() || entry.bytes > stored_.size() - entry.offset) {
    fail(block, row,
         std::to_string(entry.bytes) + " bytes at offset " + std::to_string(entry.offset) +
             "; the section has " + std::to_string(stored_.size()));
  }
  if (entry.bytes > entry.plain_bytes || entry.plain_bytes > kMaxPlainBytes) {
    fail(block, row,
         std::to_string(entry.bytes) + " bytes for " + std::to_string(entry.plain_bytes) +
             ", expected no more than these, and these at most " + std::to_string(kMaxPlainBytes));
  }
  const auto bytes = stored_.subspan(entry.offset, entry.bytes);
  const std::uint64_t found = payload_block_checksum(bytes, block);
  if (found != entry.checksum) {
    fail(block, row,
         "checksum is " + base::to_hex(found) + ", expected " + base::to_hex(entry.checksum));
  }
  return bytes;
}

PayloadReader::PlainBlock PayloadReader::open_block(std::size_t block, std::uint32_t row,
                                                    std::vector<std::byte>& buffer) const {
  const PayloadBlock& entry = blocks_[block];
  std::span<const std::byte> bytes = checked_block(block, row);
  if (entry.bytes != entry.plain_bytes) {
    buffer.resize(entry.plain_bytes);
    if (!codec().decompress(bytes, buffer)) {
      fail(block, row, "is no zstd frame of " + std::to_string(entry.plain_bytes) + " bytes");
    }
    bytes = buffer;
  }
  const PlainBlock plain(bytes, entry.first_row);
  if (!plain.is_valid() || !plain.has(row)) fail(block, row, "does not hold that row");
  return plain;
}

std::string PayloadReader::read(std::uint32_t row) const {
  return std::move(read(std::span(&row, 1))[0]);
}

std::vector<std::string> PayloadReader::read(std::span<const std::uint32_t> rows) const {
  std::vector<std::size_t> order(rows.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [rows](std::size_t a, std::size_t b) { return rows[a] < rows[b]; });
  for (const std::size_t i : order) announce(block_of(rows[i]));
  std::vector<std::string> payloads(rows.size());
  std::vector<std::byte> buffer;
  std::optional<PlainBlock> plain;
  std::size_t opened = blocks_.size();
  for (const std::size_t i : order) {
    const std::size_t block = block_of(rows[i]);
    if (block != opened || !plain->has(rows[i])) {
      plain = open_block(block, rows[i], buffer);
      opened = block;
    }
    const std::optional<std::string_view> payload = plain->payload(rows[i]);
    if (!payload) fail(block, rows[i], "the row's end is not within the block");
    payloads[i] = *payload;
  }
  return payloads;
}

void PayloadReader::check_all() const {
  std::uint64_t offset = 0;
  std::uint64_t first_row = 0;
  std::vector<std::byte> buffer;
  for (std::size_t block = 0; block < blocks_.size(); ++block) {
    const PayloadBlock& entry = blocks_[block];
    if (entry.offset != offset || entry.first_row != first_row || entry.reserved != 0) {
      fail(block, entry.first_row, "its entry does not follow from the one before");
    }
    first_row += open_block(block, entry.first_row, buffer).num_rows();
    offset += entry.bytes;
  }
  if (offset == stored_.size() && first_row == rows_) return;
  throw Error(ErrorCode::corrupt, name_ + ": payloads: blocks of " + std::to_string(first_row) +
                                      " rows and " + std::to_string(offset) + " bytes, expected " +
                                      std::to_string(rows_) + " and " +
                                      std::to_string(stored_.size()));
}

std::uint64_t PayloadReader::plain_bytes() const noexcept {
  std::uint64_t bytes = 0;
  for (const PayloadBlock& block : blocks_) bytes += block.plain_bytes;
  const std::uint64_t overhead =
      kHeaderBytesOfBlock * blocks_.size() + sizeof(std::uint32_t) * std::uint64_t{rows_};
  return bytes - std::min(bytes, overhead);
}

void copy_payloads(ContainerWriter& writer, const PayloadReader& payloads) {
  payloads.check_all();
  writer.write_section(SectionType::payloads, payloads.stored());
  writer.write_section(SectionType::payload_blocks, payloads.blocks());
}

void write_payloads(ContainerWriter& writer, std::size_t rows,
                    const std::function<void(std::size_t, std::string&)>& next) {
  writer.begin_open_section(SectionType::payloads);
  const std::vector<PayloadBlock> blocks = encode_all(
      rows, [&writer](std::span<const std::byte> stored) { writer.append(stored); }, next);
  writer.end_section();
  writer.write_section(SectionType::payload_blocks, std::span<const PayloadBlock>(blocks));
}

OwnedPayloads encode_payloads(std::size_t rows,
                              const std::function<void(std::size_t, std::string&)>& next) {
  OwnedPayloads payloads;
  payloads.blocks = encode_all(
      rows,
      [&payloads](std::span<const std::byte> stored) {
        payloads.stored.insert(payloads.stored.end(), stored.begin(), stored.end());
      },
      next);
  payloads.stored.shrink_to_fit();
  return payloads;
}

std::optional<PayloadReader> open_payloads(const ContainerReader& container) {
  const SectionInfo* const table = container.find(SectionType::payload_blocks);
  const SectionInfo* const stored = container.find(SectionType::payloads);
  if (table == nullptr && stored == nullptr) return std::nullopt;
  const auto blocks = container.elements<PayloadBlock>(SectionType::payload_blocks);
  const auto bytes = container.elements<std::byte>(SectionType::payloads);
  container.advise_random(container.require(SectionType::payloads, 1));
  return PayloadReader(bytes, blocks, container.info().count, container.path().string());
}

}  // namespace cairn::storage

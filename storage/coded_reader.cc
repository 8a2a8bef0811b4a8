#include "storage/coded_reader.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "cairn/error.h"

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/prefetch.h"
#include "storage/coded_writer.h"
#include "storage/vector_shape.h"

namespace cairn::storage {
namespace {

// How many rows ahead a row's first bytes are fetched into the cache.
constexpr std::size_t kRowsAhead = 6;
constexpr std::size_t kPrefetchedBytes = 512;

std::uint64_t next_reader_id() {
  static std::atomic<std::uint64_t> next{1};
  return next.fetch_add(1, std::memory_order_relaxed);
}

// The last block that a thread has read or unpacked.
struct BlockCache {
  std::uint64_t reader = 0;
  std::uint64_t number = 0;
  std::size_t bytes = 0;
  std::vector<std::byte> buffer;

  std::span<const std::byte> find(std::uint64_t of_reader, std::uint64_t of_number) const {
    if (reader != of_reader || number != of_number) return {};
    return std::span(buffer).first(bytes);
  }
  // Room for `size` bytes and what decoding reads behind them; forgets what was there.
  std::span<std::byte> refill(std::size_t size) {
    reader = 0;
    bytes = size;
    if (buffer.size() < size + kBlockSlack) buffer.resize(size + kBlockSlack);
    return std::span(buffer).first(size);
  }
};

struct ThreadCaches {
  BlockCache stored;
  BlockCache plain;
  std::vector<std::byte> scratch;
};

ThreadCaches& caches() {
  thread_local ThreadCaches result;
  return result;
}

std::uint32_t u32_at(std::span<const std::byte> bytes, std::size_t index) noexcept {
  std::uint32_t value;
  std::memcpy(&value, bytes.data() + index * sizeof value, sizeof value);
  return value;
}

std::uint64_t first_block_checksum(const Segment& segment, std::size_t dim) {
  return segment.first_block + (segment.preamble_bytes(dim) > 0 ? 1 : 0);
}

std::optional<ExponentCode> load_exponent_code(const ContainerReader& container) {
  if (container.find(SectionType::exponent_code) == nullptr) return std::nullopt;
  const auto stored =
      container.elements<std::uint8_t>(SectionType::exponent_code, ExponentCode::Lengths{}.size());
  ExponentCode::Lengths lengths;
  std::copy(stored.begin(), stored.end(), lengths.begin());
  std::optional<ExponentCode> code = ExponentCode::from_lengths(lengths);
  if (!code) {
    throw Error(ErrorCode::corrupt, container.path().string() +
                                        ": section exponent_code: lengths make no complete code");
  }
  return code;
}

// A section of plain rows as segments without checksums; the blocks of one row.
std::vector<Segment> plain_segments(std::size_t rows, std::size_t dim) {
  std::vector<Segment> segments;
  const std::size_t step = segment_rows(dim);
  for (std::size_t first = 0; first < rows; first += step) {
    Segment segment;
    segment.offset = std::uint64_t{first} * dim * sizeof(float);
    segment.rows = static_cast<std::uint32_t>(std::min(step, rows - first));
    segment.bytes = std::uint64_t{segment.rows} * dim * sizeof(float);
    segment.first_row = static_cast<std::uint32_t>(first);
    segment.first_block = first;
    segments.push_back(segment);
  }
  return segments;
}

const SectionInfo& vectors_section(const ContainerReader& container) {
  const SectionInfo* const plain = container.find(SectionType::vectors);
  if (plain == nullptr) return container.require(SectionType::coded_vectors, 1);
  return container.require(SectionType::vectors, container.info().dim * sizeof(float),
                           container.info().count);
}

}  // namespace

CodedReader::CodedReader(std::shared_ptr<const ContainerReader> container)
    : container_(std::move(container)),
      id_(next_reader_id()),
      rows_(container_->info().count),
      dim_(container_->info().dim),
      section_(&vectors_section(*container_)),
      bytes_(container_->bytes(*section_)),
      exponent_code_(load_exponent_code(*container_)),
      disk_bytes_(section_->bytes),
      announcer_(container_, *section_) {
  if (section_->type == SectionType::vectors) {
    segments_ = plain_segments(rows_, dim_);
  } else {
    load_coding();
  }
  segment_rows_log2_ =
      segments_.size() > 1 ? static_cast<unsigned>(std::bit_width(segments_[0].rows)) - 1 : 32;
  container_->advise_random(*section_);
  if (!is_mapped()) {
    stamp_ = file().stamp();
    load_preambles();
  }
}

void CodedReader::load_coding() {
  checksums_ = container_->elements<std::uint64_t>(SectionType::vector_checksums);
  const SectionInfo& table = container_->require(SectionType::vector_segments, kSegmentEntryBytes);
  segments_ = decode_segments(container_->bytes(table), rows_, dim_, section_->bytes,
                              checksums_.size(), path().string());
  std::span<const std::byte> dictionary;
  if (const SectionInfo* const section = container_->find(SectionType::vector_dictionary)) {
    dictionary = container_->bytes(*section);
  }
  dictionary_bytes_ = dictionary.size();
  block_codec_ = std::make_unique<BlockCodec>(0, dictionary);
  disk_bytes_ += table.bytes + checksums_.size_bytes() + dictionary.size() +
                 (exponent_code_ ? ExponentCode::Lengths{}.size() : 0);
  checked_ = std::vector<std::atomic<std::uint64_t>>((checksums_.size() + 63) / 64);
}

void CodedReader::load_preambles() {
  for (const Segment& segment : segments_) {
    base::AlignedBuffer preamble(segment.preamble_bytes(dim_));
    const std::span<std::byte> bytes(preamble.data(), preamble.size());
    file().read_at(section_->offset + segment.offset, bytes);
    if (!bytes.empty()) check(segment, segment.first_block, bytes, segment.first_row);
    preambles_.push_back(std::move(preamble));
  }
}

std::uint64_t CodedReader::ram_bytes() const noexcept {
  std::uint64_t bytes =
      segments_.size() * sizeof(Segment) + checked_.size() * 8 + dictionary_bytes_;
  if (!is_mapped()) bytes += checksums_.size_bytes();
  for (const base::AlignedBuffer& preamble : preambles_) bytes += preamble.size();
  return bytes;
}

SegmentContext CodedReader::context_of(const Segment& segment) const {
  return {&segment, dim_, preamble_of(segment), exponent_code_ ? &*exponent_code_ : nullptr,
          block_codec_.get()};
}

// Checked with the first row that needs it.
std::span<const std::byte> CodedReader::preamble_of(const Segment& segment) const {
  if (!is_mapped())
    return preambles_[static_cast<std::size_t>(&segment - segments_.data())].bytes();
  const auto preamble = bytes_.subspan(segment.offset, segment.preamble_bytes(dim_));
  if (!preamble.empty()) check(segment, segment.first_block, preamble, segment.first_row);
  return preamble;
}

CodedReader::BlockPlace CodedReader::place_of(const Segment& segment, std::size_t block) const {
  const std::size_t preamble = segment.preamble_bytes(dim_);
  BlockPlace place;
  place.rows = segment.rows_of_block(block);
  if (!segment.has_block_ends()) {
    place.begin = segment.offset + preamble +
                  block * plain_block_bytes(segment.encoding, dim_, segment.block_rows());
    place.bytes = plain_block_bytes(segment.encoding, dim_, place.rows);
    return place;
  }
  const std::span<const std::byte> ends =
      preamble_of(segment).subspan(segment.num_exceptions * sizeof(std::uint32_t));
  const std::uint32_t begin = block == 0 ? 0 : u32_at(ends, block - 1);
  const std::uint32_t end = u32_at(ends, block);
  if (begin > end || end > segment.bytes - preamble) {
    fail_block(segment, block, segment.first_row + (block << segment.block_rows_log2));
  }
  place.begin = segment.offset + preamble + begin;
  place.bytes = end - begin;
  return place;
}

std::string CodedReader::name_block(const Segment& segment, std::uint64_t number,
                                    std::size_t row) const {
  const std::size_t block = (row - segment.first_row) >> segment.block_rows_log2;
  const std::size_t first = segment.first_row + (block << segment.block_rows_log2);
  std::string rows = "rows " + std::to_string(segment.first_row) + " to " +
                     std::to_string(segment.first_row + segment.rows - 1);
  if (number >= first_block_checksum(segment, dim_)) {
    rows = "rows " + std::to_string(first) + " to " +
           std::to_string(first + segment.rows_of_block(block) - 1);
  }
  return path().string() + ": vectors: block " + std::to_string(number) + " (" + rows +
         "), read for row " + std::to_string(row);
}

void CodedReader::fail_block(const Segment& segment, std::size_t block, std::size_t row) const {
  throw Error(ErrorCode::corrupt,
              name_block(segment, first_block_checksum(segment, dim_) + block, row) +
                  ": holds no rows in encoding " + to_string(segment.encoding));
}

// The bits of a mapped block are looked at again only if it was not found right before.
void CodedReader::check(const Segment& segment, std::uint64_t number,
                        std::span<const std::byte> bytes, std::size_t row) const {
  if (checksums_.empty()) return;
  const std::uint64_t bit = std::uint64_t{1} << number % 64;
  std::atomic<std::uint64_t>& word = checked_[number / 64];
  if (is_mapped() && (word.load(std::memory_order_relaxed) & bit) != 0) return;
  const std::uint64_t found = coded_block_checksum(bytes, number);
  if (found != checksums_[number]) {
    throw Error(ErrorCode::corrupt, name_block(segment, number, row) + ": checksum is " +
                                        base::to_hex(found) + ", expected " +
                                        base::to_hex(checksums_[number]));
  }
  word.fetch_or(bit, std::memory_order_relaxed);
}

std::span<const std::byte> CodedReader::checked_block(const Segment& segment, std::size_t block,
                                                      const BlockPlace& place,
                                                      std::size_t row) const {
  const std::uint64_t number = first_block_checksum(segment, dim_) + block;
  if (is_mapped()) {
    const auto bytes = bytes_.subspan(place.begin, place.bytes);
    check(segment, number, bytes, row);
    return bytes;
  }
  BlockCache& cache = caches().stored;
  const std::span<std::byte> buffer = cache.refill(place.bytes);
  file().read_at(section_->offset + place.begin, buffer);
  check(segment, number, buffer, row);
  return buffer;
}

std::span<const std::byte> CodedReader::plain_block(const Segment& segment, std::size_t block,
                                                    std::size_t row,
                                                    std::span<const std::byte> stored) const {
  ThreadCaches& cache = caches();
  const std::uint64_t number = first_block_checksum(segment, dim_) + block;
  if (const auto known = cache.plain.find(id_, number); !known.empty()) return known;
  if (stored.empty()) stored = checked_block(segment, block, place_of(segment, block), row);
  const std::size_t block_rows = segment.rows_of_block(block);
  const auto plain = cache.plain.refill(plain_block_bytes(segment.encoding, dim_, block_rows));
  if (!unpack_block(context_of(segment), stored, plain, cache.scratch)) {
    fail_block(segment, block, row);
  }
  cache.plain.reader = id_;
  cache.plain.number = number;
  return plain;
}

// `rows` of one block.
void CodedReader::read_run(const Segment& segment, std::span<const std::uint32_t> rows,
                           float* out) const {
  if (segment.encoding == VectorEncoding::constant) {
    const std::span<const std::byte> row = preamble_of(segment);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      std::memcpy(out + i * dim_, row.data(), row.size());
    }
    return;
  }
  const std::size_t block = (rows[0] - segment.first_row) >> segment.block_rows_log2;
  const std::size_t first = segment.first_row + (block << segment.block_rows_log2);
  const std::size_t block_rows = segment.rows_of_block(block);
  const std::span<const std::byte> bytes =
      segment.uses_zstd ? plain_block(segment, block, rows[0])
                        : checked_block(segment, block, place_of(segment, block), rows[0]);
  const SegmentContext context = context_of(segment);
  for (std::size_t i = 0; i < rows.size();) {
    std::size_t count = 1;
    while (i + count < rows.size() && rows[i + count] == rows[i] + count) ++count;
    if (!decode_block_rows(context, bytes, block_rows, rows[i] - first, count, out + i * dim_)) {
      fail_block(segment, block, rows[i]);
    }
    i += count;
  }
}

// A file that was truncated, or overwritten even by the same blocks, is not the one that was
// opened.
void CodedReader::check_unchanged() const {
  const FileStamp now = file().stamp();
  if (now == stamp_) return;
  throw Error(ErrorCode::io, path().string() + ": the file was changed while it was open: it has " +
                                 std::to_string(now.bytes) + " bytes, " +
                                 std::to_string(stamp_.bytes) + " when it was opened");
}

void CodedReader::read(std::span<const std::uint32_t> rows, float* out) const {
  for (const std::uint32_t row : rows) check_row(row, rows_);
  if (!is_mapped()) check_unchanged();
  for (std::size_t i = 0; i < rows.size();) {
    const Segment& segment = segment_of(rows[i]);
    if (is_mapped() && !segment.has_block_ends() && i + kRowsAhead < rows.size()) {
      const std::size_t ahead = rows[i + kRowsAhead];
      const Segment& next = segment_of(ahead);
      if (!next.has_block_ends()) {
        const std::size_t row_bytes = coded_row_bytes(next.encoding, dim_);
        const std::size_t at = next.offset + (ahead - next.first_row) * row_bytes;
        base::prefetch(bytes_.data() + at, std::min(row_bytes, kPrefetchedBytes));
      }
    }
    const std::size_t block = (rows[i] - segment.first_row) >> segment.block_rows_log2;
    std::size_t count = 1;
    while (i + count < rows.size() && rows[i + count] >= segment.first_row &&
           rows[i + count] - segment.first_row < segment.rows &&
           (rows[i + count] - segment.first_row) >> segment.block_rows_log2 == block) {
      ++count;
    }
    read_run(segment, rows.subspan(i, count), out + i * dim_);
    i += count;
  }
}

// The bytes that reading a row takes. Blocks that are unpacked as a whole count with all of them,
// which their preamble tells; a damaged one is left for read() to report.
Announcer::Range CodedReader::range_of(std::uint32_t row) const noexcept {
  const Segment& segment = segment_of(row);
  const std::size_t local = row - segment.first_row;
  const std::size_t block = local >> segment.block_rows_log2;
  const std::uint64_t preamble = segment.offset + segment.preamble_bytes(dim_);
  Announcer::Range range;
  if (segment.has_block_ends()) {
    const std::span<const std::byte> whole =
        is_mapped() ? bytes_.subspan(segment.offset, segment.preamble_bytes(dim_))
                    : preambles_[static_cast<std::size_t>(&segment - segments_.data())].bytes();
    const auto ends = whole.subspan(segment.num_exceptions * sizeof(std::uint32_t));
    range.begin = preamble + (block == 0 ? 0 : u32_at(ends, block - 1));
    range.end = preamble + u32_at(ends, block);
  } else if (is_mapped()) {
    const std::size_t row_bytes = coded_row_bytes(segment.encoding, dim_);
    range.begin =
        preamble + local * row_bytes + (block + 1) * block_header_bytes(segment.encoding, dim_);
    range.end = range.begin + row_bytes;
  } else if (segment.encoding != VectorEncoding::constant) {  // the whole block is read and checked
    const std::size_t block_bytes = plain_block_bytes(segment.encoding, dim_, segment.block_rows());
    range.begin = preamble + block * block_bytes;
    range.end =
        range.begin + plain_block_bytes(segment.encoding, dim_, segment.rows_of_block(block));
  }
  return range.end <= section_->bytes ? range : Announcer::Range{};
}

void CodedReader::prefetch(std::span<const std::uint32_t> rows) const noexcept {
  if (rows.empty() || rows.back() >= rows_) return;
  announcer_.announce(rows, [this](std::uint32_t row) { return range_of(row); });
}

std::uint64_t CodedReader::warm(std::uint64_t max_bytes) const {
  return container_->warm(*section_, max_bytes);
}

void CodedReader::trim() const noexcept { container_->trim(*section_); }

}  // namespace cairn::storage

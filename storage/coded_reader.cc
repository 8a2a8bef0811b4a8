#include "storage/coded_reader.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "cairn/error.h"

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/prefetch.h"
#include "storage/coded_writer.h"
#include "storage/format.h"
#include "storage/vector_shape.h"

namespace cairn::storage {
namespace {

// As in MmapVectorStore: so many announcements in a row whose sample was in memory make it warm.
constexpr unsigned kWarmAfter = 64;
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

CodedReader::CodedReader(std::shared_ptr<const ContainerReader> container, bool safe_reads)
    : container_(std::move(container)),
      id_(next_reader_id()),
      rows_(container_->info().count),
      dim_(container_->info().dim),
      section_(&vectors_section(*container_)),
      bytes_(container_->bytes(*section_)),
      exponent_code_(load_exponent_code(*container_)),
      disk_bytes_(section_->bytes) {
  if (section_->type == SectionType::vectors) {
    segments_ = plain_segments(rows_, dim_);
  } else {
    load_coding();
  }
  segment_rows_log2_ =
      segments_.size() > 1 ? static_cast<unsigned>(std::bit_width(segments_[0].rows)) - 1 : 32;
  can_probe_ = container_->may_inspect_residency();
  container_->advise_random(*section_);
  if (safe_reads) {
    file_ = File::open_for_reading(path());
    stamp_ = file_->stamp();
    own_checksums_.assign(checksums_.begin(), checksums_.end());
    checksums_ = own_checksums_;
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

// Another file may have come to this path since the container was opened: then nothing is right.
void CodedReader::load_preambles() {
  std::vector<std::byte> page(kHeaderBytes);
  file_->read_at(0, page);
  if (decode_header(page, stamp_.bytes, path().string()).uuid != container_->uuid()) {
    throw Error(ErrorCode::io, path().string() + ": the file was replaced while it was opened");
  }
  for (const Segment& segment : segments_) {
    base::AlignedBuffer preamble(segment.preamble_bytes(dim_));
    const std::span<std::byte> bytes(preamble.data(), preamble.size());
    file_->read_at(section_->offset + segment.offset, bytes);
    if (!bytes.empty()) check(segment, segment.first_block, bytes, segment.first_row);
    preambles_.push_back(std::move(preamble));
  }
}

std::uint64_t CodedReader::ram_bytes() const noexcept {
  std::uint64_t bytes = segments_.size() * sizeof(Segment) + own_checksums_.size() * 8 +
                        checked_.size() * 8 + dictionary_bytes_;
  for (const base::AlignedBuffer& preamble : preambles_) bytes += preamble.size();
  return bytes;
}

SegmentContext CodedReader::context_of(const Segment& segment) const {
  return {&segment, dim_, preamble_of(segment), exponent_code_ ? &*exponent_code_ : nullptr,
          block_codec_.get()};
}

// Checked with the first row that needs it.
std::span<const std::byte> CodedReader::preamble_of(const Segment& segment) const {
  if (file_) return preambles_[static_cast<std::size_t>(&segment - segments_.data())].bytes();
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
  if (!file_ && (word.load(std::memory_order_relaxed) & bit) != 0) return;
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
  if (!file_) {
    const auto bytes = bytes_.subspan(place.begin, place.bytes);
    check(segment, number, bytes, row);
    return bytes;
  }
  BlockCache& cache = caches().stored;
  const std::span<std::byte> buffer = cache.refill(place.bytes);
  file_->read_at(section_->offset + place.begin, buffer);
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
  const FileStamp now = file_->stamp();
  if (now == stamp_) return;
  throw Error(ErrorCode::io, path().string() + ": the file was changed while it was open: it has " +
                                 std::to_string(now.bytes) + " bytes, " +
                                 std::to_string(stamp_.bytes) + " when it was opened");
}

void CodedReader::read(std::span<const std::uint32_t> rows, float* out) const {
  for (const std::uint32_t row : rows) check_row(row, rows_);
  if (file_) check_unchanged();
  for (std::size_t i = 0; i < rows.size();) {
    const Segment& segment = segment_of(rows[i]);
    if (!file_ && !segment.has_block_ends() && i + kRowsAhead < rows.size()) {
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

// One request for each run of rows whose pages touch. Blocks that are unpacked as a whole count
// with all their bytes, which their preamble tells; a damaged one is left for read() to report.
void CodedReader::prefetch(std::span<const std::uint32_t> rows) const noexcept {
  if (rows.empty() || file_ || rows.back() >= rows_) return;
  const auto range_of = [this](std::size_t row, std::uint64_t& begin, std::uint64_t& end) {
    const Segment& segment = segment_of(row);
    const std::size_t local = row - segment.first_row;
    const std::uint64_t preamble = segment.offset + segment.preamble_bytes(dim_);
    if (segment.has_block_ends()) {
      const std::size_t block = local >> segment.block_rows_log2;
      const auto ends =
          bytes_.subspan(segment.offset + segment.num_exceptions * sizeof(std::uint32_t),
                         segment.num_blocks() * sizeof(std::uint32_t));
      begin = preamble + (block == 0 ? 0 : u32_at(ends, block - 1));
      end = preamble + u32_at(ends, block);
    } else {
      const std::size_t row_bytes = coded_row_bytes(segment.encoding, dim_);
      const std::size_t block = local >> segment.block_rows_log2;
      begin =
          preamble + local * row_bytes + (block + 1) * block_header_bytes(segment.encoding, dim_);
      end = begin + row_bytes;
    }
    return begin < end && end <= bytes_.size();
  };
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  if (can_probe_) {
    if (!range_of(rows[rows.size() / 2], begin, end)) return;
    const unsigned streak = warm_streak_.load(std::memory_order_relaxed);
    if (!is_resident(bytes_.data() + begin)) {
      warm_streak_.store(0, std::memory_order_relaxed);
    } else if (streak >= kWarmAfter) {
      return;
    } else {
      warm_streak_.store(streak + 1, std::memory_order_relaxed);
    }
  }
  const std::uint64_t page = page_size();
  std::uint64_t run_begin = 0;
  std::uint64_t run_end = 0;
  for (const std::uint32_t row : rows) {
    if (!range_of(row, begin, end)) continue;
    if (run_end == 0 || begin < run_begin || begin / page > (run_end - 1) / page + 1) {
      if (run_end > 0) advise(bytes_.subspan(run_begin, run_end - run_begin), Advice::will_need);
      run_begin = begin;
    }
    run_end = end;
  }
  if (run_end > 0) advise(bytes_.subspan(run_begin, run_end - run_begin), Advice::will_need);
}

}  // namespace cairn::storage

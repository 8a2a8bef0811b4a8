#include <algorithm>
#include <cassert>
#include <cstring>
#include <string>

#include "cairn/error.h"

#include "base/bytes.h"
#include "storage/container.h"
#include "storage/file.h"
#include "storage/format.h"

namespace cairn::storage {
namespace {

// Sections from this size on have their disk space reserved before they are written.
constexpr std::uint64_t kReserveFromBytes = std::uint64_t{1} << 20;

}  // namespace

// Bytes pass through one block of memory at the most: whole blocks of the caller's are checksummed
// and written where they lie, and only what is left over waits in `pending`.
struct ContainerWriter::Impl {
  Impl(const std::filesystem::path& target, const ContainerInfo& what) : file(target), info(what) {
    pending.reserve(kChecksumBlockBytes);
  }

  AtomicFile file;
  ContainerInfo info;
  std::vector<TableEntry> entries;
  std::vector<std::uint64_t> checksums;   // of all sections so far
  std::size_t first_checksum = 0;         // of the current section
  std::uint64_t position = kHeaderBytes;  // where the next block goes
  std::uint64_t missing = 0;              // bytes of the current section still to come
  bool is_open_ended = false;             // unknown: the current section ends when it is told to
  std::vector<std::byte> pending;         // a block not yet full
  bool is_committed = false;

  SectionType current() const { return entries.back().section.type; }

  void add_block(std::span<const std::byte> block) {
    checksums.push_back(block_checksum(current(), checksums.size() - first_checksum, block));
  }

  void write_pending() {
    if (pending.empty()) return;
    add_block(pending);
    file.file().write_at(position, pending);
    position += pending.size();
    pending.clear();
  }

  void write_whole_blocks(std::span<const std::byte> bytes) {
    for (std::size_t begin = 0; begin < bytes.size(); begin += kChecksumBlockBytes) {
      add_block(bytes.subspan(begin, kChecksumBlockBytes));
    }
    file.file().write_at(position, bytes);
    position += bytes.size();
  }

  void append(std::span<const std::byte> bytes) {
    if (is_open_ended) {
      SectionInfo& section = entries.back().section;
      section.count = section.bytes += bytes.size();
    } else {
      missing -= bytes.size();
    }
    if (!pending.empty()) {
      const std::size_t size = std::min(kChecksumBlockBytes - pending.size(), bytes.size());
      pending.insert(pending.end(), bytes.begin(), bytes.begin() + size);
      bytes = bytes.subspan(size);
      if (pending.size() == kChecksumBlockBytes) write_pending();
    }
    const std::size_t whole = bytes.size() / kChecksumBlockBytes * kChecksumBlockBytes;
    if (whole > 0) write_whole_blocks(bytes.first(whole));
    pending.insert(pending.end(), bytes.begin() + whole, bytes.end());
    if (missing == 0 && !is_open_ended) end_section();
  }

  void begin_section(SectionType type, std::uint64_t element_size, std::uint64_t count,
                     unsigned alignment_log2) {
    SectionInfo section{.type = type,
                        .element_size = element_size,
                        .count = count,
                        .alignment_log2 = alignment_log2};
    std::uint64_t offset = 0;
    std::uint64_t end = 0;
    if (__builtin_mul_overflow(element_size, count, &section.bytes) ||
        !align_up(position, std::uint64_t{1} << alignment_log2, offset) ||
        __builtin_add_overflow(offset, section.bytes, &end) || end > INT64_MAX / 2) {
      throw Error(ErrorCode::io, "section " + std::string(to_string(type)) + " of " +
                                     std::to_string(count) + " elements of " +
                                     std::to_string(element_size) + " bytes is too large for " +
                                     file.file().path().string());
    }
    section.offset = offset;
    if (section.bytes >= kReserveFromBytes) file.file().reserve(offset, section.bytes);
    entries.push_back({section, 0});
    first_checksum = checksums.size();
    position = offset;
    missing = section.bytes;
    if (missing == 0 && !is_open_ended) end_section();
  }

  void end_section() {
    is_open_ended = false;
    write_pending();
    entries.back().checksum =
        section_checksum(current(), std::span(checksums).subspan(first_checksum));
  }

  void write_checksums() {
    base::ByteWriter writer;
    for (const std::uint64_t checksum : checksums) writer.u64(checksum);
    begin_section(SectionType::checksums, 8, checksums.size(), kMinAlignmentLog2);
    if (writer.size() > 0) append(writer.bytes());
  }

  void commit() {
    write_checksums();
    Header header{.info = info};
    const auto table = encode_table(entries);
    const bool fits = align_up(position, kTableEntryBytes, header.table_offset);
    assert(fits);
    static_cast<void>(fits);
    header.file_bytes = header.table_offset + table.size() + kTrailerBytes;
    const auto page = encode_header(header, table);
    file.file().write_at(header.table_offset, table);
    file.file().write_at(header.table_offset + table.size(), encode_trailer(header, table));
    file.file().write_at(0, page);
    file.commit();
    is_committed = true;
  }
};

ContainerWriter::ContainerWriter(const std::filesystem::path& target, const ContainerInfo& info)
    : impl_(std::make_unique<Impl>(target, info)) {}

ContainerWriter::~ContainerWriter() = default;

void ContainerWriter::begin_section(SectionType type, std::uint64_t element_size,
                                    std::uint64_t count, unsigned alignment_log2) {
  assert(impl_->missing == 0 && !impl_->is_committed);
  assert(is_known(type) && type != SectionType::checksums && element_size > 0);
  assert(alignment_log2 >= kMinAlignmentLog2 && alignment_log2 <= kMaxAlignmentLog2);
  assert(impl_->entries.size() + 1 < kMaxSections);
  impl_->begin_section(type, element_size, count, alignment_log2);
}

void ContainerWriter::begin_open_section(SectionType type, unsigned alignment_log2) {
  impl_->is_open_ended = true;
  begin_section(type, 1, 0, alignment_log2);
}

void ContainerWriter::end_section() {
  assert(impl_->is_open_ended);
  impl_->end_section();
}

void ContainerWriter::append(std::span<const std::byte> bytes) {
  assert(impl_->is_open_ended || bytes.size() <= impl_->missing);
  if (!bytes.empty()) impl_->append(bytes);
}

void ContainerWriter::commit() {
  assert(impl_->missing == 0 && !impl_->is_open_ended && !impl_->is_committed);
  impl_->commit();
}

}  // namespace cairn::storage

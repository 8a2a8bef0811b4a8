#include <algorithm>
#include <cassert>
#include <string>

#include "cairn/error.h"

#include "base/bytes.h"
#include "storage/atomic_file.h"
#include "storage/container.h"
#include "storage/format.h"

namespace cairn::storage {
namespace {

// Sections from this size on have their disk space reserved before they are written.
constexpr std::uint64_t kReserveFromBytes = std::uint64_t{1} << 20;

// A section while it is written. Bytes pass through one block of memory at the most: whole blocks
// of the caller's are checksummed and written where they lie, and only what is left over waits in
// `pending`.
struct OpenSection {
  std::uint64_t position = 0;            // where the next block goes
  std::uint64_t missing = 0;             // bytes still to come
  bool is_open_ended = false;            // nobody knows how many: it ends when it is told to
  std::vector<std::uint64_t> checksums;  // of the blocks so far
  std::vector<std::byte> pending;        // a block not yet full
};

}  // namespace

struct ContainerWriter::Impl {
  Impl(const std::filesystem::path& target, const ContainerInfo& what) : file(target), info(what) {}

  AtomicFile file;
  ContainerInfo info;
  std::vector<TableEntry> entries;
  std::vector<OpenSection> open;     // one for each entry
  std::uint64_t end = kHeaderBytes;  // of the last section
  std::vector<Mapping> mappings;
  bool is_committed = false;

  SectionType type(std::size_t section) const { return entries[section].section.type; }

  void add_block(std::size_t section, std::span<const std::byte> block) {
    std::vector<std::uint64_t>& checksums = open[section].checksums;
    checksums.push_back(block_checksum(type(section), checksums.size(), block));
  }

  void write_pending(std::size_t section) {
    OpenSection& to = open[section];
    if (to.pending.empty()) return;
    add_block(section, to.pending);
    file.file().write_at(to.position, to.pending);
    to.position += to.pending.size();
    to.pending.clear();
  }

  void write_whole_blocks(std::size_t section, std::span<const std::byte> bytes) {
    for (std::size_t begin = 0; begin < bytes.size(); begin += kChecksumBlockBytes) {
      add_block(section, bytes.subspan(begin, kChecksumBlockBytes));
    }
    file.file().write_at(open[section].position, bytes);
    open[section].position += bytes.size();
  }

  void append(std::size_t section, std::span<const std::byte> bytes) {
    OpenSection& to = open[section];
    if (to.is_open_ended) {
      SectionInfo& info_of_it = entries[section].section;
      info_of_it.count = info_of_it.bytes += bytes.size();
      end += bytes.size();
    } else {
      to.missing -= bytes.size();
    }
    if (!to.pending.empty()) {
      const std::size_t size = std::min(kChecksumBlockBytes - to.pending.size(), bytes.size());
      to.pending.insert(to.pending.end(), bytes.begin(), bytes.begin() + size);
      bytes = bytes.subspan(size);
      if (to.pending.size() == kChecksumBlockBytes) write_pending(section);
    }
    const std::size_t whole = bytes.size() / kChecksumBlockBytes * kChecksumBlockBytes;
    if (whole > 0) write_whole_blocks(section, bytes.first(whole));
    to.pending.insert(to.pending.end(), bytes.begin() + whole, bytes.end());
    if (to.missing == 0 && !to.is_open_ended) end_section(section);
  }

  void add_section(SectionType type, std::uint64_t element_size, std::uint64_t count,
                   unsigned alignment_log2, bool is_open_ended = false) {
    SectionInfo section{.type = type,
                        .element_size = element_size,
                        .count = count,
                        .alignment_log2 = alignment_log2};
    std::uint64_t offset = 0;
    std::uint64_t section_end = 0;
    if (__builtin_mul_overflow(element_size, count, &section.bytes) ||
        !align_up(end, std::uint64_t{1} << alignment_log2, offset) ||
        __builtin_add_overflow(offset, section.bytes, &section_end) ||
        section_end > INT64_MAX / 2) {
      throw Error(ErrorCode::io, "section " + std::string(to_string(type)) + " of " +
                                     std::to_string(count) + " elements of " +
                                     std::to_string(element_size) + " bytes is too large for " +
                                     file.file().path().string());
    }
    section.offset = offset;
    if (section.bytes >= kReserveFromBytes) file.file().reserve(offset, section.bytes);
    entries.push_back({section, 0});
    open.push_back({.position = offset,
                    .missing = section.bytes,
                    .is_open_ended = is_open_ended,
                    .checksums = {},
                    .pending = {}});
    end = section_end;
    if (section.bytes == 0 && !is_open_ended) end_section(entries.size() - 1);
  }

  void end_section(std::size_t section) {
    open[section].is_open_ended = false;
    write_pending(section);
    entries[section].checksum = section_checksum(type(section), std::span(open[section].checksums));
    open[section].pending = {};
  }

  bool is_complete() const {
    return std::all_of(open.begin(), open.end(), [](const OpenSection& section) {
      return section.missing == 0 && !section.is_open_ended;
    });
  }

  void write_checksums() {
    base::ByteWriter writer;
    for (const OpenSection& section : open) {
      for (const std::uint64_t checksum : section.checksums) writer.u64(checksum);
    }
    add_section(SectionType::checksums, 8, writer.size() / 8, kMinAlignmentLog2);
    if (writer.size() > 0) append(entries.size() - 1, writer.bytes());
  }

  void commit() {
    write_checksums();
    Header header{.info = info};
    const auto table = encode_table(entries);
    const bool fits = align_up(end, kTableEntryBytes, header.table_offset);
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

std::size_t ContainerWriter::add_section(SectionType type, std::uint64_t element_size,
                                         std::uint64_t count, unsigned alignment_log2) {
  assert(!impl_->is_committed);
  assert(is_known(type) && type != SectionType::checksums && element_size > 0);
  assert(alignment_log2 >= kMinAlignmentLog2 && alignment_log2 <= kMaxAlignmentLog2);
  assert(impl_->entries.size() + 1 < kMaxSections);
  impl_->add_section(type, element_size, count, alignment_log2);
  return impl_->entries.size() - 1;
}

void ContainerWriter::append_to(std::size_t section, std::span<const std::byte> bytes) {
  assert(section < impl_->open.size());
  assert(impl_->open[section].is_open_ended || bytes.size() <= impl_->open[section].missing);
  if (!bytes.empty()) impl_->append(section, bytes);
}

void ContainerWriter::begin_section(SectionType type, std::uint64_t element_size,
                                    std::uint64_t count, unsigned alignment_log2) {
  assert(impl_->open.empty() || impl_->open.back().missing == 0);
  add_section(type, element_size, count, alignment_log2);
}

void ContainerWriter::begin_open_section(SectionType type, unsigned alignment_log2) {
  assert(impl_->is_complete() && is_known(type) && impl_->entries.size() + 1 < kMaxSections);
  impl_->add_section(type, 1, 0, alignment_log2, true);
}

void ContainerWriter::end_section() {
  assert(!impl_->open.empty() && impl_->open.back().is_open_ended);
  impl_->end_section(impl_->open.size() - 1);
}

void ContainerWriter::append(std::span<const std::byte> bytes) {
  append_to(impl_->open.size() - 1, bytes);
}

std::span<const std::byte> ContainerWriter::map(std::size_t section) {
  assert(impl_->open[section].missing == 0);
  const SectionInfo& info = impl_->entries[section].section;
  if (info.bytes == 0) return {};
  impl_->mappings.emplace_back(impl_->file.file(), info.offset + info.bytes);
  return impl_->mappings.back().bytes().subspan(info.offset, info.bytes);
}

void ContainerWriter::commit() {
  assert(impl_->is_complete() && !impl_->is_committed);
  impl_->commit();
}

}  // namespace cairn::storage

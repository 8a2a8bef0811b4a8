#include <algorithm>
#include <cstring>
#include <string>

#include "cairn/error.h"

#include "base/aligned_buffer.h"
#include "base/bytes.h"
#include "base/checksum.h"
#include "storage/container.h"
#include "storage/file.h"
#include "storage/format.h"

namespace cairn::storage {
namespace {

// How far ahead of itself verify() asks for pages, since read-ahead may be off where it reads.
constexpr std::uint64_t kVerifyWindowBlocks = 128;

// Bytes that warm() reads at once.
constexpr std::size_t kWarmBytes = std::size_t{1} << 20;

bool holds_vectors(SectionType type) {
  return type == SectionType::vectors || type == SectionType::coded_vectors;
}

const char* to_string(ContainerKind kind) {
  return kind == ContainerKind::index ? "a saved index" : "a vectors file";
}

}  // namespace

struct ContainerReader::Impl {
  std::filesystem::path path;
  File file;
  Mapping mapping;                          // empty if sections are copied
  std::vector<base::AlignedBuffer> copies;  // then one for each entry
  Header header;
  std::vector<TableEntry> entries;
  std::vector<SectionInfo> sections;
  bool may_inspect_residency = false;

  bool is_mapped() const { return !mapping.bytes().empty(); }

  std::span<const std::byte> bytes(const SectionInfo& section) const {
    if (is_mapped()) return mapping.bytes().subspan(section.offset, section.bytes);
    return copies[static_cast<std::size_t>(&section - sections.data())].bytes();
  }

  // Bytes of the file, mapped or else read into `buffer`.
  std::span<const std::byte> read(std::uint64_t offset, std::size_t bytes,
                                  std::vector<std::byte>& buffer) const {
    if (is_mapped()) return mapping.bytes().subspan(offset, bytes);
    buffer.resize(bytes);
    file.read_at(offset, buffer);
    return buffer;
  }

  // Checks what is small, and what is copied.
  void load_sections() {
    for (const TableEntry& entry : entries) sections.push_back(entry.section);
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const SectionInfo& section = sections[i];
      if (is_mapped()) {
        if (is_bulk(section.type)) continue;
        advise(bytes(section), Advice::will_need);
      } else {
        copies.emplace_back(holds_vectors(section.type) ? 0 : section.bytes);
        if (holds_vectors(section.type)) continue;
        file.read_at(section.offset, {copies[i].data(), copies[i].size()});
      }
      expect_checksum(entries[i], section_checksum(section.type, bytes(section)));
    }
  }

  [[noreturn]] void corrupt(const std::string& what) const {
    throw Error(ErrorCode::corrupt, path.string() + ": " + what);
  }

  void expect_checksum(const TableEntry& entry, std::uint64_t found) const {
    if (found != entry.checksum) {
      corrupt("section " + std::string(storage::to_string(entry.section.type)) + ": checksum is " +
              base::to_hex(found) + ", expected " + base::to_hex(entry.checksum));
    }
  }

  void expect_block(const SectionInfo& section, std::uint64_t block, std::uint64_t found,
                    std::uint64_t expected) const {
    if (found == expected) return;
    corrupt("section " + std::string(storage::to_string(section.type)) + " block " +
            std::to_string(block) + " at offset " +
            std::to_string(section.offset + block * kChecksumBlockBytes) + ": checksum is " +
            base::to_hex(found) + ", expected " + base::to_hex(expected));
  }

  // `stored` yields the block checksums of all sections in order.
  void check_blocks(const TableEntry& entry, base::ByteReader& stored) const {
    const SectionInfo& section = entry.section;
    std::vector<std::uint64_t> blocks;
    std::vector<std::byte> buffer;
    for (std::uint64_t block = 0; block < num_blocks(section.bytes); ++block) {
      const std::uint64_t begin = block * kChecksumBlockBytes;
      const std::uint64_t left = section.bytes - begin;
      if (block % kVerifyWindowBlocks == 0) {
        const std::uint64_t window = kVerifyWindowBlocks * kChecksumBlockBytes;
        file.advise(section.offset + begin, std::min(2 * window, left), Advice::will_need);
      }
      const std::span<const std::byte> bytes =
          read(section.offset + begin, std::min<std::uint64_t>(kChecksumBlockBytes, left), buffer);
      const std::uint64_t expected = stored.u64();
      const std::uint64_t found = block_checksum(section.type, block, bytes);
      expect_block(section, block, found, expected);
      blocks.push_back(found);
    }
    expect_checksum(entry, section_checksum(section.type, blocks));
  }

  void check_gap(std::uint64_t begin, std::uint64_t end) const {
    std::vector<std::byte> buffer;
    const auto gap = read(begin, end - begin, buffer);
    const auto is_zero = [](std::byte b) { return b == std::byte{0}; };
    const auto found = std::find_if_not(gap.begin(), gap.end(), is_zero);
    if (found != gap.end()) {
      corrupt("byte at offset " + std::to_string(begin + (found - gap.begin())) +
              " between sections is not zero");
    }
  }
};

ContainerReader::ContainerReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

ContainerReader::~ContainerReader() = default;

std::shared_ptr<const ContainerReader> ContainerReader::open(const std::filesystem::path& path,
                                                             std::optional<ContainerKind> expected,
                                                             ReadMode mode) {
  auto impl = std::make_unique<Impl>();
  impl->path = path;
  impl->file = File::open_for_reading(path);
  const std::uint64_t file_bytes = impl->file.size();
  if (file_bytes < kHeaderBytes + kTrailerBytes) {
    impl->corrupt("not a Cairn file: " + std::to_string(file_bytes) + " bytes, expected at least " +
                  std::to_string(kHeaderBytes + kTrailerBytes));
  }
  if (mode == ReadMode::mapped) {
    impl->mapping = Mapping(impl->file, file_bytes);
    impl->may_inspect_residency = impl->file.may_inspect_residency();
  }

  std::vector<std::byte> page_buffer;
  const auto page = impl->read(0, kHeaderBytes, page_buffer);
  impl->header = decode_header(page, file_bytes, path.string());
  if (expected && impl->header.info.kind != *expected) {
    impl->corrupt("is " + std::string(to_string(impl->header.info.kind)) + ", expected " +
                  to_string(*expected));
  }
  std::vector<std::byte> tail_buffer;
  const std::uint64_t table = impl->header.table_offset;
  const auto tail = impl->read(table, file_bytes - table, tail_buffer);
  impl->entries = decode_table(impl->header, page, tail, path.string());
  impl->load_sections();
  if (mode == ReadMode::mapped) {
    advise(impl->mapping.bytes(), Advice::normal);
  } else {
    impl->file.advise(0, file_bytes, Advice::random);  // from here on
  }
  return std::make_shared<const ContainerReader>(std::move(impl));
}

const ContainerInfo& ContainerReader::info() const noexcept { return impl_->header.info; }
const std::filesystem::path& ContainerReader::path() const noexcept { return impl_->path; }
bool ContainerReader::is_mapped() const noexcept { return impl_->is_mapped(); }
const File& ContainerReader::file() const noexcept { return impl_->file; }
std::uint64_t ContainerReader::file_bytes() const noexcept { return impl_->header.file_bytes; }
std::array<std::uint8_t, 16> ContainerReader::uuid() const noexcept { return impl_->header.uuid; }
std::span<const SectionInfo> ContainerReader::sections() const noexcept { return impl_->sections; }

const SectionInfo* ContainerReader::find(SectionType type) const noexcept {
  for (const SectionInfo& section : impl_->sections) {
    if (section.type == type) return &section;
  }
  return nullptr;
}

std::span<const std::byte> ContainerReader::bytes(const SectionInfo& section) const noexcept {
  return impl_->bytes(section);
}

const SectionInfo& ContainerReader::require(SectionType type, std::uint64_t element_size,
                                            std::optional<std::uint64_t> expected_count) const {
  const SectionInfo* const section = find(type);
  const std::string what = "section " + std::string(storage::to_string(type));
  if (section == nullptr) impl_->corrupt(what + " is missing");
  if (section->element_size != element_size) {
    impl_->corrupt(what + ": element_size is " + std::to_string(section->element_size) +
                   ", expected " + std::to_string(element_size));
  }
  if (expected_count && section->count != *expected_count) {
    impl_->corrupt(what + ": count is " + std::to_string(section->count) + ", expected " +
                   std::to_string(*expected_count));
  }
  return *section;
}

void ContainerReader::verify() const {
  // The checksums first: what they say of other sections means nothing before.
  const TableEntry& checksums = impl_->entries.back();
  const std::span<const std::byte> numbers = impl_->bytes(impl_->sections.back());
  impl_->expect_checksum(checksums, section_checksum(checksums.section.type, numbers));
  base::ByteReader stored(numbers, "checksums");
  std::uint64_t end = kHeaderBytes;
  for (const TableEntry& entry : impl_->entries) {
    const SectionInfo& section = entry.section;
    impl_->check_gap(end, section.offset);
    if (section.type != SectionType::checksums) impl_->check_blocks(entry, stored);
    end = section.offset + section.bytes;
  }
  impl_->check_gap(end, impl_->header.table_offset);
}

void ContainerReader::check_block(const SectionInfo& section, std::uint64_t block) const {
  std::uint64_t place = block;  // among all checksums
  for (const SectionInfo* before = impl_->sections.data(); before != &section; ++before) {
    place += num_blocks(before->bytes);
  }
  std::uint64_t expected = 0;
  const std::span<const std::byte> stored = impl_->bytes(impl_->sections.back());
  std::memcpy(&expected, stored.data() + place * sizeof expected, sizeof expected);
  const std::uint64_t begin = block * kChecksumBlockBytes;
  const std::span<const std::byte> bytes = impl_->bytes(section).subspan(
      begin, std::min<std::uint64_t>(kChecksumBlockBytes, section.bytes - begin));
  impl_->expect_block(section, block, block_checksum(section.type, block, bytes), expected);
}

void ContainerReader::advise_random(const SectionInfo& section) const noexcept {
  if (impl_->is_mapped()) advise(impl_->bytes(section), Advice::random);
}

bool ContainerReader::may_inspect_residency() const noexcept {
  return impl_->may_inspect_residency;
}

bool ContainerReader::is_resident(std::uint64_t offset) const noexcept {
  return storage::is_resident(impl_->mapping.bytes().data() + offset);
}

std::uint64_t ContainerReader::resident_bytes(const SectionInfo& section) const {
  return impl_->is_mapped() ? storage::resident_bytes(impl_->bytes(section)) : 0;
}

// Read, not touched: what the file no longer has is then an error and no signal. A page that is
// missing afterwards was taken away because memory is short: then read-ahead would take away
// others.
std::uint64_t ContainerReader::warm(const SectionInfo& section, std::uint64_t max_bytes) const {
  const std::uint64_t wanted = std::min(section.bytes, max_bytes);
  if (!impl_->is_mapped() && !holds_vectors(section.type)) return 0;  // copied at open
  std::vector<std::byte> buffer(std::min<std::uint64_t>(wanted, kWarmBytes));
  for (std::uint64_t done = 0; done < wanted; done += buffer.size()) {
    buffer.resize(std::min<std::uint64_t>(buffer.size(), wanted - done));
    impl_->file.advise(section.offset + done,
                       std::min<std::uint64_t>(8 * kWarmBytes, wanted - done), Advice::will_need);
    impl_->file.read_at(section.offset + done, buffer);
  }
  return wanted;
}

void ContainerReader::lock(const SectionInfo& section) const {
  if (impl_->is_mapped()) lock_in_memory(impl_->bytes(section), impl_->path);
}

void ContainerReader::trim(const SectionInfo& section) const noexcept {
  if (impl_->is_mapped()) {
    unlock(impl_->bytes(section));
    advise(impl_->bytes(section), Advice::not_needed);
  }
  impl_->file.advise(section.offset, section.bytes, Advice::not_needed);
}

}  // namespace cairn::storage

#include <algorithm>
#include <cstring>
#include <string>

#include "cairn/error.h"

#include "base/bytes.h"
#include "base/checksum.h"
#include "storage/container.h"
#include "storage/file.h"
#include "storage/format.h"

namespace cairn::storage {
namespace {

// How far ahead of itself verify() asks for pages, since read-ahead may be off where it reads.
constexpr std::uint64_t kVerifyWindowBlocks = 128;

const char* to_string(ContainerKind kind) {
  return kind == ContainerKind::index ? "a saved index" : "a vectors file";
}

}  // namespace

struct ContainerReader::Impl {
  std::filesystem::path path;
  Mapping mapping;
  Header header;
  std::vector<TableEntry> entries;
  std::vector<SectionInfo> sections;
  bool may_inspect_residency = false;

  std::span<const std::byte> bytes(const SectionInfo& section) const {
    return mapping.bytes().subspan(section.offset, section.bytes);
  }

  [[noreturn]] void corrupt(const std::string& what) const {
    throw Error(ErrorCode::corrupt, path.string() + ": " + what);
  }

  void check_section(const TableEntry& entry) const {
    expect_checksum(entry, section_checksum(entry.section.type, bytes(entry.section)));
  }

  void expect_checksum(const TableEntry& entry, std::uint64_t found) const {
    if (found != entry.checksum) {
      corrupt("section " + std::string(storage::to_string(entry.section.type)) + ": checksum is " +
              base::to_hex(found) + ", expected " + base::to_hex(entry.checksum));
    }
  }

  // `stored` yields the block checksums of all sections in order.
  void check_blocks(const TableEntry& entry, base::ByteReader& stored) const {
    const SectionInfo& section = entry.section;
    const auto all = bytes(section);
    std::vector<std::uint64_t> blocks;
    for (std::uint64_t block = 0; block < num_blocks(all.size()); ++block) {
      const std::size_t begin = block * kChecksumBlockBytes;
      const std::size_t size = std::min(kChecksumBlockBytes, all.size() - begin);
      if (block % kVerifyWindowBlocks == 0) {
        const std::size_t window = kVerifyWindowBlocks * kChecksumBlockBytes;
        advise(all.subspan(begin, std::min(2 * window, all.size() - begin)), Advice::will_need);
      }
      const std::uint64_t expected = stored.u64();
      const std::uint64_t found = block_checksum(section.type, block, all.subspan(begin, size));
      if (found != expected) {
        corrupt("section " + std::string(storage::to_string(section.type)) + " block " +
                std::to_string(block) + " at offset " + std::to_string(section.offset + begin) +
                ": checksum is " + base::to_hex(found) + ", expected " + base::to_hex(expected));
      }
      blocks.push_back(found);
    }
    expect_checksum(entry, section_checksum(section.type, blocks));
  }

  void check_gap(std::uint64_t begin, std::uint64_t end) const {
    const auto gap = mapping.bytes().subspan(begin, end - begin);
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

std::shared_ptr<const ContainerReader> ContainerReader::open(
    const std::filesystem::path& path, std::optional<ContainerKind> expected) {
  auto impl = std::make_unique<Impl>();
  impl->path = path;
  const File file = File::open_for_reading(path);
  const std::uint64_t file_bytes = file.size();
  if (file_bytes < kHeaderBytes + kTrailerBytes) {
    impl->corrupt("not a Cairn file: " + std::to_string(file_bytes) + " bytes, expected at least " +
                  std::to_string(kHeaderBytes + kTrailerBytes));
  }
  impl->mapping = Mapping(file, file_bytes);
  impl->may_inspect_residency = file.may_inspect_residency();

  const auto page = impl->mapping.bytes().first(kHeaderBytes);
  impl->header = decode_header(page, file_bytes, path.string());
  if (expected && impl->header.info.kind != *expected) {
    impl->corrupt("is " + std::string(to_string(impl->header.info.kind)) + ", expected " +
                  to_string(*expected));
  }
  const auto tail = impl->mapping.bytes().subspan(impl->header.table_offset);
  impl->entries = decode_table(impl->header, page, tail, path.string());
  for (const TableEntry& entry : impl->entries) {
    const SectionInfo& section = entry.section;
    impl->sections.push_back(section);
    if (!is_bulk(section.type) && section.bytes <= kVerifiedAtOpenBytes) {
      advise(impl->bytes(section), Advice::will_need);
      impl->check_section(entry);
    }
  }
  advise(impl->mapping.bytes(), Advice::normal);
  return std::make_shared<const ContainerReader>(std::move(impl));
}

const ContainerInfo& ContainerReader::info() const noexcept { return impl_->header.info; }
const std::filesystem::path& ContainerReader::path() const noexcept { return impl_->path; }
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
  impl_->check_section(checksums);
  base::ByteReader stored(impl_->bytes(checksums.section), "checksums");
  std::uint64_t end = kHeaderBytes;
  for (const TableEntry& entry : impl_->entries) {
    const SectionInfo& section = entry.section;
    impl_->check_gap(end, section.offset);
    if (section.type != SectionType::checksums) impl_->check_blocks(entry, stored);
    end = section.offset + section.bytes;
  }
  impl_->check_gap(end, impl_->header.table_offset);
}

void ContainerReader::advise_random(const SectionInfo& section) const noexcept {
  advise(impl_->bytes(section), Advice::random);
}

bool ContainerReader::may_inspect_residency() const noexcept {
  return impl_->may_inspect_residency;
}

}  // namespace cairn::storage

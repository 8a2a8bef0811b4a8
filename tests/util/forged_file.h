#pragma once

// Cairn files that are wrong although all their checksums are right.

#include <cstddef>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <vector>

#include "storage/container.h"

namespace cairn::test {

// The sections of a container, to be changed and written again: the writer makes all checksums
// anew.
class ForgedFile {
 public:
  explicit ForgedFile(const std::filesystem::path& path) {
    const auto reader = storage::ContainerReader::open(path);
    info_ = reader->info();
    for (const storage::SectionInfo& section : reader->sections()) {
      if (section.type == storage::SectionType::checksums) continue;
      const std::span<const std::byte> bytes = reader->bytes(section);
      sections_.push_back({section, {bytes.begin(), bytes.end()}});
    }
  }

  bool has(storage::SectionType type) const {
    for (const Section& section : sections_) {
      if (section.info.type == type) return true;
    }
    return false;
  }
  std::size_t num_sections() const { return sections_.size(); }
  std::vector<std::byte>& bytes(std::size_t section) { return sections_[section].bytes; }
  std::vector<std::byte>& bytes(storage::SectionType type) {
    for (Section& section : sections_) {
      if (section.info.type == type) return section.bytes;
    }
    throw std::runtime_error("no such section");
  }
  template <typename T>
  void set(storage::SectionType type, std::size_t offset, const T& value) {
    std::memcpy(bytes(type).data() + offset, &value, sizeof value);
  }

  void write(const std::filesystem::path& path) const {
    storage::ContainerWriter writer(path, info_);
    for (const Section& section : sections_) {
      writer.begin_section(section.info.type, section.info.element_size, section.info.count,
                           section.info.alignment_log2);
      writer.append(section.bytes);
    }
    writer.commit();
  }

 private:
  struct Section {
    storage::SectionInfo info;
    std::vector<std::byte> bytes;
  };
  storage::ContainerInfo info_;
  std::vector<Section> sections_;
};

}  // namespace cairn::test

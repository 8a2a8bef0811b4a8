#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "base/random.h"
#include "storage/container.h"

namespace cairn::test {

inline std::vector<std::byte> random_bytes(std::size_t size, std::uint64_t seed) {
  base::Random random(seed);
  std::vector<std::byte> bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.next());
  return bytes;
}

// What write_sample_container() writes: the container knows nothing of what sections mean, so
// neither do these.
struct SampleSection {
  storage::SectionType type;
  std::uint64_t element_size;
  std::uint64_t count;
  unsigned alignment_log2;

  std::vector<std::byte> bytes() const {
    return random_bytes(element_size * count, static_cast<std::uint64_t>(type));
  }
};

inline const std::vector<SampleSection>& sample_sections() {
  static const std::vector<SampleSection> sections = {
      {storage::SectionType::index_parameters, 1, 77, 6},
      {storage::SectionType::lists, 24, 10, 6},
      {storage::SectionType::calibration, 4, 0, 8},
      {storage::SectionType::blocks, 1000, 150, 12},  // three checksum blocks
      {storage::SectionType::ids, 8, 33, 6},
  };
  return sections;
}

inline storage::ContainerInfo sample_info() {
  return {.kind = storage::ContainerKind::index, .dim = 24, .count = 33, .metric = 2};
}

inline void write_sample_container(const std::filesystem::path& path) {
  storage::ContainerWriter writer(path, sample_info());
  for (const SampleSection& section : sample_sections()) {
    writer.begin_section(section.type, section.element_size, section.count, section.alignment_log2);
    writer.append(section.bytes());
  }
  writer.commit();
}

// One of 4,096 + about 300 bytes, for tests that try every byte.
inline void write_tiny_container(const std::filesystem::path& path) {
  const std::vector<std::byte> ids = random_bytes(40, 1);
  storage::ContainerWriter writer(path, {.dim = 3, .count = 5});
  writer.begin_section(storage::SectionType::ids, 8, 5);
  writer.append(ids);
  writer.commit();
}

}  // namespace cairn::test

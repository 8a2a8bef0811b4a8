#pragma once

// Mirror of docs/format.md: the fixed parts of a container, to and from bytes. Each decode function
// rejects what it can see for itself and throws Error(corrupt) or Error(version_unsupported) with a
// message that begins with `name`, the file's path.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "storage/container.h"

namespace cairn::storage {

inline constexpr std::uint16_t kFormatMajor = 1;
inline constexpr std::uint16_t kFormatMinor = 3;
inline constexpr std::uint64_t kKnownIncompatFeatures = 0;

inline constexpr std::size_t kHeaderBytes = 4096;
inline constexpr std::size_t kTableEntryBytes = 64;
inline constexpr std::size_t kTrailerBytes = 64;
inline constexpr std::size_t kMaxSections = 64;
inline constexpr unsigned kMinAlignmentLog2 = 6;
inline constexpr unsigned kMaxAlignmentLog2 = 21;
inline constexpr std::size_t kChecksumBlockBytes = 65536;

using Uuid = std::array<std::uint8_t, 16>;

struct Header {
  ContainerInfo info;
  std::uint32_t section_count = 0;
  std::uint64_t file_bytes = 0;
  std::uint64_t table_offset = 0;
  Uuid uuid{};
};

struct TableEntry {
  SectionInfo section;
  std::uint64_t checksum = 0;
};

// "vectors", "ids", ...; "unknown" for other numbers.
const char* to_string(SectionType type) noexcept;
bool is_known(SectionType type) noexcept;
// The first minor version that has this section.
std::uint16_t minor_version_of(SectionType type) noexcept;
// Sections that grow with the number of vectors, so that opening must not read them.
bool is_bulk(SectionType type) noexcept;

// Rounds up to a multiple of `alignment`, a power of two. False if that does not fit in 64 bits.
bool align_up(std::uint64_t value, std::uint64_t alignment, std::uint64_t& aligned) noexcept;
std::uint64_t num_blocks(std::uint64_t section_bytes) noexcept;

std::uint64_t block_checksum(SectionType type, std::uint64_t block,
                             std::span<const std::byte> bytes) noexcept;
// Over a section's block checksums.
std::uint64_t section_checksum(SectionType type, std::span<const std::uint64_t> blocks);
// The same computed from the section itself.
std::uint64_t section_checksum(SectionType type, std::span<const std::byte> section);

// `header.uuid` and `header.section_count` are set from the table first. The minor version is the
// oldest that has every section of the table.
std::vector<std::byte> encode_header(Header& header, std::span<const std::byte> table);
std::vector<std::byte> encode_table(std::span<const TableEntry> entries);
std::vector<std::byte> encode_trailer(const Header& header, std::span<const std::byte> table);

// `page` is the first kHeaderBytes of a file of `file_bytes` >= kHeaderBytes + kTrailerBytes.
Header decode_header(std::span<const std::byte> page, std::uint64_t file_bytes,
                     const std::string& name);
// `tail` is the file from header.table_offset on: table and trailer, checked against `page`.
std::vector<TableEntry> decode_table(const Header& header, std::span<const std::byte> page,
                                     std::span<const std::byte> tail, const std::string& name);

}  // namespace cairn::storage

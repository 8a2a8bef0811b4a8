#include "storage/format.h"

#include <algorithm>
#include <cstring>

#include "cairn/error.h"
#include "cairn/types.h"

#include "base/bytes.h"
#include "base/checksum.h"

namespace cairn::storage {
namespace {

constexpr std::uint64_t kHeaderMagic = 0x0A1A0A0D4E524389;   // "\x89CRN\r\n\x1A\n"
constexpr std::uint64_t kTrailerMagic = 0x0A444E454E524389;  // "\x89CRNEND\n"
constexpr std::uint32_t kEndianMarker = 0x01020304;

constexpr std::size_t kUuidOffset = 32;
constexpr std::size_t kHeaderChecksumOffset = kHeaderBytes - 8;
constexpr std::size_t kTrailerChecksumOffset = kTrailerBytes - 8;

[[noreturn]] void corrupt(const std::string& name, const std::string& what) {
  throw Error(ErrorCode::corrupt, name + ": " + what);
}

void expect_equal(std::uint64_t found, std::uint64_t expected, const std::string& name,
                  const std::string& what) {
  if (found != expected) {
    corrupt(name, what + " is " + std::to_string(found) + ", expected " + std::to_string(expected));
  }
}

void expect_between(std::uint64_t found, std::uint64_t low, std::uint64_t high,
                    const std::string& name, const std::string& what) {
  if (found < low || found > high) {
    corrupt(name, what + " is " + std::to_string(found) + ", expected " + std::to_string(low) +
                      " to " + std::to_string(high));
  }
}

void expect_checksum(std::uint64_t found, std::uint64_t expected, const std::string& name,
                     const std::string& what) {
  if (found != expected) {
    corrupt(name,
            what + ": checksum is " + base::to_hex(found) + ", expected " + base::to_hex(expected));
  }
}

void expect_zeros(std::span<const std::byte> bytes, const std::string& name,
                  const std::string& what) {
  if (std::any_of(bytes.begin(), bytes.end(), [](std::byte b) { return b != std::byte{0}; })) {
    corrupt(name, what + ": reserved bytes are not zero");
  }
}

std::uint64_t seed_of(SectionType type, std::uint64_t block) {
  return (static_cast<std::uint64_t>(type) << 48) + block;
}

// The name of the contents: header without uuid and checksum, then the table.
Uuid uuid_of(std::span<const std::byte> page, std::span<const std::byte> table) {
  constexpr std::size_t kUuidEnd = kUuidOffset + sizeof(Uuid);
  base::ByteWriter named;
  named.raw(page.first(kUuidOffset));
  named.pad_to(kUuidEnd);
  named.raw(page.subspan(kUuidEnd, kHeaderChecksumOffset - kUuidEnd));
  named.pad_to(kHeaderBytes);
  named.raw(table);
  return base::checksum128(named.bytes());
}

Uuid read_uuid(base::ByteReader& reader) {
  Uuid uuid;
  std::memcpy(uuid.data(), reader.raw(uuid.size()).data(), uuid.size());
  return uuid;
}

std::uint64_t u64_at(std::span<const std::byte> bytes, std::size_t offset) {
  return base::ByteReader(bytes.subspan(offset, 8), "").u64();
}

SectionInfo decode_entry(base::ByteReader& reader, std::uint64_t& checksum, const std::string& name,
                         const std::string& what) {
  SectionInfo section;
  section.type = static_cast<SectionType>(reader.u32());
  if (!is_known(section.type)) {
    throw Error(ErrorCode::version_unsupported,
                name + ": " + what + ": type " +
                    std::to_string(static_cast<std::uint32_t>(section.type)) +
                    " is unknown to this version");
  }
  expect_equal(reader.u32(), 0, name, what + ": flags");
  section.offset = reader.u64();
  section.bytes = reader.u64();
  section.element_size = reader.u64();
  section.count = reader.u64();
  section.alignment_log2 = reader.u32();
  expect_zeros(reader.raw(4), name, what);
  checksum = reader.u64();
  expect_zeros(reader.raw(8), name, what);

  expect_between(section.alignment_log2, kMinAlignmentLog2, kMaxAlignmentLog2, name,
                 what + ": alignment_log2");
  if (section.element_size == 0) corrupt(name, what + ": element_size is 0");
  std::uint64_t bytes = 0;
  if (__builtin_mul_overflow(section.element_size, section.count, &bytes)) {
    corrupt(name, what + ": element_size * count is beyond 64 bits");
  }
  expect_equal(section.bytes, bytes, name, what + ": bytes");
  return section;
}

void check_trailer(const Header& header, std::span<const std::byte> table,
                   std::span<const std::byte> trailer, const std::string& name) {
  base::ByteReader reader(trailer, name);
  if (reader.u64() != kTrailerMagic) corrupt(name, "trailer: wrong magic number");
  expect_checksum(base::checksum64(trailer.first(kTrailerChecksumOffset), 0),
                  u64_at(trailer, kTrailerChecksumOffset), name, "trailer");
  if (read_uuid(reader) != header.uuid) corrupt(name, "trailer: uuid differs from the header's");
  expect_equal(reader.u64(), header.file_bytes, name, "trailer: file_bytes");
  expect_checksum(base::checksum64(table, 0), reader.u64(), name, "section table");
  expect_equal(reader.u32(), header.section_count, name, "trailer: section_count");
  expect_zeros(reader.raw(12), name, "trailer");
}

}  // namespace

const char* to_string(SectionType type) noexcept {
  switch (type) {
    case SectionType::checksums:
      return "checksums";
    case SectionType::index_parameters:
      return "index_parameters";
    case SectionType::rotation:
      return "rotation";
    case SectionType::lists:
      return "lists";
    case SectionType::blocks:
      return "blocks";
    case SectionType::centroids:
      return "centroids";
    case SectionType::centroid_scales:
      return "centroid_scales";
    case SectionType::refine_codes:
      return "refine_codes";
    case SectionType::ids:
      return "ids";
    case SectionType::id_order:
      return "id_order";
    case SectionType::calibration:
      return "calibration";
    case SectionType::vectors:
      return "vectors";
    case SectionType::mean:
      return "mean";
    case SectionType::coded_vectors:
      return "coded_vectors";
    case SectionType::vector_segments:
      return "vector_segments";
    case SectionType::vector_checksums:
      return "vector_checksums";
    case SectionType::exponent_code:
      return "exponent_code";
    case SectionType::vector_dictionary:
      return "vector_dictionary";
    case SectionType::payloads:
      return "payloads";
    case SectionType::payload_blocks:
      return "payload_blocks";
    case SectionType::stop_rules:
      return "stop_rules";
    case SectionType::query_profile:
      return "query_profile";
    case SectionType::centroid_lows:
      return "centroid_lows";
    case SectionType::frame_scale:
      return "frame_scale";
  }
  return "unknown";
}

bool is_known(SectionType type) noexcept {
  return type >= SectionType::checksums && type <= SectionType::frame_scale;
}

std::uint16_t minor_version_of(SectionType type) noexcept {
  if (type > SectionType::query_profile) return 3;
  if (type > SectionType::vector_dictionary) return 2;
  return type >= SectionType::coded_vectors ? 1 : 0;
}

bool is_bulk(SectionType type) noexcept {
  switch (type) {
    case SectionType::blocks:
    case SectionType::centroids:
    case SectionType::centroid_lows:
    case SectionType::refine_codes:
    case SectionType::ids:
    case SectionType::id_order:
    case SectionType::vectors:
    case SectionType::coded_vectors:
    case SectionType::vector_checksums:
    case SectionType::payloads:
    case SectionType::payload_blocks:
      return true;
    default:
      return false;
  }
}

bool align_up(std::uint64_t value, std::uint64_t alignment, std::uint64_t& aligned) noexcept {
  if (__builtin_add_overflow(value, alignment - 1, &aligned)) return false;
  aligned &= ~(alignment - 1);
  return true;
}

std::uint64_t num_blocks(std::uint64_t section_bytes) noexcept {
  return section_bytes / kChecksumBlockBytes + (section_bytes % kChecksumBlockBytes != 0);
}

std::uint64_t block_checksum(SectionType type, std::uint64_t block,
                             std::span<const std::byte> bytes) noexcept {
  return base::checksum64(bytes, seed_of(type, block));
}

std::uint64_t section_checksum(SectionType type, std::span<const std::uint64_t> blocks) {
  base::ByteWriter writer;
  for (const std::uint64_t checksum : blocks) writer.u64(checksum);
  return base::checksum64(writer.bytes(), seed_of(type, (std::uint64_t{1} << 48) - 1));
}

std::uint64_t section_checksum(SectionType type, std::span<const std::byte> section) {
  std::vector<std::uint64_t> blocks;
  blocks.reserve(num_blocks(section.size()));
  for (std::size_t begin = 0; begin < section.size(); begin += kChecksumBlockBytes) {
    const std::size_t size = std::min(kChecksumBlockBytes, section.size() - begin);
    blocks.push_back(block_checksum(type, blocks.size(), section.subspan(begin, size)));
  }
  return section_checksum(type, blocks);
}

std::vector<std::byte> encode_header(Header& header, std::span<const std::byte> table) {
  header.section_count = static_cast<std::uint32_t>(table.size() / kTableEntryBytes);
  std::uint16_t minor = 0;
  for (std::size_t entry = 0; entry < table.size(); entry += kTableEntryBytes) {
    const std::uint32_t type = base::ByteReader(table.subspan(entry, 4), "").u32();
    minor = std::max(minor, minor_version_of(static_cast<SectionType>(type)));
  }
  const auto encode = [&](const Uuid& uuid) {
    base::ByteWriter writer;
    writer.u64(kHeaderMagic);
    writer.u32(kEndianMarker);
    writer.u16(kFormatMajor);
    writer.u16(minor);
    writer.u32(kHeaderBytes);
    writer.u32(header.section_count);
    writer.u64(header.file_bytes);
    writer.raw(std::as_bytes(std::span(uuid)));
    writer.u64(0);  // incompat_features
    writer.u64(0);  // compat_features
    writer.u32(static_cast<std::uint32_t>(header.info.kind));
    writer.u32(header.info.dim);
    writer.u64(header.info.count);
    writer.u32(header.info.metric);
    writer.u32(0);
    writer.u64(header.table_offset);
    writer.pad_to(kHeaderChecksumOffset);
    writer.u64(base::checksum64(writer.bytes(), 0));
    return writer.take();
  };
  header.uuid = uuid_of(encode(Uuid{}), table);
  return encode(header.uuid);
}

std::vector<std::byte> encode_table(std::span<const TableEntry> entries) {
  base::ByteWriter writer;
  for (const auto& [section, checksum] : entries) {
    writer.u32(static_cast<std::uint32_t>(section.type));
    writer.u32(0);
    writer.u64(section.offset);
    writer.u64(section.bytes);
    writer.u64(section.element_size);
    writer.u64(section.count);
    writer.u32(section.alignment_log2);
    writer.u32(0);
    writer.u64(checksum);
    writer.u64(0);
  }
  return writer.take();
}

std::vector<std::byte> encode_trailer(const Header& header, std::span<const std::byte> table) {
  base::ByteWriter writer;
  writer.u64(kTrailerMagic);
  writer.raw(std::as_bytes(std::span(header.uuid)));
  writer.u64(header.file_bytes);
  writer.u64(base::checksum64(table, 0));
  writer.u32(header.section_count);
  writer.pad_to(kTrailerChecksumOffset);
  writer.u64(base::checksum64(writer.bytes(), 0));
  return writer.take();
}

Header decode_header(std::span<const std::byte> page, std::uint64_t file_bytes,
                     const std::string& name) {
  base::ByteReader reader(page, name);
  if (reader.u64() != kHeaderMagic) corrupt(name, "not a Cairn file: wrong magic number");
  expect_checksum(base::checksum64(page.first(kHeaderChecksumOffset), 0),
                  u64_at(page, kHeaderChecksumOffset), name, "header");
  expect_equal(reader.u32(), kEndianMarker, name, "header: endian_marker");
  const std::uint16_t major = reader.u16();
  const std::uint16_t minor = reader.u16();
  if (major == 0) corrupt(name, "header: format version 0");
  if (major > kFormatMajor) {
    throw Error(ErrorCode::version_unsupported,
                name + ": format " + std::to_string(major) + "." + std::to_string(minor) +
                    ", this library reads up to " + std::to_string(kFormatMajor) + "." +
                    std::to_string(kFormatMinor));
  }
  Header header;
  const std::uint32_t header_bytes = reader.u32();
  header.section_count = reader.u32();
  header.file_bytes = reader.u64();
  header.uuid = read_uuid(reader);
  const std::uint64_t unknown_features = reader.u64() & ~kKnownIncompatFeatures;
  if (unknown_features != 0) {
    throw Error(
        ErrorCode::version_unsupported,
        name + ": needs features unknown to this version: " + base::to_hex(unknown_features));
  }
  reader.u64();  // compat_features
  if (header.file_bytes != file_bytes) {
    corrupt(name, "truncated or extended: file has " + std::to_string(file_bytes) +
                      " bytes, expected " + std::to_string(header.file_bytes));
  }
  expect_equal(header_bytes, kHeaderBytes, name, "header: header_bytes");
  const std::uint32_t kind = reader.u32();
  expect_between(kind, 1, 2, name, "header: kind");
  header.info.kind = static_cast<ContainerKind>(kind);
  header.info.dim = reader.u32();
  expect_between(header.info.dim, 1, kMaxDim, name, "header: dim");
  header.info.count = reader.u64();
  expect_between(header.info.count, 0, kMaxRows, name, "header: count");
  header.info.metric = reader.u32();
  expect_between(header.info.metric, 0, 2, name, "header: metric");
  if (header.info.kind == ContainerKind::vectors) {
    expect_equal(header.info.metric, 0, name, "header: metric of a vectors file");
  }
  expect_zeros(reader.raw(4), name, "header");
  header.table_offset = reader.u64();
  expect_zeros(reader.raw(kHeaderChecksumOffset - reader.position()), name, "header");

  expect_between(header.section_count, 1, kMaxSections, name, "header: section_count");
  const std::uint64_t tail_bytes = header.section_count * kTableEntryBytes + kTrailerBytes;
  if (file_bytes < kHeaderBytes + tail_bytes) {
    corrupt(name, "no room for " + std::to_string(header.section_count) + " sections in " +
                      std::to_string(file_bytes) + " bytes");
  }
  expect_equal(header.table_offset, file_bytes - tail_bytes, name, "header: table_offset");
  return header;
}

std::vector<TableEntry> decode_table(const Header& header, std::span<const std::byte> page,
                                     std::span<const std::byte> tail, const std::string& name) {
  const auto table = tail.first(header.section_count * kTableEntryBytes);
  check_trailer(header, table, tail.subspan(table.size()), name);
  if (uuid_of(page, table) != header.uuid) corrupt(name, "uuid does not match header and table");

  std::vector<TableEntry> entries;
  base::ByteReader reader(table, name);
  std::uint64_t end = kHeaderBytes;
  std::uint64_t blocks = 0;
  for (std::uint32_t i = 0; i < header.section_count; ++i) {
    const std::string what = "section " + std::to_string(i);
    TableEntry entry;
    entry.section = decode_entry(reader, entry.checksum, name, what);
    const SectionInfo& section = entry.section;
    for (const TableEntry& other : entries) {
      if (other.section.type == section.type) {
        corrupt(name, what + ": a second section " + to_string(section.type));
      }
    }
    std::uint64_t expected_offset = 0;
    if (!align_up(end, std::uint64_t{1} << section.alignment_log2, expected_offset)) {
      corrupt(name, what + ": offset is beyond 64 bits");
    }
    expect_equal(section.offset, expected_offset, name, what + ": offset");
    if (section.offset > header.table_offset ||
        section.bytes > header.table_offset - section.offset) {
      corrupt(name, what + ": " + std::to_string(section.bytes) + " bytes at offset " +
                        std::to_string(section.offset) + " run into the section table at " +
                        std::to_string(header.table_offset));
    }
    end = section.offset + section.bytes;
    if (i + 1 < header.section_count) blocks += num_blocks(section.bytes);
    entries.push_back(entry);
  }

  const SectionInfo& last = entries.back().section;
  if (last.type != SectionType::checksums) {
    corrupt(name,
            std::string("the last section is ") + to_string(last.type) + ", expected checksums");
  }
  expect_equal(last.element_size, 8, name, "section checksums: element_size");
  expect_equal(last.count, blocks, name, "section checksums: count");
  std::uint64_t table_offset = 0;
  if (!align_up(end, kTableEntryBytes, table_offset)) corrupt(name, "sections end beyond 64 bits");
  expect_equal(header.table_offset, table_offset, name, "header: table_offset");
  return entries;
}

}  // namespace cairn::storage

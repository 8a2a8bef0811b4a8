#pragma once

// The container: one versioned, checksummed, position-independent file of typed sections that can
// be memory-mapped and used in place. docs/format.md is its specification; storage/format.h mirrors
// it. The container knows nothing of what its sections mean.

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace cairn::storage {

class File;

enum class ContainerKind : std::uint32_t { index = 1, vectors = 2 };

// What a section holds; the numbers are part of the format.
enum class SectionType : std::uint32_t {
  checksums = 1,  // written by the container itself
  index_parameters = 2,
  rotation = 3,   // sign bits of the random rotation
  lists = 4,      // table of coded lists
  blocks = 5,     // binary codes and factors
  centroids = 6,  // half-precision child centroids
  centroid_scales = 7,
  refine_codes = 8,
  ids = 9,
  id_order = 10,  // rows sorted by id
  calibration = 11,
  vectors = 12,  // float32 rows in leaf order
  mean = 13,     // of the lifted rows
  // Instead of `vectors`, from format 1.1 on; storage/segment.h.
  coded_vectors = 14,      // blocks of encoded rows
  vector_segments = 15,    // how they are encoded
  vector_checksums = 16,   // of blocks
  exponent_code = 17,      // lengths of a Huffman code
  vector_dictionary = 18,  // for zstd
  // From format 1.2 on.
  payloads = 19,        // blocks of compressed payloads: storage/payload_blocks.h
  payload_blocks = 20,  // where they are
  stop_rules = 21,
  query_profile = 22,
  // From 1.3 on, where rows need them.
  centroid_lows = 23,
  frame_scale = 24,
};

struct ContainerInfo {
  ContainerKind kind = ContainerKind::index;
  std::uint32_t dim = 0;
  std::uint64_t count = 0;   // rows
  std::uint32_t metric = 0;  // as cairn::Metric; 0 for vectors
};

struct SectionInfo {
  SectionType type{};
  std::uint64_t offset = 0;  // from the start of the file
  std::uint64_t bytes = 0;   // element_size * count
  std::uint64_t element_size = 0;
  std::uint64_t count = 0;
  unsigned alignment_log2 = 6;  // 6 to 21
};

// Writes one container: sections in order, then commit(). Until commit() returns, the target path
// is as it was before, and if the writer is destroyed without it, nothing is left behind. Every
// call throws Error(io) naming path and cause (no such directory, disk full, ...). One thread.
class ContainerWriter {
 public:
  ContainerWriter(const std::filesystem::path& target, const ContainerInfo& info);
  ~ContainerWriter();
  ContainerWriter(const ContainerWriter&) = delete;
  ContainerWriter& operator=(const ContainerWriter&) = delete;

  // Declares the next section, of exactly element_size * count bytes, and returns its number. Its
  // bytes may come while others are still incomplete, by append_to().
  std::size_t add_section(SectionType type, std::uint64_t element_size, std::uint64_t count,
                          unsigned alignment_log2 = 6);
  void append_to(std::size_t section, std::span<const std::byte> bytes);

  // The same for one section after another: declares the next one, which append() fills.
  void begin_section(SectionType type, std::uint64_t element_size, std::uint64_t count,
                     unsigned alignment_log2 = 6);
  void append(std::span<const std::byte> bytes);

  // The same for a section of bytes that has as many as are appended before end_section().
  void begin_open_section(SectionType type, unsigned alignment_log2 = 6);
  void end_section();

  // A whole section at once.
  template <typename T>
  void write_section(SectionType type, std::span<const T> elements, unsigned alignment_log2 = 6) {
    begin_section(type, sizeof(T), elements.size(), alignment_log2);
    append(std::as_bytes(elements));
  }

  // The bytes of a complete section, mapped from the file that is being written. Valid as long as
  // the writer.
  std::span<const std::byte> map(std::size_t section);

  // Writes checksums, table, header and trailer; fsync, rename to the target, fsync the directory.
  void commit();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// How a container's sections are read. `mapped`: where they lie, in a read-only mapping of the
// file. `copied`: all but the vectors into memory of this process, checked as they come; vectors
// only from the file. Nothing is mapped then, so no change to the file can raise a signal.
enum class ReadMode { mapped, copied };

constexpr ReadMode read_mode(bool safe_reads) noexcept {
  return safe_reads ? ReadMode::copied : ReadMode::mapped;
}

// An open container. Header, table and the checksums of small sections are verified at open; large
// sections by verify() or, if they are copied, at open as well. Spans live as long as any copy of
// the shared pointer. Const calls may run concurrently.
class ContainerReader {
 public:
  // Throws Error: not_found, io, corrupt, version_unsupported. `expected` refuses other kinds
  // unless empty.
  static std::shared_ptr<const ContainerReader> open(const std::filesystem::path& path,
                                                     std::optional<ContainerKind> expected = {},
                                                     ReadMode mode = ReadMode::mapped);
  ~ContainerReader();

  const ContainerInfo& info() const noexcept;
  const std::filesystem::path& path() const noexcept;
  bool is_mapped() const noexcept;
  // Open for reading, whatever its path names by now.
  const File& file() const noexcept;
  std::uint64_t file_bytes() const noexcept;
  std::array<std::uint8_t, 16> uuid() const noexcept;
  std::span<const SectionInfo> sections() const noexcept;

  // Null if there is no such section.
  const SectionInfo* find(SectionType type) const noexcept;
  // Empty for vectors of a container that is not mapped.
  std::span<const std::byte> bytes(const SectionInfo& section) const noexcept;

  // A section as elements of T: throws Error(corrupt), naming the section, unless it exists with
  // element_size == sizeof(T) and, if given, exactly `expected_count` elements. T is trivially
  // copyable with alignment <= 64.
  template <typename T>
  std::span<const T> elements(SectionType type,
                              std::optional<std::uint64_t> expected_count = {}) const {
    const SectionInfo& section = require(type, sizeof(T), expected_count);
    return {reinterpret_cast<const T*>(bytes(section).data()), section.count};
  }

  // The section, checked as elements() does.
  const SectionInfo& require(SectionType type, std::uint64_t element_size,
                             std::optional<std::uint64_t> expected_count = {}) const;

  // Checks every checksum of the file; throws Error(corrupt) naming section, block, expected and
  // found. Cost: reads the whole file once.
  void verify() const;

  // Checks one block (of 64 KiB, the last one shorter) of a mapped section. Throws as verify()
  // does.
  void check_block(const SectionInfo& section, std::uint64_t block) const;

  // Advice on one section's pages: random access without read-ahead.
  void advise_random(const SectionInfo& section) const noexcept;
  // Whether the system will tell which pages of the mapping are in memory (see storage/file.h).
  bool may_inspect_residency() const noexcept;
  // Is the mapped page that holds this offset of the file in memory?
  bool is_resident(std::uint64_t offset) const noexcept;

  // How many bytes of a mapped section are in memory; 0 if it is a copy.
  std::uint64_t resident_bytes(const SectionInfo& section) const;
  // Reads a section into memory, from its beginning, as far as `max_bytes` reach, and returns how
  // many bytes that were; 0 if it is a copy anyway. Throws Error(io).
  std::uint64_t warm(const SectionInfo& section, std::uint64_t max_bytes) const;
  // Keeps the pages of a mapped section in memory until trim(). Throws Error(io).
  void lock(const SectionInfo& section) const;
  // Gives back the memory that holds pages of a section; the next use reads them from the file.
  // What other processes have mapped stays.
  void trim(const SectionInfo& section) const noexcept;

  struct Impl;
  explicit ContainerReader(std::unique_ptr<Impl> impl);

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace cairn::storage

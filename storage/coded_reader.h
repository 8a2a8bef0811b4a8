#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cairn/vector_store.h"

#include "base/aligned_buffer.h"
#include "storage/announcer.h"
#include "storage/block_codec.h"
#include "storage/container.h"
#include "storage/exponent_code.h"
#include "storage/file.h"
#include "storage/segment.h"
#include "storage/segment_decoder.h"

namespace cairn::storage {

// Reads rows from the vectors of a container, encoded or plain, from its mapping or, if it has
// none, from its file. Plain ones have no checksums of their own. Const calls may run concurrently.
class CodedReader {
 public:
  // Throws Error(corrupt) naming section or segment, and what File throws.
  explicit CodedReader(std::shared_ptr<const ContainerReader> container);
  CodedReader(const CodedReader&) = delete;
  CodedReader& operator=(const CodedReader&) = delete;

  std::size_t rows() const noexcept { return rows_; }
  std::size_t dim() const noexcept { return dim_; }
  const std::filesystem::path& path() const noexcept { return container_->path(); }
  std::span<const Segment> segments() const noexcept { return segments_; }
  std::uint64_t disk_bytes() const noexcept { return disk_bytes_; }
  std::uint64_t ram_bytes() const noexcept;
  std::size_t dictionary_bytes() const noexcept { return dictionary_bytes_; }
  bool has_exponent_code() const noexcept { return exponent_code_.has_value(); }

  // As VectorStore.
  void read(std::span<const std::uint32_t> rows, float* out) const;
  void prefetch(std::span<const std::uint32_t> rows) const noexcept;
  std::uint64_t warm(std::uint64_t max_bytes) const;
  void trim() const noexcept;

  // What is stored and read as one: a row of fixed width, or a block. A unit is named by its first
  // row.
  struct UnitShape {
    std::size_t mean_bytes = 0;
    bool is_uniform = true;  // all have as many
    bool is_row = true;      // all are rows
  };
  UnitShape unit_shape() const noexcept;
  std::uint32_t unit_of(std::size_t row) const noexcept;
  // How many bytes the unit of a row has; 0 if the row has no bytes of its own. Throws as read().
  std::size_t unit_bytes(std::size_t row) const;
  // Those bytes, checked. Throws as read().
  void read_unit(std::size_t row, std::span<std::byte> out) const;
  // A row out of the bytes of its unit, to `out` [dim].
  void read_from_unit(std::size_t row, std::span<const std::byte> unit, float* out) const;

 private:
  // Where the bytes of a block lie in the section.
  struct BlockPlace {
    std::uint64_t begin = 0;
    std::size_t bytes = 0;
    std::size_t rows = 0;
  };

  bool is_mapped() const noexcept { return container_->is_mapped(); }
  const File& file() const noexcept { return container_->file(); }
  const Segment& segment_of(std::size_t row) const noexcept {
    return segments_[row >> segment_rows_log2_];
  }
  SegmentContext context_of(const Segment& segment) const;
  std::span<const std::byte> preamble_of(const Segment& segment) const;
  BlockPlace place_of(const Segment& segment, std::size_t block) const;
  // Its bytes, checked. Valid until the next call on this thread.
  std::span<const std::byte> checked_block(const Segment& segment, std::size_t block,
                                           const BlockPlace& place, std::size_t row) const;
  // The same after zstd, of `stored` bytes or, if there are none, of those in the file.
  std::span<const std::byte> plain_block(const Segment& segment, std::size_t block, std::size_t row,
                                         std::span<const std::byte> stored = {}) const;
  void check(const Segment& segment, std::uint64_t number, std::span<const std::byte> bytes,
             std::size_t row) const;
  void read_run(const Segment& segment, std::span<const std::uint32_t> rows, float* out) const;
  std::string name_block(const Segment& segment, std::uint64_t number, std::size_t row) const;
  [[noreturn]] void fail_block(const Segment& segment, std::size_t block, std::size_t row) const;
  Announcer::Range range_of(std::uint32_t row) const noexcept;
  void load_coding();
  void load_preambles();
  void check_unchanged() const;

  std::shared_ptr<const ContainerReader> container_;
  std::uint64_t id_;  // of this reader in the caches of threads
  std::size_t rows_;
  std::size_t dim_;
  const SectionInfo* section_;
  std::span<const std::byte> bytes_;  // of the section, if it is mapped
  std::span<const std::uint64_t> checksums_;
  std::vector<Segment> segments_;
  unsigned segment_rows_log2_ = 0;
  std::optional<ExponentCode> exponent_code_;
  std::unique_ptr<BlockCodec> block_codec_;
  std::size_t dictionary_bytes_ = 0;
  std::uint64_t disk_bytes_ = 0;

  // One bit per checksum: the mapped bytes were found right.
  mutable std::vector<std::atomic<std::uint64_t>> checked_;
  Announcer announcer_;

  // Without a mapping.
  FileStamp stamp_;
  std::vector<base::AlignedBuffer> preambles_;
};

}  // namespace cairn::storage

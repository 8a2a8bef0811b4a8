#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>

#include "cairn/export.h"
#include "cairn/stats.h"
#include "cairn/types.h"

namespace cairn {

/// Serves full-precision float32 rows by row number: the pluggable tier behind an index.
///
/// Rows are in the index's own (leaf) order, so rows that are searched together lie together.
/// Calls are batch-first: the search never makes one virtual call per vector.
/// Implementations must be safe under concurrent const calls, and must return the same 32-bit
/// patterns that they were given.
class CAIRN_EXPORT VectorStore {
 public:
  virtual ~VectorStore() = default;

  virtual std::size_t rows() const noexcept = 0;
  virtual std::size_t dim() const noexcept = 0;

  /// All rows as one dense row-major [rows, dim] matrix for zero-copy reads, valid as long as the
  /// store; nullptr (the default) if the store has no such thing.
  virtual const float* contiguous() const noexcept { return nullptr; }

  /// Announces rows that read() or contiguous() will be asked for next. Rows are sorted ascending
  /// and < rows(). A hint: it may do nothing (the default), and must not throw.
  virtual void prefetch(std::span<const std::uint32_t> rows) const noexcept;

  /// Copies rows, in the order given, to `out` [rows.size(), dim].
  /// @throws Error invalid_argument if a row is out of range; io or corrupt from a failing tier.
  virtual void read(std::span<const std::uint32_t> rows, float* out) const = 0;

  virtual StoreStats stats() const = 0;

 protected:
  VectorStore() = default;
  VectorStore(const VectorStore&) = default;
  VectorStore& operator=(const VectorStore&) = default;
};

/// Hands out rows in order: writes rows [first, first + count) to `out` [count, dim].
using RowProducer = std::function<void(std::size_t first, std::size_t count, float* out)>;

/// Rows in RAM. Const calls may run concurrently.
class CAIRN_EXPORT MemoryVectorStore final : public VectorStore {
 public:
  /// Copies `vectors`.
  explicit MemoryVectorStore(MatrixView vectors);
  /// Pulls `rows` rows of `dim` from `producer`, in order, a few MiB at a time.
  MemoryVectorStore(std::size_t rows, std::size_t dim, const RowProducer& producer);
  ~MemoryVectorStore() override;

  std::size_t rows() const noexcept override;
  std::size_t dim() const noexcept override;
  const float* contiguous() const noexcept override;
  void prefetch(std::span<const std::uint32_t> rows) const noexcept override;
  void read(std::span<const std::uint32_t> rows, float* out) const override;
  StoreStats stats() const override;

  /// Zero-copy view of one row. @throws Error invalid_argument if row >= rows().
  std::span<const float> get(std::size_t row) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Rows in a memory-mapped file: RAM is the page cache's, shared between processes and evictable.
///
/// The mapping is read-only and advised for random access; prefetch() asks the kernel for all
/// announced pages at once. The file is checked at open (size, header, section table); while it is
/// open it must not be truncated or overwritten in place (replace it by rename instead), or reads
/// raise SIGBUS. Const calls may run concurrently.
class CAIRN_EXPORT MmapVectorStore final : public VectorStore {
 public:
  /// Writes `vectors` to a new file at `path` (atomically: a temporary name, fsync, rename, fsync
  /// of the directory; an existing file is replaced) and opens it.
  /// @throws Error io (directory missing, disk full, ...); then `path` is as it was before.
  static std::unique_ptr<MmapVectorStore> create(const std::filesystem::path& path,
                                                 MatrixView vectors);
  /// The same from a producer, a few MiB at a time.
  static std::unique_ptr<MmapVectorStore> create(const std::filesystem::path& path,
                                                 std::size_t rows, std::size_t dim,
                                                 const RowProducer& producer);
  /// Opens a file written by create(), or the vectors inside a saved index.
  /// @throws Error not_found, io, corrupt (what was expected and found), version_unsupported.
  /// Cost: maps the file, reads its header and section table.
  static std::unique_ptr<MmapVectorStore> open(const std::filesystem::path& path);
  ~MmapVectorStore() override;

  std::size_t rows() const noexcept override;
  std::size_t dim() const noexcept override;
  const float* contiguous() const noexcept override;
  void prefetch(std::span<const std::uint32_t> rows) const noexcept override;
  void read(std::span<const std::uint32_t> rows, float* out) const override;
  StoreStats stats() const override;

  /// Zero-copy view of one row, valid as long as the store.
  /// @throws Error invalid_argument if row >= rows().
  std::span<const float> get(std::size_t row) const;
  /// The file behind the store.
  const std::filesystem::path& path() const noexcept;

  struct Impl;  ///< internal
  explicit MmapVectorStore(std::unique_ptr<Impl> impl);

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace cairn

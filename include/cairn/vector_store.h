#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>

#include "cairn/compression.h"
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

  /// Brings rows into memory, from the first on, as far as `max_bytes` of the tier behind them
  /// reach, and returns how many bytes that were. 0 (the default) where it makes no sense.
  /// @throws Error io from a failing tier.
  virtual std::uint64_t warm(std::uint64_t max_bytes) const;

  /// Gives back memory that holds copies of what is in files; later reads bring it back. Does
  /// nothing by default.
  virtual void trim() const noexcept;

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
  std::uint64_t warm(std::uint64_t max_bytes) const override;
  void trim() const noexcept override;

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

/// How a store's file is read.
struct StoreOpenOptions {
  /// Maps nothing: reads by pread and checks every block each time it is read, so that a file which
  /// is truncated or overwritten under the store gives an Error(io or corrupt), never SIGBUS. Costs
  /// a system call and a checksum per block, and 8 bytes of RAM per block.
  bool safe_reads = false;
};

/// Rows in a file of encoded rows, smaller than float32 and, but for delta16, bit-exact: see
/// compression.h for the encodings.
///
/// A block of rows is checked against its checksum when it is first read. A damaged one gives an
/// Error(corrupt) that names file, block and row, each time; all others stay readable. Without
/// safe_reads the file is mapped, and must not be truncated or overwritten in place (see
/// MmapVectorStore). Const calls may run concurrently.
class CAIRN_EXPORT CompressedVectorStore final : public VectorStore {
 public:
  /// Encodes `vectors` to a new file at `path`, atomically (see MmapVectorStore::create), and opens
  /// it. @throws Error io; invalid_argument (options out of range).
  static std::unique_ptr<CompressedVectorStore> create(const std::filesystem::path& path,
                                                       MatrixView vectors,
                                                       const CompressionOptions& options = {});
  /// The same from a producer, which must be able to hand out any rows, more than once: samples are
  /// taken before rows are asked for in order.
  static std::unique_ptr<CompressedVectorStore> create(const std::filesystem::path& path,
                                                       std::size_t rows, std::size_t dim,
                                                       const RowProducer& producer,
                                                       const CompressionOptions& options = {});
  /// Opens a file written by create(), or the vectors inside any other Cairn file; those that are
  /// not encoded have no checksums to be checked when they are read.
  /// @throws Error not_found, io, corrupt (what was expected and found), version_unsupported.
  /// Cost: reads the table of segments, 64 bytes per MiB of float32.
  static std::unique_ptr<CompressedVectorStore> open(const std::filesystem::path& path,
                                                     const StoreOpenOptions& options = {});
  ~CompressedVectorStore() override;

  std::size_t rows() const noexcept override;
  std::size_t dim() const noexcept override;
  void prefetch(std::span<const std::uint32_t> rows) const noexcept override;
  /// Rows of one block that follow each other in `rows` are decoded together.
  void read(std::span<const std::uint32_t> rows, float* out) const override;
  StoreStats stats() const override;
  std::uint64_t warm(std::uint64_t max_bytes) const override;
  void trim() const noexcept override;

  CompressionStats compression_stats() const;
  /// Decodes everything, which fills in decode_seconds. @throws Error corrupt at the first damaged
  /// block, io.
  void check_all() const;
  /// The file behind the store.
  const std::filesystem::path& path() const noexcept;

  struct Impl;  ///< internal
  explicit CompressedVectorStore(std::unique_ptr<Impl> impl);
  const Impl& impl() const noexcept;  ///< internal

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace cairn

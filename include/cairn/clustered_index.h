#pragma once

// Start here: build or open a ClusteredIndex, search it, save it.

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cairn/export.h"
#include "cairn/filter.h"
#include "cairn/options.h"
#include "cairn/stats.h"
#include "cairn/tiered_vector_store.h"
#include "cairn/typed_matrix.h"
#include "cairn/types.h"
#include "cairn/vector_source.h"
#include "cairn/vector_store.h"

namespace cairn {

/// Answers to many queries as flat arrays, row i for query i.
struct BatchResult {
  std::size_t queries = 0;
  std::size_t k = 0;
  std::vector<VectorId> ids;     ///< [queries, k]; kNoId where a query has fewer than k hits
  std::vector<float> distances;  ///< [queries, k]; +infinity where a query has fewer than k hits
  /// [queries]: 1 for a query that SearchOptions::max_microseconds ended, so that its row is the
  /// best found so far, else 0. Empty without max_microseconds.
  std::vector<std::uint8_t> is_cut_short = {};
};

/// An approximate nearest-neighbour index: a clustered tree navigated with binary codes, and exact
/// distances from full-precision vectors for the few candidates left.
///
/// Immutable once built, except for where the full vectors live. Const calls may run concurrently;
/// the use_*_storage() calls and assignment need exclusive access. Move-only.
class CAIRN_EXPORT ClusteredIndex {
 public:
  /// Builds an index over copies of `vectors` [n, dim], n >= 0, dim 1 to 65,536.
  ///
  /// @param ids  one per row, unique, any 64-bit value but kNoId; empty: the row numbers 0..n-1.
  /// @throws Error invalid_argument, before any work: NaN, infinite or overflowing values (row and
  ///   column named), a zero row under cosine (row named), duplicate ids, ids.size() != n, options
  ///   out of range. cancelled if options.on_progress returned false.
  /// Cost: about O(n * sqrt(n) * dim) at the worst, on options.threads threads.
  static ClusteredIndex build(MatrixView vectors, const BuildOptions& options = {},
                              std::span<const VectorId> ids = {});

  /// The same of half, bfloat16 or 8-bit integer values, or of rows that do not lie side by side:
  /// build({cairn::ValueType::u8, pixels, n, dim}). They become float32 once; float32 that is dense
  /// is not copied. A row then is its converted values. @throws Error as to_float() does, too.
  static ClusteredIndex build(const TypedMatrixView& vectors, const BuildOptions& options = {},
                              std::span<const VectorId> ids = {});

  /// Builds an index of the rows of `source` into a new file at `path` and opens it. The rows need
  /// not fit into memory: anonymous memory stays below options.memory_limit_bytes. The file is byte
  /// for byte the one that build() of the same rows and save() would write.
  ///
  /// Takes temporary disk space of the rows as float32 beside `path`, in a file without a name
  /// (twice that if `save` has vectors encoded); if anything fails, nothing is left and `path` is
  /// as it was.
  /// @throws Error as build() does, and invalid_argument for a memory limit that is too low (the
  ///   least is named); io (no such directory, disk full, ...); whatever `source` throws.
  /// Cost: some eight passes over the rows; see docs/performance.md.
  static ClusteredIndex build_file(const std::filesystem::path& path, VectorSource& source,
                                   const BuildOptions& options = {},
                                   std::span<const VectorId> ids = {},
                                   const SaveOptions& save = {});

  /// Opens a saved index by mapping its file: no section is copied, full vectors are served from
  /// the mapping (is_using_mmap() is true, unless they are encoded). Ready in milliseconds whatever
  /// the size.
  /// @throws Error not_found, io, corrupt, version_unsupported. A file that opens never crashes a
  ///   search, provided nobody truncates or rewrites it in place afterwards.
  static ClusteredIndex open(const std::filesystem::path& path, const OpenOptions& options = {});

  ClusteredIndex(ClusteredIndex&&) noexcept;
  ClusteredIndex& operator=(ClusteredIndex&&) noexcept;
  ~ClusteredIndex();

  /// Writes the whole index, full vectors and payloads included, to one file: temporary name,
  /// fsync, rename, fsync of the directory. A previous file at `path` stays as it was if anything
  /// fails, else it hands on its permission bits, and its owner and group where the system allows
  /// it. `path` may be the file that this index was opened from. Symbolic links are followed; what
  /// is no regular file (a device, a pipe, a directory) is refused.
  /// @throws Error io (no such directory, disk full, ...); invalid_argument (options).
  void save(const std::filesystem::path& path, const SaveOptions& options = {}) const;

  /// The `k` nearest vectors of `query` [dim], nearest first; ties by smaller id.
  /// @throws Error invalid_argument: wrong dimension, NaN or infinite query, zero query under
  ///   cosine, k == 0, options out of range, a filter prepared for another index. io, corrupt from
  ///   a failing store; what a filter's predicate throws.
  std::vector<Neighbor> search(std::span<const float> query,
                               const SearchOptions& options = {}) const;

  /// The same into `out` [>= min(k, size())]; returns how many were found. Allocates nothing after
  /// its first call on a thread with options of this size, if threads == 1.
  std::size_t search(std::span<const float> query, const SearchOptions& options,
                     std::span<Neighbor> out, SearchStats* stats = nullptr) const;

  /// Many queries [m, dim], on options.threads threads (0: all cores), each query on one of them.
  /// Results are those of search() one by one. max_microseconds are of each query by itself.
  ///
  /// @param on_query  called now and then, one call at a time, with the number of queries done; may
  ///                  be empty. Returning false stops with Error(cancelled), after at most some
  ///                  hundred queries per thread.
  BatchResult search_batch(MatrixView queries, const SearchOptions& options = {},
                           const std::function<bool(std::size_t)>& on_query = {}) const;

  /// The same of queries of another type, see build().
  BatchResult search_batch(const TypedMatrixView& queries, const SearchOptions& options = {},
                           const std::function<bool(std::size_t)>& on_query = {}) const;

  /// The vectors at most `max_distance` away from `query` [dim], in terms of Neighbor::distance,
  /// nearest first; ties by smaller id. How many there are decides how far the search goes.
  /// @throws Error as search() does; invalid_argument if max_distance is NaN.
  /// Cost: reads the full vector of each result. Thread safety: concurrent with other const calls.
  std::vector<Neighbor> range_search(std::span<const float> query, float max_distance,
                                     const RangeOptions& options = {},
                                     SearchStats* stats = nullptr) const;

  /// Finds the rows of a filter's ids, for any number of searches of this index.
  /// Cost: about 0.1 us per id; for bitmaps and predicates a look at each row of the index.
  PreparedFilter prepare(const Filter& filter) const;

  /// Full vectors in this process's RAM. No-op if they already are.
  void use_memory_storage();
  /// Full vectors in a new memory-mapped file; their RAM is given back. Results stay identical, bit
  /// for bit. @throws Error invalid_argument if vectors are already on mmap, or the file is
  /// that of the index itself; io.
  void use_mmap_storage(const std::filesystem::path& vectors_file);
  /// Full vectors in a new file of encoded rows, see CompressedVectorStore; their RAM is given
  /// back. Results stay identical, bit for bit, with every encoding but delta16.
  /// @throws Error io; invalid_argument (options, or the file is that of the index itself).
  void use_compressed_storage(const std::filesystem::path& vectors_file,
                              const CompressionOptions& options = {});
  /// Full vectors in a TieredVectorStore: the hottest rows in RAM, within the budgets given, over
  /// the store in use or, if options.vectors_file is given, over a new CompressedVectorStore there.
  /// Results stay identical, bit for bit.
  /// @throws Error invalid_argument, without vectors_file, if full vectors are in memory or tiered
  ///   already; or the options are wrong (see TieredVectorStore), or the file is that of the index
  ///   itself; io.
  void use_tiered_storage(const TieredOptions& options);
  /// Full vectors in a store of your own, which must hold this index's rows in row order (see
  /// read_rows). @throws Error invalid_argument if null, or rows or dim differ.
  void use_storage(std::unique_ptr<VectorStore> store);

  /// Brings the mapped file into memory before queries come, instead of by them: codes, centroids
  /// and ids first, then full vectors, as far as `options.max_bytes` and the memory available to
  /// this process reach (by its cgroup and /proc/meminfo); the rest stays on disk. Returns bytes
  /// read: 0 for what is in RAM anyway. The system may take pages away again, but those locked.
  /// @throws Error io, also if options.lock_codes is refused.
  /// Cost: reads that much, sequentially. Thread safety: concurrent with other const calls.
  std::uint64_t warm(const WarmOptions& options = {}) const;
  /// Gives memory of the mapped file back to the system, and unlocks it; the next searches read it
  /// from disk again. Pages that other processes have in use stay. Concurrent as warm().
  void trim(IndexPart part = IndexPart::all) const noexcept;

  bool is_using_mmap() const noexcept;
  StorageKind storage_kind() const noexcept;
  Metric metric() const noexcept;
  std::size_t size() const noexcept;
  std::size_t dim() const noexcept;

  IndexStats stats() const;
  /// What the tiers have done; empty unless use_tiered_storage() is in effect.
  std::optional<TieredStats> tier_stats() const;
  /// RAM that this index's data takes, codes, centroids, ids and vectors in memory; the sections
  /// of a mapped file count (but for its full vectors), as pages that searches touch.
  std::size_t memory_usage_bytes() const;

  /// Measures what recall costs on queries [m, dim] of yours instead of on a sample of the vectors,
  /// which builds do: for queries that are unlike the vectors (SearchStats::is_unusual). Some
  /// hundreds are enough; of more than 4,096 as many are used. save() keeps what was measured.
  /// Needs exclusive access.
  /// @throws Error invalid_argument: no queries, wrong dimension, values out of range (row named);
  ///   io, corrupt from a failing store. Then the index is as it was.
  /// Cost: for each query, a search of half of the leaves.
  void calibrate(MatrixView queries, unsigned threads = 0);

  /// How many leaves search() scans for `target_recall` at `k`, on average over calibrated queries;
  /// easy ones take fewer, hard ones more.
  /// @throws Error invalid_argument if k == 0 or target_recall is not in (0, 1].
  std::size_t calibrated_probes(float target_recall, std::size_t k) const;

  /// The original vector, bit for bit (but from delta16); empty if the id is unknown.
  std::optional<std::vector<float>> vector(VectorId id) const;
  bool contains(VectorId id) const;
  /// All ids, in row order.
  std::vector<VectorId> ids() const;

  /// Was the index built with payloads (BuildOptions::payloads)?
  bool has_payloads() const noexcept;
  /// The payload of an id, byte for byte; empty if the id is unknown or there are no payloads.
  /// @throws Error corrupt: its block is damaged (file, block and row are named); others stay
  ///   readable.
  /// Cost: one block of about 8 KiB is read, checked and unpacked.
  std::optional<std::string> payload(VectorId id) const;
  /// The same of each of `ids`, in their order; a block that several lie in is unpacked once. Hits
  /// of one query lie close together.
  std::vector<std::optional<std::string>> payloads(std::span<const VectorId> ids) const;

  /// Names what searches are answered from. Of an opened index, its file's hash: equal files have
  /// equal identities, on any machine. An index that was built in this process, or whose vectors
  /// were put into a store of your own or encoded with loss, has one that nobody else in this
  /// process has.
  std::array<std::uint8_t, 16> identity() const noexcept;

  /// Row (in the index's leaf order, as stores number them) of an id and back.
  std::optional<std::uint32_t> row_of(VectorId id) const;
  /// @throws Error invalid_argument if row >= size().
  VectorId id_of(std::uint32_t row) const;
  /// Full vectors of rows [first, first + count) to `out` [count, dim]: what a custom store is
  /// filled from. @throws Error invalid_argument if out of range.
  void read_rows(std::size_t first, std::size_t count, float* out) const;

  struct Impl;  ///< internal

 private:
  explicit ClusteredIndex(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// The instruction set in use: "baseline", "avx2" or "avx512". CAIRN_FORCE_ISA overrides the
/// choice.
/// @throws Error unsupported_cpu if CAIRN_FORCE_ISA is unknown or not supported here.
CAIRN_EXPORT const char* active_isa();

/// "0.1.0"
CAIRN_EXPORT const char* version() noexcept;

}  // namespace cairn

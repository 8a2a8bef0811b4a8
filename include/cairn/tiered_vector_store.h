#pragma once

// A cache of full vectors in RAM, in two tiers, over a store on disk.

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "cairn/compression.h"
#include "cairn/export.h"
#include "cairn/stats.h"
#include "cairn/vector_store.h"

namespace cairn {

/// How much RAM the tiers may take. All of a budget is allocated at once, but for a warm tier of
/// blocks or rows of different sizes. Beside the budgets each tier takes 4 bytes per row of the
/// store, for its directory.
struct TieredOptions {
  /// Of rows as float32, ready to be copied, and 4 bytes for each; 0: no such tier.
  std::uint64_t hot_bytes = 0;
  /// Of rows or zstd blocks as they are stored, and some bytes for each; 0: no such tier.
  std::uint64_t warm_bytes = 0;
  /// The warm tier is off where float32 rows are less than this many times as large as stored ones:
  /// the same RAM serves better as hot tier then.
  double min_warm_ratio = 1.5;
  /// For use_tiered_storage(): the cold file to be written first, by `compression`. Empty: the
  /// store in use stays as the cold tier.
  std::filesystem::path vectors_file = {};
  CompressionOptions compression = {};
};

/// How long rows took, from a sample of one call in 32. Bucket i counts those of [2^i, 2^(i+1)) ns,
/// the first one also those of less, the last one those of more.
struct CAIRN_EXPORT LatencyHistogram {
  std::array<std::uint64_t, 32> rows{};

  std::uint64_t total() const noexcept;
  /// The latency that a share of the rows, 0 to 1, does not exceed, interpolated within a bucket;
  /// 0 if there are none.
  double quantile_ns(double share) const noexcept;
};

/// What one tier has done. A row that is read is looked for in hot, then warm, then cold.
struct TierStats {
  std::uint64_t hits = 0;        ///< rows served from here
  std::uint64_t misses = 0;      ///< rows looked for here that were not; cold: that failed
  std::uint64_t promotions = 0;  ///< rows (warm: or blocks) taken in from a tier below
  std::uint64_t evictions = 0;   ///< dropped for others
  std::uint64_t moves = 0;       ///< warm: dropped because the hot tier has taken them in
  std::uint64_t units = 0;       ///< rows (warm: or blocks) that are held now
  std::uint64_t bytes = 0;       ///< of these; cold: on disk
  std::uint64_t ram_bytes = 0;   ///< allocated, with tables
  std::uint64_t budget_bytes = 0;
  LatencyHistogram latency;

  double hit_rate() const noexcept {
    const std::uint64_t looked_for = hits + misses;
    return looked_for == 0 ? 0 : static_cast<double>(hits) / static_cast<double>(looked_for);
  }
};

struct CAIRN_EXPORT TieredStats {
  TierStats hot;
  TierStats warm;
  TierStats cold;
  bool warm_is_on = false;
  double warm_ratio = 1;  ///< float32 bytes / stored bytes of the cold store, as measured
  std::string warm_note;  ///< why the warm tier is off, for a person to read; empty if it is on

  /// What has happened since `earlier`: counters are differences, bytes and units those of now.
  TieredStats since(const TieredStats& earlier) const;
};

/// A store on disk under a hot tier (float32 rows) and a warm tier (rows or blocks as the file has
/// them, decoded when they are read) in RAM.
///
/// Rows are counted by touches, the counts being halved by and by. A row is taken in when it is
/// touched for the second time, and only in place of one that is touched less often: a scan of
/// everything displaces nothing that is in use. Rows move up to the hot tier; none is ever moved
/// down, it is dropped, for the file still has it. What is taken in has been read, and for encoded
/// vectors checked, successfully; a failing read leaves the tiers as they were, and rows that they
/// hold stay readable.
///
/// Const calls may run concurrently. Readers wait for nobody: they take no lock, and neither does a
/// hit copy or count anything that another reader waits for. Rows are taken in by whichever call
/// finds the lock free, after its own rows are in place. More than 64 calls at the same moment are
/// served, the rest of them from the cold store alone.
class CAIRN_EXPORT TieredVectorStore final : public VectorStore {
 public:
  /// Puts tiers over `cold`, which is taken only if this succeeds. The warm tier needs a
  /// CompressedVectorStore.
  /// @throws Error invalid_argument: `cold` is null, no tier is asked for, or a budget is too small
  ///   for a single row or block.
  TieredVectorStore(std::unique_ptr<VectorStore>&& cold, const TieredOptions& options);
  ~TieredVectorStore() override;

  std::size_t rows() const noexcept override;
  std::size_t dim() const noexcept override;
  /// Announces to the cold store what the tiers do not hold.
  void prefetch(std::span<const std::uint32_t> rows) const noexcept override;
  /// @throws Error as the cold store does, for the rows that the tiers do not hold.
  void read(std::span<const std::uint32_t> rows, float* out) const override;
  StoreStats stats() const override;

  TieredStats tier_stats() const;
  const VectorStore& cold() const noexcept;

  struct Impl;  ///< internal

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace cairn

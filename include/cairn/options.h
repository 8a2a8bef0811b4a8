#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>

#include "cairn/compression.h"
#include "cairn/filter.h"
#include "cairn/types.h"

namespace cairn {

class PayloadSource;

/// A step of a build. Reports come one at a time, from any of the build's threads.
struct BuildProgress {
  const char* phase;  ///< "validate", "cluster", "assign", "encode", ...: never freed
  std::size_t done;   ///< work units of this phase finished
  std::size_t total;  ///< work units of this phase
  double seconds;     ///< since the build began
};

/// Called at most 50 times a second; returning false cancels the build, which then throws
/// Error(cancelled). An exception it throws ends the build as well.
using ProgressCallback = std::function<bool(const BuildProgress&)>;

/// How an index is built. The defaults are meant to be right; 0 means "chosen from the data".
struct BuildOptions {
  Metric metric = Metric::l2;
  std::size_t branching_factor = 0;  ///< children per inner node; 0, or 2 to 65,536
  std::size_t max_leaf_size = 0;     ///< vectors per leaf, a hard cap; 0, or at least 1
  std::size_t max_iterations = 8;    ///< k-means iterations, at most 10,000
  unsigned refine_bits = 4;          ///< extra bits per dimension for the second estimate, 0 to 8
  std::uint64_t seed = 1;            ///< same seed and data: the same index, whatever the threads
  unsigned threads = 0;              ///< 0: all cores
  /// Anonymous memory that build_file() may take; 0: a quarter of the rows as float32, at least
  /// 1 GiB. A lower limit than this leads to another sample, and so to another index.
  std::uint64_t memory_limit_bytes = 0;
  ProgressCallback on_progress = {};  ///< may be empty
  /// One payload per row (payload.h), kept compressed beside the vectors: by build() in memory, by
  /// build_file() in the file. Borrowed for the build; null: none.
  PayloadSource* payloads = nullptr;
};

/// How one query is answered.
struct SearchOptions {
  std::size_t k = 10;  ///< results wanted, at least 1; more than size() gives size()
  /// Used while probes == 0: the calibrated budget for this recall. 1 scans all leaves and gives
  /// what exact_search() gives.
  float target_recall = 0.95f;
  /// Leaves to scan, nearest first; as many as there are, or more, give what exact_search() gives.
  std::size_t probes = 0;
  float rerank_factor = 0;  ///< 0: bound-driven rerank; r > 0: exact distances of the best r*k
  unsigned threads = 1;     ///< > 1: one query is scanned and reranked by that many threads
  /// Only these ids are found, min(k, allowed) of them at least. With `probes` only leaves that
  /// have allowed vectors count. Borrowed for the call; at most one of the two is set. The first is
  /// prepared anew by each call.
  const Filter* filter = nullptr;
  const PreparedFilter* prepared_filter = nullptr;
  /// Only vectors at most so far away are found, in terms of Neighbor::distance.
  float max_distance = std::numeric_limits<float>::infinity();
  /// > 0: the time after which a query begins nothing new, but finishes with the best found so far
  /// (after the two nearest leaves at the least), as StopReason::deadline tells. What it finds then
  /// depends on the machine.
  std::uint64_t max_microseconds = 0;

  friend bool operator==(const SearchOptions&, const SearchOptions&) = default;
};

/// How one range query is answered.
struct RangeOptions {
  /// Mean share of the vectors within the distance that is found, or more: 0.95 finds 0.98
  /// (docs/performance.md). With 1 every leaf is scanned.
  float target_recall = 0.95f;
  std::size_t limit = 0;                            ///< > 0: the nearest so many, if there are more
  const Filter* filter = nullptr;                   ///< as in SearchOptions
  const PreparedFilter* prepared_filter = nullptr;  ///< as in SearchOptions
  std::uint64_t max_microseconds = 0;               ///< as in SearchOptions
  unsigned threads = 1;                             ///< as in SearchOptions
};

/// How a saved index is opened.
struct OpenOptions {
  bool verify = false;  ///< check every checksum of the file first: reads it whole
  /// Nothing is mapped: codes, centroids and ids are copied to RAM of this process and checked, and
  /// full vectors are read by pread (see StoreOpenOptions). A file that is truncated or overwritten
  /// under the index gives an Error when a vector is read, never SIGBUS. Opening then takes time
  /// and RAM of memory_usage_bytes(), which processes do not share.
  bool safe_reads = false;
  /// Codes, centroids, ids and float32 vectors of a mapped file are checked against their
  /// checksums, 64 KiB at a time, when a search or a look-up first touches them; damage is an
  /// Error(corrupt) each time that it is touched. Costs a pass over what is used, once. Where
  /// vectors are larger than memory, a first read of one brings 64 KiB in from disk instead of a
  /// page: without checks damage there gives wrong answers.
  bool check_on_first_use = true;
};

/// A part of an index, to be brought into memory or given back.
enum class IndexPart : std::uint8_t {
  all,
  codes,    ///< what every search runs through: codes, centroids, ids
  vectors,  ///< full vectors
};

/// What ClusteredIndex::warm() brings into memory.
struct WarmOptions {
  IndexPart part = IndexPart::all;
  std::uint64_t max_bytes = 0;  ///< 0: as much as there is memory for
  /// Locks codes, centroids and ids in memory (mlock) until trim(), so that full vectors never push
  /// them out; processes that have the file open still share them. Needs a RLIMIT_MEMLOCK of
  /// memory_usage_bytes() at least, or the privilege.
  bool lock_codes = false;
};

/// How an index is saved.
struct SaveOptions {
  /// Full vectors are encoded, rows in leaf order; else they are written as float32.
  std::optional<CompressionOptions> compression = {};
};

}  // namespace cairn

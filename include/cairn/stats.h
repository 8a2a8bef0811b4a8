#pragma once

#include <cstddef>
#include <cstdint>

#include "cairn/export.h"
#include "cairn/types.h"

namespace cairn {

/// Where full-precision vectors are served from.
enum class StorageKind : std::uint8_t {
  memory = 0,      ///< RAM of this process
  mmap = 1,        ///< a memory-mapped file
  custom = 2,      ///< a VectorStore of the user's own
  compressed = 3,  ///< a file of encoded rows
  tiered = 4,      ///< a cache in RAM over a store on disk
};

/// "memory", "mmap", "custom", "compressed", "tiered".
CAIRN_EXPORT const char* to_string(StorageKind kind) noexcept;

/// What a store holds and where.
struct StoreStats {
  StorageKind kind = StorageKind::custom;
  std::uint64_t ram_bytes = 0;   ///< anonymous memory held for vectors
  std::uint64_t disk_bytes = 0;  ///< bytes of file behind the store
};

/// Why a search scanned no further leaf.
enum class StopReason : std::uint8_t {
  none = 0,       ///< no search was made (empty index)
  budget = 1,     ///< the asked number of leaves was scanned
  exhausted = 2,  ///< every leaf was scanned, or every one with allowed vectors
  recall = 4,     ///< the target recall is reached, as far as calibration can tell
  deadline = 3,   ///< max_microseconds were over: results are the best found so far
};

/// "none", "budget", "exhausted", "deadline", "recall".
CAIRN_EXPORT const char* to_string(StopReason reason) noexcept;

/// What one search did. Counters are of this query alone.
struct SearchStats {
  std::size_t lists_scanned = 0;   ///< inner nodes whose children were scanned
  std::size_t centroids_read = 0;  ///< exact centroids read while navigating
  std::size_t leaves_scanned = 0;
  std::size_t codes_scanned = 0;  ///< vectors whose binary code was scanned
  std::size_t codes_refined = 0;  ///< of these, whose refine code was read
  std::size_t vectors_read = 0;   ///< full-precision vectors read for exact distances
  std::size_t vector_bytes_read = 0;
  StopReason stop_reason = StopReason::none;
  /// The mean recall of calibrated queries that were ended as this one was; 1 if every leaf was
  /// scanned, 0 if unknown (filters, ranges, an index that was never calibrated).
  float estimated_recall = 0;
  /// The query lies farther from or nearer to the indexed vectors than 99 of 100 calibrated ones,
  /// so what calibration promises may not hold for it: see ClusteredIndex::calibrate.
  bool is_unusual = false;
};

/// What an index is made of. Bytes are of this index's own data, by tier.
struct IndexStats {
  Metric metric = Metric::l2;
  std::size_t rows = 0;
  std::size_t dim = 0;
  std::size_t code_dim = 0;  ///< dimensions of the rotated, padded frame
  unsigned refine_bits = 0;
  std::size_t levels = 0;  ///< 1: a single leaf; 2: a root over leaves; ...
  std::size_t lists = 0;   ///< nodes of the tree, leaves included
  std::size_t leaves = 0;
  double leaf_size_mean = 0;
  double leaf_size_stddev = 0;
  std::size_t leaf_size_max = 0;
  std::size_t leaf_size_target = 0;      ///< what the build aimed at; 0: the file does not tell
  std::uint64_t code_bytes = 0;          ///< binary codes and their factors, tree nodes included
  std::uint64_t centroid_bytes = 0;      ///< exact centroids and the list table
  std::uint64_t refine_bytes = 0;        ///< refine codes
  std::uint64_t id_bytes = 0;            ///< ids and the id -> row order
  std::uint64_t vector_ram_bytes = 0;    ///< full vectors held in RAM
  std::uint64_t vector_disk_bytes = 0;   ///< full vectors on disk
  std::uint64_t payload_raw_bytes = 0;   ///< of all payloads, as given
  std::uint64_t payload_ram_bytes = 0;   ///< compressed payloads held in RAM
  std::uint64_t payload_disk_bytes = 0;  ///< compressed payloads on disk
  bool index_is_mapped = false;  ///< codes live in a mapped file (shared, evictable) not in RAM
};

}  // namespace cairn

#pragma once

// Answers kept for queries that come again.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "cairn/clustered_index.h"
#include "cairn/export.h"
#include "cairn/options.h"
#include "cairn/types.h"

namespace cairn {

/// What a cache has done so far, and what it holds now.
struct ResultCacheStats {
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t evictions = 0;   ///< answers dropped for newer ones
  std::uint64_t rejections = 0;  ///< answers that alone are above the budget
  std::size_t entries = 0;
  std::size_t bytes = 0;  ///< all memory that entries and their table take
  std::size_t budget_bytes = 0;
};

/// Least-recently-used whole answers, within a budget of memory.
///
/// An answer is found again for the same bytes of the query, equal options (but for `threads`,
/// which changes no answer) and the same ClusteredIndex::identity(). So one cache may serve many
/// indexes, an index that was replaced is never answered for by the old one's entries, which age
/// out, and what an index's file gives survives closing and opening it.
///
/// Thread-safe: one lock, not held while an index is searched; two threads that miss the same
/// answer at the same time both search for it.
class CAIRN_EXPORT ResultCache {
 public:
  /// @param budget_bytes  never exceeded once a call has returned; 0 keeps nothing.
  explicit ResultCache(std::size_t budget_bytes);
  ~ResultCache();
  ResultCache(const ResultCache&) = delete;
  ResultCache& operator=(const ResultCache&) = delete;

  /// index.search(query, options), or what it gave before. @throws what it throws; errors are not
  /// kept. Cost of a hit: a hash of the query and a copy of the answer.
  std::vector<Neighbor> search(const ClusteredIndex& index, std::span<const float> query,
                               const SearchOptions& options = {});

  /// Drops all entries; the counters stay.
  void clear();
  ResultCacheStats stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cairn

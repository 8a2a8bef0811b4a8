#pragma once

// Exact nearest neighbours by brute force, and recall against them: what an index is judged by.

#include <cstddef>
#include <functional>

#include "cairn/clustered_index.h"
#include "cairn/export.h"
#include "cairn/types.h"

namespace cairn {

/// The true `k` nearest rows of `base` [n, dim] for each of `queries` [m, dim]: ids are row
/// numbers, nearest first, ties by smaller id; distances are those that ClusteredIndex reports, bit
/// for bit.
///
/// @param threads   0: all cores.
/// @param on_query  called now and then with the number of queries done; may be empty. Returning
///                  false stops with Error(cancelled).
/// @throws Error invalid_argument: dimensions differ, k == 0, non-finite values, zero rows or
///   queries under cosine.
/// Cost: O(m * n * dim), blocked for the cache.
CAIRN_EXPORT BatchResult exact_search(MatrixView base, MatrixView queries, std::size_t k,
                                      Metric metric, unsigned threads = 0,
                                      const std::function<bool(std::size_t)>& on_query = {});

/// Mean share of the true `k` nearest that `found` names: recall@k.
///
/// An id counts if it is among the true k, or exactly as far as the k-th of them. Rows of `found`
/// and `truth` may be longer than k; of `found` the first k count.
/// @throws Error invalid_argument if the number of queries differs or either has fewer than k
/// columns.
CAIRN_EXPORT double recall_at_k(const BatchResult& found, const BatchResult& truth, std::size_t k);

}  // namespace cairn

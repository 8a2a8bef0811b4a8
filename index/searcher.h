#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "cairn/stats.h"
#include "cairn/vector_store.h"

#include "index/index_data.h"
#include "index/leaf_budget.h"
#include "index/leaf_scanner.h"
#include "index/navigator.h"
#include "index/query_state.h"
#include "index/reranker.h"

namespace cairn::index {

// The path of a query: navigate, scan leaves in rounds, refine survivors, rerank by exact distance.
// Holds all scratch memory; nothing is allocated once it has grown to the sizes asked for. One per
// thread.
class Searcher {
 public:
  // The results, nearest first, valid until the next call. `query` has data.dim() values that
  // passed validation; data.rows() > 0.
  std::span<const RowDistance> search(const IndexData& data, const VectorStore& store,
                                      const float* query, const SearchRequest& request,
                                      SearchStats& stats);

  // The leaves that the last search scanned, nearest first.
  std::span<const RankedList> scanned_leaves() const noexcept {
    return std::span(state_.leaves).first(state_.done);
  }
  // What the last search knew in the end.
  const QueryState& state() const noexcept { return state_; }

 private:
  void find_leaves(const IndexData& data, std::size_t probes);
  bool find_more_leaves(const IndexData& data);
  Scanned what_was_scanned(const IndexData& data) const;
  void scan_leaves(const IndexData& data);
  void scan_round(const IndexData& data);

  // What one of several threads keeps to itself while they scan for the same query.
  struct Worker {
    LeafScanner scanner;
    Candidates candidates;
  };

  QueryState state_;
  std::size_t found_before_ = 0;  // candidates at the last look at how many leaves to scan
  std::vector<bool> is_known_;    // by list; all false between calls
  Navigator navigator_;
  LeafScanner scanner_;
  Reranker reranker_;
  std::vector<Worker> workers_;
};

}  // namespace cairn::index

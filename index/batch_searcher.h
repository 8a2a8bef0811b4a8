#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "cairn/types.h"
#include "cairn/vector_store.h"

#include "base/aligned_buffer.h"
#include "index/index_data.h"
#include "index/leaf_scanner.h"
#include "index/navigator.h"
#include "index/query_state.h"
#include "index/reranker.h"
#include "quantize/kernels/kernel_table.h"

namespace cairn::index {

// Many queries at a time on one thread, leaf by leaf: a round of all queries is scanned in the
// order of leaves, so that a leaf's codes come from memory once for all queries that probe it.
// Results are those of Searcher to the bit, since a query's rounds do not depend on the order
// within them. Holds all scratch memory. One per thread.
class BatchSearcher {
 public:
  // Queries that scan a leaf together.
  static constexpr std::size_t kLeafQueries = 4;

  // Whether all is known beforehand that such queries do in a round. It is not where exact reads
  // lower the threshold between rounds, nor where what was scanned tells how many leaves there are
  // to scan, nor where the clock does.
  static bool serves(const IndexData& data, const SearchRequest& request) noexcept {
    return (data.refine_code_bits() != 0 || request.rerank != 0) && !request.has_open_budget() &&
           request.max_microseconds == 0;
  }

  // Calls result(q, results) for each row q of `queries`, in order; `results` is valid until the
  // call returns. The queries passed validation and
  // the request is one that it serves; data.rows() > 0.
  void search(const IndexData& data, const VectorStore& store, MatrixView queries,
              const SearchRequest& request,
              const std::function<void(std::size_t, std::span<const RowDistance>)>& result);

 private:
  // A leaf to be scanned for a query, and the squared distance of the two.
  struct Visit {
    std::uint32_t query;
    std::uint32_t list;
    float squared_distance;
  };
  // What a visit needs of its query, in one cache line: visits meet queries in no order.
  struct alignas(64) Probe {
    kernels::ScanQuery scan;
    kernels::RefineQuery refine;
    float threshold;
    quantize::QueryErrors errors;
  };
  static_assert(sizeof(Probe) == 64);

  void start(const IndexData& data, MatrixView queries, const SearchRequest& request);
  bool plan_round();
  void scan_by_query(const IndexData& data);
  std::size_t sort_visits(const IndexData& data);
  void scan_by_leaf(const IndexData& data);
  void prefetch_queries(const IndexData& data, std::size_t begin) const;
  void scan_leaf(const IndexData& data, std::span<const Visit> visits, const ListEntry& next,
                 std::size_t side);
  void take_survivors(const IndexData& data, std::span<const Visit> visits, std::size_t side);
  void hand_out_found();

  std::vector<QueryState> states_;
  std::size_t count_ = 0;  // of states in use
  SearchRequest request_;
  Deviations deviations_;
  std::vector<std::size_t> known_;  // candidates of each query before the round
  std::vector<Visit> visits_;
  std::vector<Visit> sorted_;
  std::vector<std::uint32_t> starts_;
  base::AlignedArray<Probe> probes_;
  Survivors survivors_[2][kLeafQueries];  // of the visits under way and of those before
  Candidates found_;                      // of all queries, as visits found them
  base::RawVector<std::uint32_t> found_queries_;
  std::vector<bool> is_known_;  // by list; all false between calls
  Navigator navigator_;
  LeafScanner scanner_;
  Reranker rerankers_[2];
};

}  // namespace cairn::index

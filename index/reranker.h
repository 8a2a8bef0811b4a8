#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "cairn/types.h"
#include "cairn/vector_store.h"

#include "base/aligned_buffer.h"
#include "index/index_data.h"
#include "index/query_state.h"
#include "index/ranking.h"

namespace cairn::index {

// A result as a row number, in the index's order.
struct RowDistance {
  float distance;  // as users see it
  VectorId id;
  std::uint32_t row;

  // Worse is greater: by distance, ties by id.
  friend bool operator<(const RowDistance& a, const RowDistance& b) noexcept {
    return a.distance != b.distance ? a.distance < b.distance : a.id < b.id;
  }
};

// Settles a query by exact distances to full-precision vectors, read in the order of lower bounds
// and only while these can win. Holds scratch memory; one per thread.
class Reranker {
 public:
  void start(const IndexData& data, const VectorStore& store, const float* query,
             const SearchRequest& request);
  // Optional, once all leaves are scanned: puts the candidates in order and announces those that
  // finish() will read first to the store, and to the memory behind a contiguous one.
  void prepare(const QueryState& state);
  // Without refine codes, between rounds: reads the most promising candidates, so that their exact
  // distances lower the threshold, whatever store they come from.
  void tighten(QueryState& state);
  // The results, nearest first, valid until the next start() or tighten(). Ends early if the
  // deadline passes, and then sets the stop reason.
  std::span<const RowDistance> finish(QueryState& state);
  // Instead of all the others: the results by exact distances of every row that the request's
  // filter lists.
  std::span<const RowDistance> settle_allowed(SearchStats& stats);

 private:
  void sort_candidates(const QueryState& state);
  std::size_t first_chunk(const QueryState& state) const;
  void announce(std::span<const std::uint32_t> rows);
  void finish_fixed(QueryState& state);
  void finish_by_bounds(QueryState& state);
  void finish_range(QueryState& state);
  bool wants_all() const noexcept;
  bool is_near(float distance) const noexcept;
  std::size_t keep_nearest();
  std::span<const RowDistance> near_results();
  bool is_late(SearchStats& stats) const;
  void read(std::span<const std::uint32_t> rows, SearchStats& stats);
  void compute_distances(std::span<const std::uint32_t> rows, SearchStats& stats);
  void add_results(std::size_t count);
  float exact_threshold(const QueryState& state) const;

  const IndexData* data_ = nullptr;
  const VectorStore* store_ = nullptr;
  const float* query_ = nullptr;
  double query_norm2_ = 0;  // under cosine
  SearchRequest request_;
  std::size_t k_ = 0;

  std::vector<RowDistance> results_;  // the k nearest so far, nearest first
  std::vector<RowDistance> unsorted_;
  bool is_prepared_ = false;
  std::size_t announced_ = 0;  // of the rows that finish() reads, in rows_
  // Candidates that pass the threshold, by lower bound.
  std::vector<std::uint32_t> sorted_rows_;
  std::vector<float> sorted_lower_;
  base::AlignedArray<std::uint32_t> places_;
  base::AlignedArray<float> lower_;
  Ranking ranking_;
  std::vector<std::uint32_t> rows_;
  std::vector<float> distances_;
  base::AlignedArray<float> fetched_;
};

}  // namespace cairn::index

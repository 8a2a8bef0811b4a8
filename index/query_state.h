#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cairn/stats.h"

#include "index/index_data.h"
#include "index/least_values.h"
#include "index/navigator.h"
#include "quantize/query_code.h"

namespace cairn::index {

// One query, with every default resolved.
struct SearchRequest {
  std::size_t k = 10;      // at least 1, at most rows
  std::size_t probes = 1;  // leaves to scan, at least 1
  std::size_t rerank = 0;  // 0: bound-driven; else exact distances of this many candidates
  float deviations = 1.9f;  // bounds are estimates less so many standard deviations
  unsigned threads = 1;
};

// Rows that may be among the results, with bounds of their squared distances in the frame: side by
// side, as kernels take them.
struct Candidates {
  std::vector<std::uint32_t> rows;
  std::vector<float> lower;
  std::vector<float> upper;

  std::size_t size() const noexcept { return rows.size(); }
  void resize(std::size_t count) {
    rows.resize(count);
    lower.resize(count);
    upper.resize(count);
  }
  void append(const Candidates& other) {
    rows.insert(rows.end(), other.rows.begin(), other.rows.end());
    lower.insert(lower.end(), other.lower.begin(), other.lower.end());
    upper.insert(upper.end(), other.upper.begin(), other.upper.end());
  }
};

// What is known of one query while its leaves are scanned.
//
// Leaves are scanned in rounds. The threshold changes only between rounds, and each round's work is
// fixed before it begins; so results depend neither on threads, nor on the order in which a round's
// leaves are scanned, nor on the other queries of a batch, nor on the store.
// Memory is kept from query to query.
struct QueryState {
  SearchRequest request;
  quantize::QueryCode code;
  std::vector<RankedList> leaves;  // to scan, nearest first
  std::size_t done = 0;            // of these, scanned
  Candidates candidates;
  LeastValues uppers;   // of the candidates' upper bounds the `threshold_rank` least
  float threshold = 0;  // what has its lower bound at or above it is out
  std::size_t threshold_rank = 0;
  float scan_deviations = 0;  // of the first stage's bounds; 0: estimates
  float refine_deviations = 0;
  bool has_refine = false;
  SearchStats stats;

  // Prepares everything but `leaves`.
  void start(const IndexData& data, const float* query, const SearchRequest& query_request);
  // Where the round that begins now ends.
  std::size_t round_end() const noexcept;
  // Ends a round whose candidates are those from `first` on.
  void end_round(std::size_t first, std::size_t end);
  // A threshold for when the k-th least upper bound is `kth`: equal lower bounds stay in.
  float threshold_for(float kth) const noexcept;
};

}  // namespace cairn::index

#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "cairn/stats.h"

#include "base/raw_vector.h"
#include "index/index_data.h"
#include "index/leaf_bounds.h"
#include "index/navigator.h"
#include "index/row_filter.h"
#include "index/stop_rule.h"
#include "index/threshold.h"
#include "quantize/query_code.h"

namespace cairn::index {

// One query, with every default resolved.
struct SearchRequest {
  std::size_t k = 10;      // at least 1, at most rows
  std::size_t probes = 1;  // leaves to scan, at least 1; to look for first, if there is a stop rule
  StopRule stop = {};      // open: none
  std::size_t rerank = 0;  // 0: bound-driven; else exact distances of this many candidates
  float deviations = 1.9f;  // bounds are estimates less so many standard deviations
  bool is_certain = false;  // or less all that they can be off
  // Which of many rows at the same distance are found does not matter.
  bool leaves_ties = false;
  unsigned threads = 1;

  const RowFilter* filter = nullptr;  // with at least one row; null: all rows
  float max_distance = std::numeric_limits<float>::infinity();  // as users see it
  bool is_range = false;       // how many are found decides how many leaves are scanned
  bool is_calibrated = false;  // the number of leaves may follow from target_recall
  float target_recall = 0.95f;

  // > 0: how long the query may take, and until when, once its clock has been started.
  std::uint64_t max_microseconds = 0;
  std::chrono::steady_clock::time_point deadline = {};

  void start_clock() noexcept {
    constexpr std::uint64_t kYear = 31'536'000'000'000;
    if (max_microseconds == 0) return;
    deadline = std::chrono::steady_clock::now() +
               std::chrono::microseconds(std::min(max_microseconds, kYear));
  }
  bool is_late() const noexcept {
    return max_microseconds != 0 && std::chrono::steady_clock::now() >= deadline;
  }
  // Whether `probes` may not be the last word on the number of leaves.
  bool has_open_budget() const noexcept { return filter != nullptr || is_range; }
  bool has_stop_rule() const noexcept { return !stop.is_open() && !has_open_budget(); }
};

// With a fixed number of candidates estimates decide, not bounds; the first stage still leaves room
// for its error before the second one.
inline Deviations deviations_of(const IndexData& data, const SearchRequest& request) noexcept {
  if (request.rerank == 0) {
    return {request.deviations, request.deviations, request.is_certain};
  }
  return {data.refine_code_bits() == 0 ? 0 : request.deviations, 0, false};
}

// Rows that may be among the results, with bounds of their squared distances in the frame: side by
// side, as kernels take them.
struct Candidates {
  base::RawVector<std::uint32_t> rows;
  base::RawVector<float> lower;
  base::RawVector<float> upper;

  std::size_t size() const noexcept { return rows.size(); }
  void resize(std::size_t count) {
    rows.resize(count);
    lower.resize(count);
    upper.resize(count);
  }
  void append(std::uint32_t row, float lower_bound, float upper_bound) {
    rows.push_back(row);
    lower.push_back(lower_bound);
    upper.push_back(upper_bound);
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
  static constexpr std::size_t kFewLeaves = 8;

  SearchRequest request;
  quantize::QueryCode code;
  std::vector<RankedList> leaves;  // that may be scanned, nearest first
  std::size_t wanted = 0;          // of these, to be scanned
  std::size_t done = 0;            // of these, scanned
  Candidates candidates;
  Threshold threshold;
  Deviations deviations;
  bool has_refine = false;
  float base_share = 0;  // base_rounding() of the index
  float farthest = 0;    // squared distance to the last leaf that may have given candidates
  SearchStats stats;

  // Prepares everything but `leaves`.
  void start(const IndexData& data, const float* query, const SearchRequest& query_request);
  // Appends those of these leaves that are not known yet. `is_known` is scratch, by list, all
  // false.
  void add_leaves(std::span<const RankedList> nearest, std::vector<bool>& is_known);
  bool is_done() const noexcept { return done >= wanted; }
  // Whether the stop rule asks for leaves beyond those known.
  bool wants_more_leaves(const IndexData& data) const noexcept {
    return request.has_stop_rule() && wanted == leaves.size() && wanted < data.num_leaves();
  }
  // Where the round that begins now ends: short rounds first, since the threshold falls fast then.
  std::size_t round_end() const noexcept {
    // Where a stop rule expects few leaves to be enough, one may be.
    const std::size_t least = request.has_stop_rule() && request.probes < kFewLeaves ? 1 : 2;
    return std::min(wanted, done + std::max(least, done));
  }
  // Ends a round whose candidates are those from `first` on, and before which leaves were scanned.
  void end_round(std::size_t first, std::size_t end) {
    if (candidates.size() != first && end != done) {
      farthest = std::max(farthest, leaves[end - 1].squared_distance);
    }
    done = end;
    threshold.offer(std::span(candidates.upper).subspan(first), margin(farthest));
  }
  // What upper bounds of rows in leaves up to a squared distance may lack.
  float margin(float squared_distance) const noexcept { return 2 * base_share * squared_distance; }
  // What the bound of a candidate must stay below to be as near as a public distance.
  float threshold_of(float distance) const noexcept {
    return code.widening(code.distance_map.to_frame(distance));
  }
  // How many leaves are to be looked for then.
  std::size_t more_leaves(const IndexData& data) const noexcept {
    return std::min(data.num_leaves(), 2 * done);
  }
  // Settles how many leaves are wanted, with the threshold as it is now.
  void apply_stop_rule();
  // The score of the first leaf that is not scanned, taken to be as far as the last that was if
  // none was looked for.
  float end_score(const StopRule& rule) const noexcept;
};

}  // namespace cairn::index

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "cairn/stats.h"

#include "base/aligned_buffer.h"
#include "index/index_data.h"
#include "index/ranking.h"
#include "index/row_filter.h"
#include "quantize/query_code.h"

namespace cairn::index {

// A list and the exact squared distance of the query to its centre. Order: nearest first, ties by
// smaller list number.
struct RankedList {
  float squared_distance;
  std::uint32_t list;

  friend bool operator<(const RankedList& a, const RankedList& b) noexcept {
    return a.squared_distance != b.squared_distance ? a.squared_distance < b.squared_distance
                                                    : a.list < b.list;
  }
};

// Finds the leaves nearest to a query, top-down with a beam. At each level the children of the
// beam's lists are scanned as codes; the exact centroids of those with the least estimates are
// read, somewhat more than are wanted, and put in order. Reused from query to query; one per
// thread.
class Navigator {
 public:
  // The `probes` nearest leaves, or all there are, nearest first; with a filter, of those that have
  // allowed rows. In deep trees there may be fewer, unless all are asked for. Valid until the next
  // call.
  std::span<const RankedList> find_leaves(const IndexData& data, const quantize::QueryCode& query,
                                          std::size_t probes, const RowFilter* filter,
                                          SearchStats& stats);
  // Rows in the lists that the last call passed over for want of allowed rows, and whose estimated
  // squared distances are at most as given.
  std::size_t rows_passed_over(float squared_distance) const noexcept;

 private:
  void estimate_children(const IndexData& data, const quantize::QueryCode& query,
                         SearchStats& stats);
  void rank_exactly(const IndexData& data, const quantize::QueryCode& query, std::size_t wanted,
                    SearchStats& stats);
  void measure_precisely(const IndexData& data, const quantize::QueryCode& query,
                         std::span<const std::uint32_t> centroids);
  void pass_over_empty(const RowFilter& filter);
  void order_beam(const std::uint32_t* rows, const float* distances, std::size_t count);

  std::vector<RankedList> beam_;
  std::size_t count_ = 0;  // children in the arrays below
  base::AlignedArray<std::uint32_t> lists_;
  base::AlignedArray<float> values_;
  base::AlignedArray<std::uint32_t> contenders_;  // places in lists_, then rows of centroids
  base::AlignedArray<float> distances_;
  base::AlignedArray<float> centre_;  // and scratch
  base::AlignedArray<std::uint32_t> kept_;
  base::AlignedArray<float> nearest_;
  struct PassedOver {
    float squared_distance;
    std::uint32_t rows;
  };
  std::vector<PassedOver> passed_over_;
  Ranking ranking_;
};

}  // namespace cairn::index

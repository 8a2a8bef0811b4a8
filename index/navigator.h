#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cairn/stats.h"

#include "base/aligned_buffer.h"
#include "index/index_data.h"
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
// beam's lists are scanned as codes, and the exact centroid of a child is read only while its lower
// bound can still win (lazy refinement). Reused from query to query; one per thread.
class Navigator {
 public:
  // The `probes` nearest leaves, or all there are, nearest first. Valid until the next call.
  std::span<const RankedList> find_leaves(const IndexData& data, const quantize::QueryCode& query,
                                          std::size_t probes, SearchStats& stats);

 private:
  void rank_children(const IndexData& data, const quantize::QueryCode& query, std::size_t wanted,
                     SearchStats& stats);
  void rank_all(const IndexData& data, const quantize::QueryCode& query, SearchStats& stats);

  std::vector<RankedList> beam_;
  std::vector<RankedList> next_;       // max-heap while a level is ranked
  std::vector<std::uint64_t> bounds_;  // (lower bound, list) as sortable keys
  base::AlignedArray<std::uint32_t> scan_index_;
  base::AlignedArray<float> scan_value_;
};

}  // namespace cairn::index

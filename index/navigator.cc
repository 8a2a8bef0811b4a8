#include "index/navigator.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "quantize/kernels/kernels.h"

namespace cairn::index {
namespace {

// Lower bounds of centroids, in standard deviations. A leaf that is missed for a bound too high is
// one of the farthest of those wanted, so this can be low (docs/performance.md).
constexpr float kCentroidDeviations = 1.0f;
// Centroids whose exact distances are read between two looks at the bounds.
constexpr std::size_t kBatch = 16;

// A float and a list number as one integer that sorts by the float, then by the number.
std::uint64_t sortable_key(float value, std::uint32_t list) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t ordered = (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
  return std::uint64_t{ordered} << 32 | list;
}

float key_value(std::uint64_t key) {
  const auto ordered = static_cast<std::uint32_t>(key >> 32);
  return std::bit_cast<float>((ordered & 0x80000000u) != 0 ? ordered & 0x7FFFFFFFu : ~ordered);
}

// Lists to keep at a level of inner nodes so that enough leaves are looked at below.
std::size_t beam_width(const IndexData& data, std::uint32_t level, std::size_t probes) {
  const std::size_t leaves = data.num_leaves();
  std::size_t wanted = std::max<std::size_t>(8 * probes, 256);
  if (leaves < 10000) wanted = std::max(wanted, leaves / 10);
  // Lists per list of this level, on average, down to the leaves.
  std::size_t lists_at_level = 0;
  for (const ListEntry& list : data.lists) {
    if (list.level == level) ++lists_at_level;
    if (list.level < level) break;
  }
  return std::max<std::size_t>(16, wanted * lists_at_level / std::max<std::size_t>(leaves, 1) + 1);
}

}  // namespace

std::span<const RankedList> Navigator::find_leaves(const IndexData& data,
                                                   const quantize::QueryCode& query,
                                                   std::size_t probes, SearchStats& stats) {
  beam_.assign(1, {query.squared_norm, 0});
  while (data.lists[beam_[0].list].level != 0) {
    const std::uint32_t child_level = data.lists[beam_[0].list].level - 1;
    rank_children(data, query, child_level == 0 ? probes : beam_width(data, child_level, probes),
                  stats);
    std::swap(beam_, next_);
    next_.reserve(beam_.capacity());  // so that the next search finds room in either
  }
  return beam_;
}

void Navigator::rank_children(const IndexData& data, const quantize::QueryCode& query,
                              std::size_t wanted, SearchStats& stats) {
  const kernels::Kernels& k = kernels::active();
  std::size_t children = 0;
  for (const RankedList& parent : beam_) children += data.lists[parent.list].num_children;
  next_.clear();
  next_.reserve(children);
  if (wanted >= children) {
    rank_all(data, query, stats);
    return;
  }
  bounds_.clear();
  bounds_.reserve(children);
  for (const RankedList& parent : beam_) {
    const ListEntry& list = data.lists[parent.list];
    const std::size_t room = (list.num_children + 31) / 32 * 32 + 32;
    scan_index_.reserve_discarding(room);
    scan_value_.reserve_discarding(room);
    const float slack = kCentroidDeviations * std::sqrt(parent.squared_distance) * list.scan_sigma;
    const std::size_t found = k.scan_blocks(
        data.block(list.first_block), list.num_children, query.table.data(), data.padded_dim(),
        query.table_step, query.scan_offset + slack, std::numeric_limits<float>::infinity(),
        scan_index_.data(), scan_value_.data());
    for (std::size_t i = 0; i < found; ++i) {
      bounds_.push_back(sortable_key(parent.squared_distance + scan_value_[i],
                                     list.first_child + scan_index_[i]));
    }
    ++stats.lists_scanned;
  }
  std::size_t sorted = 0;  // bounds_[0, sorted) are the smallest, in order
  std::size_t done = 0;
  while (done < bounds_.size()) {
    if (done == sorted) {
      const std::size_t until = std::min(bounds_.size(), sorted + wanted + kBatch);
      const auto begin = bounds_.begin() + static_cast<std::ptrdiff_t>(sorted);
      const auto end = bounds_.begin() + static_cast<std::ptrdiff_t>(until);
      if (until < bounds_.size()) std::nth_element(begin, end - 1, bounds_.end());
      std::sort(begin, end);
      sorted = until;
    }
    const std::size_t count = std::min(kBatch, sorted - done);
    std::uint32_t rows[kBatch];
    float distances[kBatch];
    for (std::size_t i = 0; i < count; ++i) {
      rows[i] = static_cast<std::uint32_t>(bounds_[done + i]) - 1;  // centroids skip the root
    }
    k.l2sq_half_rows(query.rotated.data(), data.centroids.data(), data.centroid_scales.data(), rows,
                     count, data.padded_dim(), distances);
    stats.centroids_read += count;
    for (std::size_t i = 0; i < count; ++i) {
      const RankedList child{distances[i], rows[i] + 1};
      if (next_.size() < wanted) {
        next_.push_back(child);
        std::push_heap(next_.begin(), next_.end());
      } else if (child < next_.front()) {
        std::pop_heap(next_.begin(), next_.end());
        next_.back() = child;
        std::push_heap(next_.begin(), next_.end());
      }
    }
    done += count;
    if (next_.size() == wanted && done < sorted &&
        key_value(bounds_[done]) >= next_.front().squared_distance) {
      break;
    }
  }
  std::sort_heap(next_.begin(), next_.end());
}

void Navigator::rank_all(const IndexData& data, const quantize::QueryCode& query,
                         SearchStats& stats) {
  for (const RankedList& parent : beam_) {
    const ListEntry& list = data.lists[parent.list];
    for (std::uint32_t begin = 0; begin < list.num_children; begin += kBatch) {
      const std::uint32_t count = std::min<std::uint32_t>(kBatch, list.num_children - begin);
      std::uint32_t rows[kBatch];
      float distances[kBatch];
      for (std::uint32_t i = 0; i < count; ++i) rows[i] = list.first_child + begin + i - 1;
      kernels::active().l2sq_half_rows(query.rotated.data(), data.centroids.data(),
                                       data.centroid_scales.data(), rows, count, data.padded_dim(),
                                       distances);
      for (std::uint32_t i = 0; i < count; ++i) next_.push_back({distances[i], rows[i] + 1});
      stats.centroids_read += count;
    }
    ++stats.lists_scanned;
  }
  std::sort(next_.begin(), next_.end());
}

}  // namespace cairn::index

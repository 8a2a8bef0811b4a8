#include "index/navigator.h"

#include <algorithm>
#include <limits>

#include "quantize/kernels/kernels.h"

namespace cairn::index {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Centroids to read so that, with estimates as good as they are, nearly all of the `wanted` nearest
// are among them. What is missed is one of the farthest of those wanted (docs/performance.md).
std::size_t least_contenders(const IndexData& data, std::size_t wanted) {
  return (2 * wanted + 8) * data.navigation_width;
}
std::size_t most_contenders(const IndexData& data, std::size_t wanted) {
  return (2 * wanted + wanted / 4 + 16) * data.navigation_width;
}

// Lists to keep at a level of inner nodes so that enough leaves are looked at below.
std::size_t beam_width(const IndexData& data, std::uint32_t level, std::size_t probes) {
  const std::size_t leaves = data.num_leaves();
  std::size_t wanted = std::max<std::size_t>(8 * probes, 256);
  if (leaves < 10000) wanted = std::max(wanted, leaves / 10);
  wanted = std::min(wanted, leaves);
  return data.navigation_width *
         std::max<std::size_t>(16, wanted * data.num_lists(level) / leaves + 1);
}

}  // namespace

std::span<const RankedList> Navigator::find_leaves(const IndexData& data,
                                                   const quantize::QueryCode& query,
                                                   std::size_t probes, const RowFilter* filter,
                                                   SearchStats& stats) {
  beam_.assign(1, {query.squared_norm, 0});
  passed_over_.clear();
  const bool wants_all = probes >= (filter != nullptr ? filter->num_leaves() : data.num_leaves());
  while (!beam_.empty() && data.lists[beam_[0].list].level != 0) {
    const std::uint32_t child_level = data.lists[beam_[0].list].level - 1;
    estimate_children(data, query, stats);
    if (filter != nullptr) pass_over_empty(*filter);
    std::size_t wanted = probes;
    if (child_level != 0) wanted = wants_all ? count_ : beam_width(data, child_level, probes);
    wanted = std::min(wanted, count_);
    rank_exactly(data, query, wanted, stats);
  }
  return beam_;
}

std::size_t Navigator::rows_passed_over(float squared_distance) const noexcept {
  std::size_t rows = 0;
  for (const PassedOver& list : passed_over_) {
    rows += list.squared_distance <= squared_distance ? list.rows : 0;
  }
  return rows;
}

// Takes the children without allowed rows out of lists_ and values_.
void Navigator::pass_over_empty(const RowFilter& filter) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < count_; ++i) {
    if (filter.allowed_in(lists_[i]) == 0) {
      passed_over_.push_back({values_[i], static_cast<std::uint32_t>(filter.rows_in(lists_[i]))});
    } else {
      lists_[kept] = lists_[i];
      values_[kept] = values_[i];
      ++kept;
    }
  }
  count_ = kept;
}

// Fills lists_ and values_ with the children of the beam and their estimated squared distances.
void Navigator::estimate_children(const IndexData& data, const quantize::QueryCode& query,
                                  SearchStats& stats) {
  std::size_t children = 0;
  for (const RankedList& parent : beam_) children += data.lists[parent.list].num_children;
  lists_.reserve_discarding(children + 64);
  values_.reserve_discarding(children + 64);
  count_ = 0;
  for (const RankedList& parent : beam_) {
    data.touch_list(parent.list);
    const ListEntry& list = data.lists[parent.list];
    count_ += kernels::active().scan_blocks(
        data.block(list.first_block), list.num_children, query.scan_query(0), data.padded_dim(),
        parent.squared_distance, kInfinity, list.first_child, data.block(list.first_block),
        lists_.data() + count_, values_.data() + count_);
  }
  stats.lists_scanned += beam_.size();
}

// The `wanted` nearest of the children become the beam, in order.
void Navigator::rank_exactly(const IndexData& data, const quantize::QueryCode& query,
                             std::size_t wanted, SearchStats& stats) {
  const kernels::Kernels& k = kernels::active();
  contenders_.reserve_discarding(count_ + 16);
  distances_.reserve_discarding(count_ + 16);
  std::uint32_t* const rows = contenders_.data();
  std::size_t contenders = count_;
  if (least_contenders(data, wanted) < count_) {
    const float cut = k.find_cut(values_.data(), count_, least_contenders(data, wanted),
                                 most_contenders(data, wanted));
    contenders = k.take_between(values_.data(), count_, -kInfinity, cut, rows, distances_.data());
    for (std::size_t i = 0; i < contenders; ++i) rows[i] = lists_[rows[i]] - 1;
  } else {
    for (std::size_t i = 0; i < contenders; ++i) rows[i] = lists_[i] - 1;
  }
  // Centroids skip the root, hence list - 1.
  if (data.centroid_lows.empty()) {
    k.l2sq_half_rows(query.rotated.data(), data.centroids.data(), data.centroid_scales.data(), rows,
                     contenders, data.padded_dim(), distances_.data());
  } else {
    measure_precisely(data, query, {rows, contenders});
  }
  stats.centroids_read += contenders;
  // Only damaged centroids are not numbers; they still need a place of their own.
  for (std::size_t i = 0; i < contenders; ++i) {
    if (!(distances_[i] < kInfinity)) distances_[i] = kInfinity;
  }
  if (wanted < contenders) {
    const float cut = k.find_cut(distances_.data(), contenders, wanted, wanted);
    kept_.reserve_discarding(contenders + 16);
    nearest_.reserve_discarding(contenders + 16);
    const std::size_t kept = k.take_between(distances_.data(), contenders, -kInfinity, cut,
                                            kept_.data(), nearest_.data());
    for (std::size_t i = 0; i < kept; ++i) kept_[i] = rows[kept_[i]];
    order_beam(kept_.data(), nearest_.data(), kept);
    beam_.resize(wanted);
  } else {
    order_beam(rows, distances_.data(), contenders);
  }
}

// Fills distances_ with the distances of centroids that have lows.
void Navigator::measure_precisely(const IndexData& data, const quantize::QueryCode& query,
                                  std::span<const std::uint32_t> centroids) {
  const std::size_t dims = data.padded_dim();
  centre_.reserve_discarding(2 * dims);
  for (std::size_t i = 0; i < centroids.size(); ++i) {
    data.decode_centre(centroids[i] + std::size_t{1}, centre_.data(), centre_.data() + dims);
    kernels::active().l2sq_rows(query.rotated.data(), centre_.data(), dims, nullptr, 1, dims,
                                &distances_[i]);
  }
}

// Makes these centroids the beam, nearest first, ties by place.
void Navigator::order_beam(const std::uint32_t* rows, const float* distances, std::size_t count) {
  beam_.resize(count);
  const std::span<const std::uint32_t> ranks = ranking_.rank({distances, count});
  for (std::size_t i = 0; i < count; ++i) beam_[ranks[i]] = {distances[i], rows[i] + 1};
}

}  // namespace cairn::index

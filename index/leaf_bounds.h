#pragma once

// From estimates to bounds: how far the codes of a leaf may be off for one query.

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "index/index_data.h"
#include "quantize/query_code.h"

namespace cairn::index {

// How wide bounds are: so many standard deviations of the estimates, or, where nothing may be lost,
// as far as an estimate can be off at all.
struct Deviations {
  float scan = 0;  // 0: estimates are taken as they are
  float refine = 0;
  bool is_certain = false;
};

// Bounds of the children of one leaf, in the terms of the kernels.
struct LeafBounds {
  float base;           // squared distance of the query to the centre, less what rounding added
  float scan_slack;     // added to a scan query's offset
  float refine_spread;  // kernels::refine_rows
};

// The share of a leaf's squared distance that `base` may lack, and upper bounds with it: of the
// distance itself, and of the squares of residuals, which are no longer than the distance to their
// centre and to the query together.
inline float base_rounding(std::size_t padded_dim) noexcept {
  return 2 * quantize::QueryErrors::sum_rounding(padded_dim);
}

inline LeafBounds leaf_bounds(const IndexData& data, const quantize::QueryErrors& errors,
                              const Deviations& deviations, const ListEntry& leaf,
                              float squared_distance) noexcept {
  LeafBounds bounds;
  bounds.base = squared_distance * (1 - base_rounding(data.padded_dim()));
  if (!deviations.is_certain) {
    // Errors of codes are each row's own, and a few may be lost. Errors of the query's rounding are
    // shared by all rows whose codes are alike: where these errors matter, no row may be lost, or
    // all are.
    constexpr float kShared = 5 * 5;
    const float scan = deviations.scan * leaf.scan_sigma;
    const float refine = deviations.refine * leaf.refine_sigma;
    bounds.scan_slack =
        std::sqrt(squared_distance * (scan * scan) + kShared * errors.scan_variance);
    bounds.refine_spread =
        -std::sqrt(squared_distance * (refine * refine) + kShared * errors.refine_variance);
    if (deviations.scan == 0) bounds.scan_slack = 0;
    if (deviations.refine == 0) bounds.refine_spread = 0;
    return bounds;
  }
  // By Cauchy and Schwarz: |<u - its part along r, q - c>| is at most the product of both norms.
  // All of |u| = sqrt(D) / 2 is taken for a binary code. Sums are of terms as large as |u| (|q| +
  // |c|).
  const auto dims = static_cast<float>(data.padded_dim());
  const float distance = std::sqrt(squared_distance);
  const float rounding = 4 * quantize::QueryErrors::sum_rounding(data.padded_dim()) *
                         std::sqrt(dims) * (errors.norm + distance);
  const float limit = leaf.refine_limit > 0
                          ? leaf.refine_limit
                          : leaf.refine_sigma * std::sqrt(static_cast<float>(leaf.num_children));
  const auto levels = static_cast<float>(1u << data.refine_code_bits());
  bounds.scan_slack = distance * std::sqrt(dims) / 2 + errors.scan_reach + rounding;
  bounds.refine_spread =
      -(distance * std::sqrt(dims) * limit + errors.refine_reach + rounding * levels);
  return bounds;
}

}  // namespace cairn::index

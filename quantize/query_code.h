#pragma once

#include <cstddef>
#include <cstdint>

#include "base/aligned_buffer.h"
#include "quantize/frame.h"
#include "quantize/kernels/kernel_table.h"

namespace cairn::quantize {

// What rounding a query to its table and to its integers does to x, below; and what all float
// arithmetic around it may do, in units of the norms involved.
struct QueryErrors {
  float norm = 0;             // |q| in the frame
  float scan_variance = 0;    // of the x of binary codes
  float scan_reach = 0;       // the most that it can be off
  float refine_variance = 0;  // and of refine codes
  float refine_reach = 0;

  // Of sums over the dimensions of a frame, in 16 lanes, and of what is done to them.
  static float sum_rounding(std::size_t padded_dim) noexcept {
    return (static_cast<float>(padded_dim) / 16 + 16) * 0x1p-24f;
  }
};

// Everything that one query prepares once, for the whole tree: because codes are of residuals to
// their list's centre c and <b, q - c> = <b, q> - <b, c>, the part with c is a constant of the
// child (inside its f_add), and a single table of q serves every list.
//
// Estimates. Let g2 = |q - c|^2 be the exact squared distance of the query to a list's centre, and
// sigma the list's error scale. For a child with factors (f_add, f_scale):
//   squared distance ~ g2 + f_add + f_scale * x,   error deviation  |f_scale| * sqrt(g2) * sigma
// where x = <b, q> - S / 2 for binary codes, x = <x_u, q> - (2^B - 1) / 2 * S for refine codes, and
// S = sum of q. f_scale is never positive, so the lower bound at eps deviations is the estimate
// with eps * sqrt(g2) * sigma added to x: bounds cost nothing. Source: RaBitQ (SIGMOD 2024) and its
// extension (SIGMOD 2025), in the form of RaBitQ-Library's estimator.md, with the deviation of a
// child replaced by its list's (docs/design.md).
struct QueryCode {
  base::AlignedArray<float> rotated;       // [padded_dim]
  base::AlignedArray<std::uint8_t> table;  // [padded_dim / 4, 16]
  base::AlignedArray<std::int8_t> high;    // [padded_dim], see kernels::quantize_query
  base::AlignedArray<std::int8_t> low;     // [padded_dim]
  Frame::DistanceMap distance_map;
  Widening widening;       // of squared distances in the frame
  float squared_norm = 0;  // |q|^2 in the frame: the distance to the root's centre
  float table_step = 0;
  float scan_offset = 0;  // x = table_step * sum + scan_offset
  float refine_step = 0;
  float refine_offset = 0;  // x = refine_step * dot + refine_offset
  QueryErrors errors;

  // The two as kernels take them; `slack` is added to x, to make estimates bounds.
  kernels::ScanQuery scan_query(float slack) const noexcept {
    return {table.data(), table_step, scan_offset + slack};
  }
  kernels::RefineQuery refine_query() const noexcept {
    return {high.data(), low.data(), refine_step, refine_offset};
  }

  // Prepares `query` [frame.dim()]. `refine_code_bits` is the B of refine codes, 0 if there are
  // none. Allocates only when padded_dim grows.
  void prepare(const Frame& frame, const float* query, unsigned refine_code_bits);
};

}  // namespace cairn::quantize

#pragma once

// From kernel values to the distances that users see: the one definition behind exact search,
// rerank and everything else that reports a distance, so that equal pairs give equal bits
// everywhere.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "cairn/types.h"

#include "quantize/kernels/kernels.h"

namespace cairn::index {

// `dot` is <q, x>; the norms are Euclidean and positive. The roots of squared norms are taken one
// by one because the product of two squared norms may leave the range of float32.
inline float cosine_distance(float dot, float query_norm, float row_norm) noexcept {
  const float cosine = dot / (query_norm * row_norm);
  return std::clamp(1.0f - cosine, 0.0f, 2.0f);
}

inline float inner_product_distance(float dot) noexcept { return -dot; }

// <x, x> as every caller must compute it.
inline float squared_norm(const float* x, std::size_t dim) {
  float norm2;
  kernels::active().dot_rows(x, x, dim, nullptr, 1, dim, &norm2);
  return norm2;
}

// out[i] = distance of `query` to row i, for rows given as kernel_table.h says. `query_norm` is
// sqrt(squared_norm(query)), read under cosine only; `scratch` holds n floats, used under cosine
// only.
inline void metric_distances(Metric metric, const float* query, float query_norm, const float* base,
                             std::size_t stride, const std::uint32_t* rows, std::size_t n,
                             std::size_t dim, float* scratch, float* out) {
  const kernels::Kernels& kernel = kernels::active();
  switch (metric) {
    case Metric::l2:
      kernel.l2sq_rows(query, base, stride, rows, n, dim, out);
      return;
    case Metric::inner_product:
      kernel.dot_rows(query, base, stride, rows, n, dim, out);
      for (std::size_t i = 0; i < n; ++i) out[i] = inner_product_distance(out[i]);
      return;
    case Metric::cosine:
      kernel.dot_norm_rows(query, base, stride, rows, n, dim, out, scratch);
      for (std::size_t i = 0; i < n; ++i) {
        out[i] = cosine_distance(out[i], query_norm, std::sqrt(scratch[i]));
      }
      return;
  }
}

}  // namespace cairn::index

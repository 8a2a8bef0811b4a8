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

// From <q, x> and both squared norms, in double precision: 1 - cos of a small angle is lost in
// float32, whose grain near 1 is 6e-8. Equal vectors are at distance 0, since the root of a square
// is exact; squared norms passed validation, so their product is a normal number.
inline float cosine_distance(double dot, double query_norm2, double row_norm2) noexcept {
  const double cosine = dot / std::sqrt(query_norm2 * row_norm2);
  return static_cast<float>(std::clamp(1.0 - cosine, 0.0, 2.0));
}

inline float inner_product_distance(float dot) noexcept { return -dot; }

// <x, x> as every caller must compute it.
inline float squared_norm(const float* x, std::size_t dim) {
  float norm2;
  kernels::active().dot_rows(x, x, dim, nullptr, 1, dim, &norm2);
  return norm2;
}

// <x, x> as cosine_distance() takes it.
inline double precise_squared_norm(const float* x, std::size_t dim) {
  double dot;
  double norm2;
  kernels::active().dot_norm_rows(x, x, dim, nullptr, 1, dim, &dot, &norm2);
  return norm2;
}

// out[i] = distance of `query` to row i, for rows given as kernel_table.h says. `query_norm2` is
// precise_squared_norm(query), read under cosine only.
inline void metric_distances(Metric metric, const float* query, double query_norm2,
                             const float* base, std::size_t stride, const std::uint32_t* rows,
                             std::size_t n, std::size_t dim, float* out) {
  const kernels::Kernels& kernel = kernels::active();
  switch (metric) {
    case Metric::l2:
      kernel.l2sq_rows(query, base, stride, rows, n, dim, out);
      return;
    case Metric::inner_product:
      kernel.dot_rows(query, base, stride, rows, n, dim, out);
      for (std::size_t i = 0; i < n; ++i) out[i] = inner_product_distance(out[i]);
      return;
    case Metric::cosine: {
      constexpr std::size_t kChunk = 32;
      double dots[kChunk];
      double norms[kChunk];
      for (std::size_t begin = 0; begin < n; begin += kChunk) {
        const std::size_t count = std::min(kChunk, n - begin);
        kernel.dot_norm_rows(query, rows != nullptr ? base : base + begin * stride, stride,
                             rows != nullptr ? rows + begin : nullptr, count, dim, dots, norms);
        for (std::size_t i = 0; i < count; ++i) {
          out[begin + i] = cosine_distance(dots[i], query_norm2, norms[i]);
        }
      }
      return;
    }
  }
}

}  // namespace cairn::index

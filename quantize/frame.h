#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include "cairn/types.h"

#include "quantize/rotation.h"

namespace cairn::quantize {

// Where all stored geometry lives: a centred, rotated, padded Euclidean space in which squared
// distance orders rows as the metric does. One estimator then serves every metric.
//
// Two steps. *Lifting* maps a row to R^lifted_dim:
//   l2             x                                       query q
//   cosine         x / |x|                                 query q / |q|
//   inner product  [x, sqrt(M^2 - |x|^2)], M = max |x|     query [M q / |q|, 0]
// (all lifted rows of an inner-product index lie on the sphere of radius M, and the query's scale,
// which does not matter to the order, is chosen so that the query lies on it too). The mean of the
// lifted rows is subtracted. *Rotating* pads to padded_dim and applies the random rotation.
// Const calls may run concurrently.
class Frame {
 public:
  static constexpr std::size_t lifted_dim(Metric metric, std::size_t dim) {
    return metric == Metric::inner_product ? dim + 1 : dim;
  }
  static constexpr std::size_t padded_dim(Metric metric, std::size_t dim) {
    return (lifted_dim(metric, dim) + 63) / 64 * 64;
  }

  Frame() = default;
  // `mean` [lifted_dim] and `signs` are borrowed and must outlive the frame.
  Frame(Metric metric, std::size_t dim, float max_norm, std::span<const float> mean,
        std::span<const std::uint8_t> signs);

  Metric metric() const noexcept { return metric_; }
  std::size_t dim() const noexcept { return dim_; }
  std::size_t lifted_dim() const noexcept { return lifted_dim_; }
  std::size_t padded_dim() const noexcept { return padded_dim_; }

  // A row [dim] to its lifted, centred form [lifted_dim].
  void lift(const float* row, float* lifted) const noexcept;
  // A lifted, centred vector [lifted_dim] to the frame [padded_dim].
  void rotate(const float* lifted, float* rotated) const noexcept;
  // A query [dim] to the frame [padded_dim]. Returns how public distances of this query map to
  // squared distances of the frame.
  struct DistanceMap {
    float slope = 1;
    float offset = 0;
    float to_frame(float distance) const noexcept { return slope * distance + offset; }
    // The same, and above what rounding may make of it.
    float to_frame_above(float distance) const noexcept {
      return to_frame(distance) + 1e-5f * (std::fabs(slope * distance) + std::fabs(offset));
    }
  };
  DistanceMap rotate_query(const float* query, float* rotated) const noexcept;

 private:
  Metric metric_ = Metric::l2;
  std::size_t dim_ = 0;
  std::size_t lifted_dim_ = 0;
  std::size_t padded_dim_ = 0;
  float max_norm_ = 0;
  const float* mean_ = nullptr;
  Rotation rotation_;
};

}  // namespace cairn::quantize

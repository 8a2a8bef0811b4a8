#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include "cairn/types.h"

#include "quantize/rotation.h"

namespace cairn::quantize {

// What rounding may do to distances. The positions of a query and of a row in the frame are off by
// parts of their norms (rotation, subtraction of the mean) and by what lifting adds; public
// distances are off by parts of themselves. The row need not be known: one that is within a squared
// distance s of the query has at most the query's norm and sqrt(s).
struct Widening {
  float relative = 0;  // of distances
  float position = 0;  // of positions, in units of distance
  float squared = 0;   // of squared distances

  // What a bound of a row must stay below if the row is to be as near as `squared_distance`, an
  // upper bound of the same kind or a public distance. Above it even for 0; infinity stays.
  float operator()(float squared_distance) const noexcept {
    const float root = std::sqrt(std::max(squared_distance, 0.0f)) * (1 + relative) + position;
    return root * root + squared;
  }
};

// Where all stored geometry lives: a centred, rotated, padded Euclidean space in which squared
// distance orders rows as the metric does. One estimator then serves every metric.
//
// Two steps. *Lifting* maps a row to R^lifted_dim:
//   l2             x                                       query q
//   cosine         x / |x|                                 query q / |q|
//   inner product  [s x, sqrt(M^2 - |s x|^2)], M = max |s x|   query [M q / |q|, 0]
// (s is a power of two, 1 unless squares of rows would underflow; all lifted rows of an
// inner-product index lie on the sphere of radius M, and the query's scale, which does not matter
// to the order, is chosen so that the query lies on it too). The mean of the lifted rows is
// subtracted. *Rotating* pads to padded_dim and applies the random rotation. Const calls may run
// concurrently.
class Frame {
 public:
  static constexpr std::size_t lifted_dim(Metric metric, std::size_t dim) {
    return metric == Metric::inner_product ? dim + 1 : dim;
  }
  static constexpr std::size_t padded_dim(Metric metric, std::size_t dim) {
    return (lifted_dim(metric, dim) + 63) / 64 * 64;
  }

  Frame() = default;
  // How lengths of an inner-product index are lifted: M and s, above.
  struct Lift {
    float max_norm = 0;
    float scale = 1;
  };
  // `mean` [lifted_dim] and `signs` are borrowed and must outlive the frame.
  Frame(Metric metric, std::size_t dim, Lift lift, std::span<const float> mean,
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
    double slope = 1;
    double offset = 0;
    float to_frame(float distance) const noexcept {
      return static_cast<float>(slope * static_cast<double>(distance) + offset);
    }
  };
  DistanceMap rotate_query(const float* query, float* rotated) const noexcept;
  // How far a squared distance in the frame may be from what the public distance of the same pair
  // says, for a query of this norm in the frame.
  Widening widening(float query_norm) const noexcept;

 private:
  Metric metric_ = Metric::l2;
  std::size_t dim_ = 0;
  std::size_t lifted_dim_ = 0;
  std::size_t padded_dim_ = 0;
  Lift lift_;
  const float* mean_ = nullptr;
  Rotation rotation_;
};

}  // namespace cairn::quantize

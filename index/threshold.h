#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>

#include "base/raw_vector.h"
#include "index/least_values.h"
#include "quantize/frame.h"

namespace cairn::index {

// What the lower bound of a candidate must stay below: the k-th least upper bound seen, and as far
// above it as rounding may matter, so that equal to it stays in.
class Threshold {
 public:
  void reset(std::size_t k, const quantize::Widening& widening) {
    uppers_.reset(k);
    k_ = k;
    widening_ = widening;
    squared_radius_ = std::numeric_limits<float>::infinity();
    value_ = std::numeric_limits<float>::infinity();
  }

  std::size_t k() const noexcept { return k_; }
  float value() const noexcept { return value_; }
  // The squared distance that the k-th nearest is believed to have: value() as if nothing rounded.
  float squared_radius() const noexcept { return squared_radius_; }
  // Whether it is yet to fall by what was offered.
  bool is_open() const noexcept { return uppers_.kth() == std::numeric_limits<float>::infinity(); }

  // `margin` is what any upper bound offered so far may lack.
  void offer(std::span<const float> uppers, float margin) {
    uppers_.offer(uppers);
    lower_to(uppers_.kth(), margin);
  }
  // What value() would be after offer(). `scratch` is overwritten.
  float value_with(std::span<const float> uppers, float margin,
                   base::RawVector<float>& scratch) const {
    return std::min(value_, widening_(uppers_.kth_with(uppers, scratch) + margin));
  }
  // Takes over a squared distance of the frame that was found elsewhere.
  void lower_to(float squared_distance, float margin = 0) noexcept {
    squared_radius_ = std::min(squared_radius_, squared_distance);
    value_ = std::min(value_, widening_(squared_distance + margin));
  }

 private:
  LeastValues uppers_;
  std::size_t k_ = 1;
  quantize::Widening widening_;
  float squared_radius_ = 0;
  float value_ = 0;
};

}  // namespace cairn::index

#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>

#include "base/raw_vector.h"
#include "index/least_values.h"

namespace cairn::index {

// What the lower bound of a candidate must stay below: the k-th least upper bound seen. Equal to it
// stays in.
class Threshold {
 public:
  void reset(std::size_t k) {
    uppers_.reset(k);
    k_ = k;
    value_ = std::numeric_limits<float>::infinity();
  }

  std::size_t k() const noexcept { return k_; }
  float value() const noexcept { return value_; }
  // Whether it is yet to fall by what was offered.
  bool is_open() const noexcept { return uppers_.kth() == std::numeric_limits<float>::infinity(); }

  void offer(std::span<const float> uppers) {
    uppers_.offer(uppers);
    lower_to(just_above(uppers_.kth()));
  }
  // What value() would be after offer(). `scratch` is overwritten.
  float value_with(std::span<const float> uppers, base::RawVector<float>& scratch) const {
    return std::min(value_, just_above(uppers_.kth_with(uppers, scratch)));
  }
  // Takes over a value that was found elsewhere.
  void lower_to(float value) noexcept { value_ = std::min(value_, value); }

 private:
  static float just_above(float value) noexcept {
    return std::nextafter(value, std::numeric_limits<float>::infinity());
  }

  LeastValues uppers_;
  std::size_t k_ = 1;
  float value_ = 0;
};

}  // namespace cairn::index

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/raw_vector.h"

namespace cairn::index {

// The k least of all values offered so far, and so the k-th least. A heap would mispredict a branch
// for every value; here new values wait until there is a batch of them, and a cut is found by
// bisection over vectors. No value is NaN.
class LeastValues {
 public:
  void reset(std::size_t k);
  void offer(std::span<const float> values);
  // The k-th least value, infinity before there are k.
  float kth() const noexcept { return kth_; }
  // What kth() would be after offer(values). `scratch` is overwritten.
  float kth_with(std::span<const float> values, base::RawVector<float>& scratch) const;

 private:
  std::size_t k_ = 1;
  float kth_ = 0;
  base::RawVector<float> values_;
  base::RawVector<float> scratch_;
};

}  // namespace cairn::index

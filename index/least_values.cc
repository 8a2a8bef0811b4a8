#include "index/least_values.h"

#include <cmath>
#include <limits>

#include "quantize/kernels/kernels.h"

namespace cairn::index {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Appends those at or below `limit`, without a branch per value.
void append_until(base::RawVector<float>& out, std::span<const float> values, float limit) {
  std::size_t count = out.size();
  out.resize(count + values.size());
  float* const to = out.data();
  for (const float value : values) {
    to[count] = value;
    count += value <= limit ? 1 : 0;
  }
  out.resize(count);
}

}  // namespace

void LeastValues::reset(std::size_t k) {
  k_ = k;
  kth_ = kInfinity;
  values_.clear();
}

void LeastValues::offer(std::span<const float> values) {
  append_until(values_, values, kth_);
  if (values_.size() < k_) return;
  const kernels::Kernels& k = kernels::active();
  kth_ = k.find_cut(values_.data(), values_.size(), k_, k_);
  if (values_.size() == k_) return;
  // Of values equal to the k-th as many are kept as make k.
  scratch_.clear();
  append_until(scratch_, values_, std::nextafter(kth_, -kInfinity));
  scratch_.resize(k_, kth_);
  std::swap(values_, scratch_);
}

float LeastValues::kth_with(std::span<const float> values, base::RawVector<float>& scratch) const {
  scratch.assign(values_.begin(), values_.end());
  append_until(scratch, values, kth_);
  if (scratch.size() < k_) return kInfinity;
  return kernels::active().find_cut(scratch.data(), scratch.size(), k_, k_);
}

}  // namespace cairn::index

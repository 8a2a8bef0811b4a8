#include "quantize/frame.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "quantize/kernels/kernels.h"

namespace cairn::quantize {
namespace {

float squared_norm(const float* x, std::size_t dim) {
  float norm = 0;
  kernels::active().dot_rows(x, x, dim, nullptr, 1, dim, &norm);
  return norm;
}

}  // namespace

Frame::Frame(Metric metric, std::size_t dim, float max_norm, std::span<const float> mean,
             std::span<const std::uint8_t> signs)
    : metric_(metric),
      dim_(dim),
      lifted_dim_(lifted_dim(metric, dim)),
      padded_dim_(padded_dim(metric, dim)),
      max_norm_(max_norm),
      mean_(mean.data()),
      rotation_(padded_dim_, signs) {
  assert(mean.size() == lifted_dim_);
}

void Frame::lift(const float* row, float* lifted) const noexcept {
  switch (metric_) {
    case Metric::l2:
      for (std::size_t j = 0; j < dim_; ++j) lifted[j] = row[j] - mean_[j];
      break;
    case Metric::cosine: {
      const float inverse = 1.0f / std::sqrt(squared_norm(row, dim_));
      for (std::size_t j = 0; j < dim_; ++j) lifted[j] = row[j] * inverse - mean_[j];
      break;
    }
    case Metric::inner_product: {
      const float rest = max_norm_ * max_norm_ - squared_norm(row, dim_);
      for (std::size_t j = 0; j < dim_; ++j) lifted[j] = row[j] - mean_[j];
      lifted[dim_] = std::sqrt(std::max(rest, 0.0f)) - mean_[dim_];
      break;
    }
  }
}

void Frame::rotate(const float* lifted, float* rotated) const noexcept {
  std::copy_n(lifted, lifted_dim_, rotated);
  std::fill(rotated + lifted_dim_, rotated + padded_dim_, 0.0f);
  rotation_.apply(rotated);
}

Frame::DistanceMap Frame::rotate_query(const float* query, float* rotated) const noexcept {
  DistanceMap map;
  float factor = 1;
  if (metric_ == Metric::cosine) {
    factor = 1.0f / std::sqrt(squared_norm(query, dim_));
    map.slope = 2;  // |a - b|^2 = 2 (1 - cos) on the unit sphere
  } else if (metric_ == Metric::inner_product) {
    const float norm = std::sqrt(squared_norm(query, dim_));
    factor = norm > 0 ? max_norm_ / norm : 0;
    map.slope = 2 * factor;  // |[f q, 0] - x'|^2 = f^2 |q|^2 + M^2 - 2 f <q, x>
    map.offset = max_norm_ * max_norm_ + factor * factor * norm * norm;
  }
  for (std::size_t j = 0; j < dim_; ++j) rotated[j] = query[j] * factor - mean_[j];
  if (metric_ == Metric::inner_product) rotated[dim_] = -mean_[dim_];
  std::fill(rotated + lifted_dim_, rotated + padded_dim_, 0.0f);
  rotation_.apply(rotated);
  return map;
}

}  // namespace cairn::quantize

#include "quantize/frame.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <limits>

#include "quantize/kernels/kernels.h"

namespace cairn::quantize {
namespace {

float squared_norm(const float* x, std::size_t dim) {
  float norm = 0;
  kernels::active().dot_rows(x, x, dim, nullptr, 1, dim, &norm);
  return norm;
}

}  // namespace

Frame::Frame(Metric metric, std::size_t dim, Lift lift, std::span<const float> mean,
             std::span<const std::uint8_t> signs)
    : metric_(metric),
      dim_(dim),
      lifted_dim_(lifted_dim(metric, dim)),
      padded_dim_(padded_dim(metric, dim)),
      lift_(lift),
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
      for (std::size_t j = 0; j < dim_; ++j) lifted[j] = row[j] * lift_.scale;
      const float rest = lift_.max_norm * lift_.max_norm - squared_norm(lifted, dim_);
      for (std::size_t j = 0; j < dim_; ++j) lifted[j] -= mean_[j];
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

// Worst cases throughout, in units of half a last place. A rotation has four rounds of a transform
// of log2(width) levels, a scaling and a mix; each rounds by a unit of the norm. Sums over dim
// terms run in 16 lanes. Both ends of a comparison are bounds, and each has a query and a row.
Widening Frame::widening(float query_norm) const noexcept {
  constexpr float kUnit = 0x1p-24f;
  const auto levels = static_cast<float>(std::bit_width(padded_dim_));
  const float rotation = (4 * (levels + 3) + 2) * kUnit;
  const float sums = (static_cast<float>(dim_) / 16 + 8) * kUnit;
  float lift = 0;
  Widening widening;
  if (metric_ == Metric::cosine) lift = sums / 2 + 2 * kUnit;
  if (metric_ == Metric::inner_product) {
    lift = 4 * kUnit * lift_.max_norm;
    // |x|^2 and the root that completes it to M^2, and <q, x> itself.
    widening.squared = 2 * (3 * sums + 8 * kUnit) * lift_.max_norm * lift_.max_norm;
  }
  widening.relative = 2 * rotation + sums;
  widening.position = 4 * (rotation * query_norm + lift);
  // Distances that underflow count as 0, whatever their order.
  widening.squared += std::numeric_limits<float>::min();
  return widening;
}

Frame::DistanceMap Frame::rotate_query(const float* query, float* rotated) const noexcept {
  DistanceMap map;
  switch (metric_) {
    case Metric::l2:
      for (std::size_t j = 0; j < dim_; ++j) rotated[j] = query[j] - mean_[j];
      break;
    case Metric::cosine: {
      const float factor = 1.0f / std::sqrt(squared_norm(query, dim_));
      for (std::size_t j = 0; j < dim_; ++j) rotated[j] = query[j] * factor - mean_[j];
      map.slope = 2;  // |a - b|^2 = 2 (1 - cos) on the unit sphere
      break;
    }
    case Metric::inner_product: {
      // In double precision, where no square of a float underflows.
      double dot = 0;
      double norm2 = 0;
      kernels::active().dot_norm_rows(query, query, dim_, nullptr, 1, dim_, &dot, &norm2);
      const auto radius = static_cast<double>(lift_.max_norm);
      const double factor = norm2 > 0 ? radius / std::sqrt(norm2) : 0;
      for (std::size_t j = 0; j < dim_; ++j) {
        rotated[j] = static_cast<float>(static_cast<double>(query[j]) * factor) - mean_[j];
      }
      rotated[dim_] = -mean_[dim_];
      // |[f q, 0] - x'|^2 = f^2 |q|^2 + M^2 - 2 f s <q, x>
      map.slope = 2 * factor * static_cast<double>(lift_.scale);
      map.offset = radius * radius + factor * factor * norm2;
      break;
    }
  }
  std::fill(rotated + lifted_dim_, rotated + padded_dim_, 0.0f);
  rotation_.apply(rotated);
  return map;
}

}  // namespace cairn::quantize

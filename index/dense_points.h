#pragma once

#include <algorithm>

#include "cairn/types.h"

#include "index/point_source.h"

namespace cairn::index {

// The rows of a dense matrix, borrowed, as points.
class DensePoints final : public PointSource {
 public:
  explicit DensePoints(MatrixView points) : points_(points) {}
  std::size_t rows() const noexcept override { return points_.rows; }
  std::size_t dim() const noexcept override { return points_.dim; }
  void read(std::size_t first, std::size_t count, unsigned, float* out) const override {
    std::copy_n(points_.row(first), count * points_.dim, out);
  }
  void load(std::span<const std::uint32_t> rows, float* out) const override {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      std::copy_n(points_.row(rows[i]), points_.dim, out + i * points_.dim);
    }
  }

 private:
  MatrixView points_;
};

}  // namespace cairn::index

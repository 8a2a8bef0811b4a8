#pragma once

// The matrix product of the build. Eigen is compiled once per instruction set under a name of its
// own: the including file defines `Eigen` as a macro first, so that no two of these objects share a
// symbol. Build-time only: Eigen allocates its packing buffers.

#ifndef Eigen
#error "define Eigen to a name private to this instruction set first"
#endif

#define EIGEN_DONT_PARALLELIZE
#define EIGEN_NO_IO
#define EIGEN_MPL2_ONLY
#include <cstddef>

#include <Eigen/Core>

namespace cairn::kernels {
namespace {

void gemm_nt(const float* a, std::size_t m, const float* b, std::size_t n, std::size_t dim,
             float* out) noexcept {
  using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  if (m == 0 || n == 0) return;
  const auto index = [](std::size_t value) { return static_cast<Eigen::Index>(value); };
  const Eigen::Map<const Matrix> left(a, index(m), index(dim));
  const Eigen::Map<const Matrix> right(b, index(n), index(dim));
  Eigen::Map<Matrix> product(out, index(m), index(n));
  product.noalias() = left * right.transpose();
}

}  // namespace
}  // namespace cairn::kernels

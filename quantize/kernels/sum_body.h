#pragma once

// Sums of rows in double precision: a plain loop that compilers vectorise for any instruction set.

#include <cstddef>
#include <cstdint>

namespace cairn::kernels {
namespace {

void add_rows(const float* base, const std::uint32_t* members, std::size_t n, std::size_t dim,
              double* __restrict sums) noexcept {
  for (std::size_t i = 0; i < n; ++i) {
    const float* const row = base + members[i] * dim;
    for (std::size_t j = 0; j < dim; ++j) sums[j] += static_cast<double>(row[j]);
  }
}

}  // namespace
}  // namespace cairn::kernels

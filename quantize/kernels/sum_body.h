#pragma once

// Sums in double precision: plain loops and the compiler's own vectors, for any instruction set.

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

// Eight values as doubles. GCC and clang split what is wider than the target's registers.
using EightFloats [[gnu::vector_size(32), gnu::aligned(4), gnu::may_alias]] = float;
using EightDoubles [[gnu::vector_size(64)]] = double;

inline void add_products(const float* q, const float* x, EightDoubles& dot,
                         EightDoubles& norm) noexcept {
  const EightDoubles qs =
      __builtin_convertvector(*reinterpret_cast<const EightFloats*>(q), EightDoubles);
  const EightDoubles xs =
      __builtin_convertvector(*reinterpret_cast<const EightFloats*>(x), EightDoubles);
  dot += qs * xs;
  norm += xs * xs;
}

inline double total(const EightDoubles& a, const EightDoubles& b) noexcept {
  const EightDoubles sum = a + b;
  return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

// Dimension d goes to lane d mod 16. Products of floats are exact as doubles, so that it does not
// matter whether they are fused with the additions.
void dot_norm_rows(const float* query, const float* base, std::size_t stride,
                   const std::uint32_t* rows, std::size_t n, std::size_t dim, double* dots,
                   double* norms) noexcept {
  for (std::size_t i = 0; i < n; ++i) {
    const float* const x = base + (rows != nullptr ? rows[i] : i) * stride;
    EightDoubles dot[2] = {};
    EightDoubles norm[2] = {};
    std::size_t d = 0;
    for (; d + 16 <= dim; d += 16) {
      add_products(query + d, x + d, dot[0], norm[0]);
      add_products(query + d + 8, x + d + 8, dot[1], norm[1]);
    }
    float last_q[16] = {};
    float last_x[16] = {};
    for (std::size_t j = 0; d + j < dim; ++j) {
      last_q[j] = query[d + j];
      last_x[j] = x[d + j];
    }
    if (d < dim) {
      add_products(last_q, last_x, dot[0], norm[0]);
      add_products(last_q + 8, last_x + 8, dot[1], norm[1]);
    }
    dots[i] = total(dot[0], dot[1]);
    norms[i] = total(norm[0], norm[1]);
  }
}

}  // namespace
}  // namespace cairn::kernels

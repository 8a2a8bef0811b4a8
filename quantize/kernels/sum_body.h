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

// Four values as doubles: what AVX2 holds in a register. Compilers split them where it is missing.
using FourFloats [[gnu::vector_size(16), gnu::aligned(4), gnu::may_alias]] = float;
using FourDoubles [[gnu::vector_size(32)]] = double;

struct DotNorm {
  FourDoubles dot[4] = {};
  FourDoubles norm[4] = {};

  void add(std::size_t part, const float* query, const float* row) noexcept {
    const FourDoubles q =
        __builtin_convertvector(*reinterpret_cast<const FourFloats*>(query), FourDoubles);
    const FourDoubles x =
        __builtin_convertvector(*reinterpret_cast<const FourFloats*>(row), FourDoubles);
    dot[part] += q * x;
    norm[part] += x * x;
  }
};

inline double total(const FourDoubles (&parts)[4]) noexcept {
  const FourDoubles sum = (parts[0] + parts[2]) + (parts[1] + parts[3]);
  return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

// Dimension d goes to lane d mod 16. Products of floats are exact as doubles, so that it does not
// matter whether they are fused with the additions.
void dot_norm_rows(const float* query, const float* base, std::size_t stride,
                   const std::uint32_t* rows, std::size_t n, std::size_t dim, double* dots,
                   double* norms) noexcept {
  for (std::size_t i = 0; i < n; ++i) {
    const float* const x = base + (rows != nullptr ? rows[i] : i) * stride;
    DotNorm sums;
    std::size_t d = 0;
    for (; d + 16 <= dim; d += 16) {
#pragma GCC unroll 4
      for (std::size_t part = 0; part < 4; ++part) {
        sums.add(part, query + d + 4 * part, x + d + 4 * part);
      }
    }
#pragma GCC unroll 4
    for (std::size_t part = 0; part < 4; ++part) {
      const std::size_t first = d + 4 * part;
      if (first + 4 <= dim) {
        sums.add(part, query + first, x + first);
      } else if (first < dim) {
        float last_q[4] = {};
        float last_x[4] = {};
        for (std::size_t j = 0; first + j < dim; ++j) {
          last_q[j] = query[first + j];
          last_x[j] = x[first + j];
        }
        sums.add(part, last_q, last_x);
      }
    }
    dots[i] = total(sums.dot);
    norms[i] = total(sums.norm);
  }
}

}  // namespace
}  // namespace cairn::kernels

#pragma once

// Scalar twins of the kernels: the plainest statement of what each one computes, in double or exact
// integer arithmetic, and the packers for the layouts that kernel_table.h describes.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/random.h"
#include "quantize/kernels/kernel_table.h"

namespace cairn::kernels::scalar {

// Uniform in [-1, 1).
inline std::vector<float> random_floats(std::size_t n, base::Random& random) {
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(2 * random.uniform() - 1);
  return values;
}

inline double l2sq(const float* q, const float* x, std::size_t dim) {
  double sum = 0;
  for (std::size_t d = 0; d < dim; ++d) sum += (double{q[d]} - x[d]) * (double{q[d]} - x[d]);
  return sum;
}

inline double dot(const float* q, const float* x, std::size_t dim) {
  double sum = 0;
  for (std::size_t d = 0; d < dim; ++d) sum += double{q[d]} * x[d];
  return sum;
}

// Sum of |q_d * x_d|: what the rounding error of a dot product is measured against.
inline double dot_magnitude(const float* q, const float* x, std::size_t dim) {
  double sum = 0;
  for (std::size_t d = 0; d < dim; ++d) sum += std::abs(double{q[d]} * x[d]);
  return sum;
}

// The value of an IEEE half, from its definition.
inline double half_value(std::uint16_t half) {
  const int exponent = (half >> 10) & 31;
  const int fraction = half & 1023;
  const double sign = (half & 0x8000) != 0 ? -1 : 1;
  if (exponent == 31) return fraction != 0 ? std::nan("") : sign * HUGE_VAL;
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  return sign * std::ldexp(1024 + fraction, exponent - 25);
}

inline std::vector<double> hadamard(const std::vector<float>& x, double scale) {
  std::vector<double> y(x.begin(), x.end());
  for (std::size_t stride = 1; stride < y.size(); stride *= 2) {
    for (std::size_t i = 0; i < y.size(); ++i) {
      if ((i & stride) != 0) continue;
      const double a = y[i];
      const double b = y[i + stride];
      y[i] = a + b;
      y[i + stride] = a - b;
    }
  }
  for (double& value : y) value *= scale;
  return y;
}

// Codes of 32 lanes, [32][padded_dim / 4] nibbles, into the layout of a block. The factors follow.
inline void pack_block(const std::vector<std::uint8_t>& nibbles, const std::vector<float>& f_add,
                       const std::vector<float>& f_scale, std::size_t padded_dim,
                       std::uint8_t* block) {
  const std::size_t groups = padded_dim / 4;
  for (std::size_t m = 0; m < groups; ++m) {
    for (std::size_t j = 0; j < 16; ++j) {
      const std::size_t lane = j / 2 + (j % 2) * 8;
      block[16 * m + j] = static_cast<std::uint8_t>(nibbles[lane * groups + m] |
                                                    nibbles[(lane + 16) * groups + m] << 4);
    }
  }
  auto* const factors = reinterpret_cast<float*>(block + block_code_bytes(padded_dim));
  for (std::size_t i = 0; i < kBlockSize; ++i) {
    factors[i] = f_add[i];
    factors[kBlockSize + i] = f_scale[i];
  }
}

inline std::vector<std::uint32_t> scan_sums(const std::vector<std::uint8_t>& nibbles,
                                            const std::uint8_t* table, std::size_t padded_dim) {
  const std::size_t groups = padded_dim / 4;
  std::vector<std::uint32_t> sums(kBlockSize, 0);
  for (std::size_t lane = 0; lane < kBlockSize; ++lane) {
    for (std::size_t m = 0; m < groups; ++m) {
      sums[lane] += table[16 * m + nibbles[lane * groups + m]];
    }
  }
  return sums;
}

// One row of refine codes, [padded_dim] values below 2^bits, into its packed layout.
inline std::vector<std::uint8_t> pack_refine(const std::vector<std::uint16_t>& values,
                                             unsigned bits) {
  std::vector<std::uint8_t> packed;
  for (std::size_t group = 0; group < values.size(); group += 64) {
    unsigned shift = 0;
    for (const unsigned width : {8u, 4u, 2u, 1u}) {
      if ((bits & width) == 0) continue;
      const std::size_t start = packed.size();
      packed.resize(start + 8 * width);
      for (std::size_t i = 0; i < 64; ++i) {
        const unsigned field = (values[group + i] >> shift) & ((1u << width) - 1);
        const std::size_t byte = width == 1 ? i / 8 : i % (8 * width);
        const unsigned place = width == 1 ? i % 8 : static_cast<unsigned>(i / (8 * width)) * width;
        packed[start + byte] = static_cast<std::uint8_t>(packed[start + byte] | field << place);
      }
      shift += width;
    }
  }
  return packed;
}

inline std::int64_t refine_dot(const std::vector<std::uint16_t>& values, const std::int8_t* high,
                               const std::int8_t* low) {
  std::int64_t sum = 0;
  for (std::size_t d = 0; d < values.size(); ++d) {
    sum += std::int64_t{values[d]} * (128 * high[d] + low[d]);
  }
  return sum;
}

}  // namespace cairn::kernels::scalar

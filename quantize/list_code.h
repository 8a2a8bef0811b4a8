#pragma once

#include <cstddef>
#include <cstdint>

#include "quantize/kernels/kernel_table.h"

namespace cairn::quantize {

// How a child's estimate is computed (query_code.h), and how far off it is: the standard deviation
// of the estimated squared distance is |scale| * |q - c| * sigma.
struct CodeFactors {
  float add = 0;
  float scale = 0;
  float sigma = 0;
  float limit = 0;         // sigma, and above what rounding may take from it
  float squared_norm = 0;  // of the residual
};

// Binary code of a residual r = x - c: bit i of `bits` [padded_dim / 8] (little-endian bytes) is
// [r_i >= 0]. With u_i = b_i - 1/2:  add = l2 + 2 l2 <c,u> / <r,u>,  scale = -2 l2 / <r,u>,
// sigma = sqrt((|u|^2 - <r,u>^2 / l2) / (D - 1)), l2 = |r|^2. A zero residual gives zero factors:
// the estimate is then exact.
CodeFactors encode_binary(const float* residual, const float* centre, std::size_t padded_dim,
                          std::uint8_t* bits);

// Refine code of the same residual at `bits_per_dim` (B, 2 to 9): u_i = sgn(r_i) (k_i + 1/2) with
// k_i = min(2^(B-1) - 1, floor(|r_i| / width)); x_i = u_i + (2^B - 1) / 2 is packed to `codes`
// [kernels::refine_code_bytes]. `width` is the step of the uniform quantiser that is optimal for a
// Gaussian of the residual's own variance (Max, Quantizing for Minimum Distortion, 1960, table II).
// `values` is scratch [padded_dim].
CodeFactors encode_refine(const float* residual, const float* centre, std::size_t padded_dim,
                          unsigned bits_per_dim, std::uint16_t* values, std::uint8_t* codes);

// Optimal step of a uniform quantiser with 2^bits levels for a unit Gaussian, bits = 2 to 9: a
// value u of a code is about 1 / step, root mean square.
float gaussian_step(unsigned bits);

// Puts the binary code of one child into lane 0..31 of a zero-initialised block, with its factors.
void put_into_block(const std::uint8_t* bits, const CodeFactors& factors, std::size_t padded_dim,
                    std::size_t lane, std::uint8_t* block);

// Packs values [padded_dim] < 2^bits_per_dim as kernel_table.h lays refine codes out.
void pack_refine_code(const std::uint16_t* values, std::size_t padded_dim, unsigned bits_per_dim,
                      std::uint8_t* codes);

// A refine row: its two factors (f32 each), then its code.
constexpr std::size_t refine_row_bytes(std::size_t padded_dim, unsigned bits_per_dim) {
  return kernels::kRefineFactorBytes + kernels::refine_code_bytes(padded_dim, bits_per_dim);
}

}  // namespace cairn::quantize

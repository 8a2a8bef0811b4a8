#pragma once

// What a build does to every row: binary and refine codes of residuals, sums of rows.

#include "quantize/kernels/kernel_table.h"
#include "quantize/kernels/vector_body.h"

namespace cairn::kernels {
namespace {

// Sums of floats are taken over to doubles after so many dimensions.
constexpr std::size_t kSumChunk = 1024;

inline void store_mask(std::uint8_t* bits, LaneMask mask) noexcept {
  __builtin_memcpy(bits, &mask, kWidth / 8);
}

SignSums encode_signs(const float* residual, const float* centre, std::size_t padded_dim,
                      std::uint8_t* bits) noexcept {
  const Floats zero(0.0f);
  SignSums sums{};
  for (std::size_t begin = 0; begin < padded_dim; begin += kSumChunk) {
    const std::size_t end = begin + kSumChunk < padded_dim ? begin + kSumChunk : padded_dim;
    Floats squares(0.0f);
    Floats magnitudes(0.0f);
    Floats along(0.0f);
    for (std::size_t d = begin; d < end; d += kWidth) {
      const Floats r = load(residual + d);
      const Floats c = load(centre + d);
      squares = fma(r, r, squares);
      magnitudes += magnitude(r);
      along += keep_where_positive(c, r, zero - c);
      store_mask(bits + d / 8, less_equal(zero, r));
    }
    sums.squares += static_cast<double>(sum(squares));
    sums.magnitudes += static_cast<double>(sum(magnitudes));
    sums.along += static_cast<double>(sum(along));
  }
  return sums;
}

LevelSums encode_levels(const float* residual, const float* centre, std::size_t padded_dim,
                        float inverse_width, unsigned bits, std::uint16_t* values) noexcept {
  const std::uint32_t half = 1u << (bits - 1);
  const Floats greatest(static_cast<float>(half - 1));
  const Floats scale(inverse_width);
  LevelSums sums{};
  for (std::size_t begin = 0; begin < padded_dim; begin += kSumChunk) {
    const std::size_t end = begin + kSumChunk < padded_dim ? begin + kSumChunk : padded_dim;
    Floats along_residual(0.0f);
    Floats along_centre(0.0f);
    Floats squares(0.0f);
    for (std::size_t d = begin; d < end; d += kWidth) {
      const Floats r = load(residual + d);
      const Bits level = truncate(minimum(magnitude(r) * scale, greatest));
      const Bits signed_level = complement_where_negative(level, r);
      const Floats u = to_floats(signed_level) + Floats(0.5f);
      along_residual = fma(u, r, along_residual);
      along_centre = fma(u, load(centre + d), along_centre);
      squares = fma(u, u, squares);
      store_as_words(values + d, add_to_lanes(signed_level, half));
    }
    sums.along_residual += static_cast<double>(sum(along_residual));
    sums.along_centre += static_cast<double>(sum(along_centre));
    sums.squares += static_cast<double>(sum(squares));
  }
  return sums;
}

}  // namespace
}  // namespace cairn::kernels

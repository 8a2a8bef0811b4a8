#include "quantize/list_code.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstring>

#include "quantize/kernels/kernels.h"

namespace cairn::quantize {
namespace {

// Optimal steps of a uniform quantiser with 2^B levels for a unit Gaussian, B = 2..9.
constexpr std::array<double, 10> kGaussianStep = {0,        0,        0.995687, 0.586019, 0.335201,
                                                  0.188139, 0.104063, 0.056868, 0.030762, 0.016499};

// The factors of a code u of residual r from its three inner products.
CodeFactors factors_from(double l2, double ru, double cu, double uu, std::size_t padded_dim) {
  if (ru <= 0 || l2 <= 0) return {};
  CodeFactors factors;
  factors.squared_norm = static_cast<float>(l2);
  factors.add = static_cast<float>(l2 + 2 * l2 * cu / ru);
  factors.scale = static_cast<float>(-2 * l2 / ru);
  const double unexplained = std::max(0.0, uu - ru * ru / l2);
  factors.sigma = static_cast<float>(std::sqrt(unexplained / static_cast<double>(padded_dim - 1)));
  // Of a code that explains nearly all, float sums leave little of the difference.
  const double rounding = (static_cast<double>(padded_dim) / 4 + 64) * 0x1p-24 * uu;
  factors.limit =
      static_cast<float>(std::sqrt((unexplained + rounding) / static_cast<double>(padded_dim - 1)));
  return factors;
}

// One section of a packed refine code: `width` bits of each of 64 values, from bit `shift` up.
void pack_section(const std::uint16_t* values, unsigned shift, unsigned width, std::uint8_t* out) {
  const unsigned per_byte = 8 / width;
  const unsigned bytes = 64 / per_byte;
  const unsigned mask = (1u << width) - 1;
  if (width == 1) {
    for (unsigned i = 0; i < 64; ++i) {
      out[i / 8] = static_cast<std::uint8_t>(out[i / 8] | ((values[i] >> shift & 1u) << i % 8));
    }
    return;
  }
  for (unsigned i = 0; i < bytes; ++i) {
    unsigned byte = 0;
    for (unsigned part = 0; part < per_byte; ++part) {
      byte |= (values[i + part * bytes] >> shift & mask) << part * width;
    }
    out[i] = static_cast<std::uint8_t>(byte);
  }
}

}  // namespace

float gaussian_step(unsigned bits) { return static_cast<float>(kGaussianStep[bits]); }

CodeFactors encode_binary(const float* residual, const float* centre, std::size_t padded_dim,
                          std::uint8_t* bits) {
  const kernels::SignSums sums = kernels::active().encode_signs(residual, centre, padded_dim, bits);
  return factors_from(sums.squares, 0.5 * sums.magnitudes, 0.5 * sums.along,
                      0.25 * static_cast<double>(padded_dim), padded_dim);
}

CodeFactors encode_refine(const float* residual, const float* centre, std::size_t padded_dim,
                          unsigned bits_per_dim, std::uint16_t* values, std::uint8_t* codes) {
  assert(bits_per_dim >= 2 && bits_per_dim <= 9);
  float squared_norm = 0;
  kernels::active().dot_rows(residual, residual, padded_dim, nullptr, 1, padded_dim, &squared_norm);
  if (squared_norm <= 0) {
    std::fill_n(values, padded_dim, static_cast<std::uint16_t>(1u << (bits_per_dim - 1)));
    pack_refine_code(values, padded_dim, bits_per_dim, codes);
    return {};
  }
  const double width = kGaussianStep[bits_per_dim] * std::sqrt(static_cast<double>(squared_norm) /
                                                               static_cast<double>(padded_dim));
  const kernels::LevelSums sums = kernels::active().encode_levels(
      residual, centre, padded_dim, static_cast<float>(1 / width), bits_per_dim, values);
  pack_refine_code(values, padded_dim, bits_per_dim, codes);
  return factors_from(static_cast<double>(squared_norm), sums.along_residual, sums.along_centre,
                      sums.squares, padded_dim);
}

void pack_refine_code(const std::uint16_t* values, std::size_t padded_dim, unsigned bits_per_dim,
                      std::uint8_t* codes) {
  std::memset(codes, 0, kernels::refine_code_bytes(padded_dim, bits_per_dim));
  for (std::size_t group = 0; group < padded_dim; group += 64) {
    unsigned shift = 0;
    for (unsigned width = 8; width != 0; width /= 2) {
      if ((bits_per_dim & width) == 0) continue;
      pack_section(values + group, shift, width, codes);
      codes += std::size_t{8} * width;
      shift += width;
    }
  }
}

void put_into_block(const std::uint8_t* bits, const CodeFactors& factors, std::size_t padded_dim,
                    std::size_t lane, std::uint8_t* block) {
  // Byte j of a group belongs to lane p(j) = j / 2 + (j odd ? 8 : 0) and, shifted, to lane p(j)
  // + 16.
  const std::size_t low_lane = lane % 16;
  const std::size_t byte = low_lane < 8 ? 2 * low_lane : 2 * (low_lane - 8) + 1;
  const unsigned shift = lane < 16 ? 0 : 4;
  for (std::size_t group = 0; group < padded_dim / 4; ++group) {
    const unsigned nibble = bits[group / 2] >> (group % 2 * 4) & 15u;
    // Bit 3 of the stored nibble is the first dimension of the group.
    const unsigned reversed =
        (nibble & 1u) << 3 | (nibble & 2u) << 1 | (nibble & 4u) >> 1 | (nibble & 8u) >> 3;
    std::uint8_t& target = block[group * 16 + byte];
    target = static_cast<std::uint8_t>(target | reversed << shift);
  }
  std::uint8_t* add = block + kernels::block_code_bytes(padded_dim) + lane * sizeof(float);
  std::memcpy(add, &factors.add, sizeof(float));
  std::memcpy(add + kernels::kBlockSize * sizeof(float), &factors.scale, sizeof(float));
}

}  // namespace cairn::quantize

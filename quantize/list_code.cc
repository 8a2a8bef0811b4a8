#include "quantize/list_code.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstring>

namespace cairn::quantize {
namespace {

// Optimal steps of a uniform quantiser with 2^B levels for a unit Gaussian, B = 2..9.
constexpr std::array<double, 10> kGaussianStep = {0,        0,        0.995687, 0.586019, 0.335201,
                                                  0.188139, 0.104063, 0.056868, 0.030762, 0.016499};

// The factors of a code u of residual r from its three inner products.
CodeFactors factors_from(double l2, double ru, double cu, double uu, std::size_t padded_dim) {
  if (ru <= 0 || l2 <= 0) return {};
  CodeFactors factors;
  factors.add = static_cast<float>(l2 + 2 * l2 * cu / ru);
  factors.scale = static_cast<float>(-2 * l2 / ru);
  const double unexplained = std::max(0.0, uu - ru * ru / l2);
  factors.sigma = static_cast<float>(std::sqrt(unexplained / static_cast<double>(padded_dim - 1)));
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

CodeFactors encode_binary(const float* residual, const float* centre, std::size_t padded_dim,
                          std::uint8_t* bits) {
  double l2 = 0;
  double l1 = 0;
  double cu = 0;
  for (std::size_t i = 0; i < padded_dim; ++i) {
    const double r = residual[i];
    const double c = centre[i];
    l2 += r * r;
    l1 += std::abs(r);
    cu += r >= 0 ? c : -c;
  }
  for (std::size_t byte = 0; byte < padded_dim / 8; ++byte) {
    unsigned value = 0;
    for (unsigned bit = 0; bit < 8; ++bit) value |= unsigned{residual[byte * 8 + bit] >= 0} << bit;
    bits[byte] = static_cast<std::uint8_t>(value);
  }
  return factors_from(l2, 0.5 * l1, 0.5 * cu, 0.25 * static_cast<double>(padded_dim), padded_dim);
}

CodeFactors encode_refine(const float* residual, const float* centre, std::size_t padded_dim,
                          unsigned bits_per_dim, std::uint16_t* values, std::uint8_t* codes) {
  assert(bits_per_dim >= 2 && bits_per_dim <= 9);
  double l2 = 0;
  for (std::size_t i = 0; i < padded_dim; ++i) {
    l2 += static_cast<double>(residual[i]) * static_cast<double>(residual[i]);
  }
  const int half = 1 << (bits_per_dim - 1);
  if (l2 <= 0) {
    std::fill_n(values, padded_dim, static_cast<std::uint16_t>(half));
    pack_refine_code(values, padded_dim, bits_per_dim, codes);
    return {};
  }
  const double width =
      kGaussianStep[bits_per_dim] * std::sqrt(l2 / static_cast<double>(padded_dim));
  const auto inverse_width = static_cast<float>(1 / width);
  double ru = 0;
  double cu = 0;
  double uu = 0;
  for (std::size_t i = 0; i < padded_dim; ++i) {
    // Clamped before the conversion: a float beyond the range of int has no integer value.
    const float magnitude =
        std::min(std::abs(residual[i]) * inverse_width, static_cast<float>(half - 1));
    const int k = static_cast<int>(magnitude);
    const int x = residual[i] >= 0 ? half + k : half - 1 - k;
    values[i] = static_cast<std::uint16_t>(x);
    const double u = x - half + 0.5;
    ru += u * static_cast<double>(residual[i]);
    cu += u * static_cast<double>(centre[i]);
    uu += u * u;
  }
  pack_refine_code(values, padded_dim, bits_per_dim, codes);
  return factors_from(l2, ru, cu, uu, padded_dim);
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

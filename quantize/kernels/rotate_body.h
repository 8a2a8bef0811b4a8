#pragma once

// The steps of the random rotation: sign flips, Walsh-Hadamard transform, Kac step.

#include "quantize/kernels/vector_body.h"

namespace cairn::kernels {
namespace {

// Flips the sign of lane i where bit i of the kWidth bits at `signs` is set.
inline Floats flip(Floats values, const std::uint8_t* signs) noexcept {
#if defined(__AVX512BW__)
  std::uint16_t bits;
  __builtin_memcpy(&bits, signs, sizeof(bits));
  const __m512i whole = bits_of(values);
  return floats_of(_mm512_mask_xor_epi32(whole, bits, whole, _mm512_set1_epi32(INT32_MIN)));
#else
  const __m256i place = _mm256_setr_epi32(31, 30, 29, 28, 27, 26, 25, 24);
  const __m256i moved = _mm256_sllv_epi32(_mm256_set1_epi32(signs[0]), place);
  const __m256i sign = _mm256_and_si256(moved, _mm256_set1_epi32(INT32_MIN));
  return floats_of(_mm256_xor_si256(bits_of(values), sign));
#endif
}

void flip_signs(const std::uint8_t* signs, std::size_t n, float* x) noexcept {
  for (std::size_t i = 0; i < n; i += kWidth) {
    flip(load(x + i), signs + i / 8).store_unaligned(x + i);
  }
}

// One butterfly stage with both ends in one vector: `swapped` holds each lane's partner, `sign` is
// -1 in the upper lanes. The product by 1 or -1 is exact, so this is a + b and a - b.
inline Floats butterfly(Floats values, Floats swapped, Floats sign) noexcept {
  return fma(values, sign, swapped);
}

// The stages of strides 1 to kWidth / 2.
inline Floats transform_within(Floats v) noexcept {
#if defined(__AVX512BW__)
  const auto signs = [](unsigned upper) noexcept -> Floats {
    const __m512 one = _mm512_set1_ps(1.0f);
    return _mm512_mask_sub_ps(one, static_cast<__mmask16>(upper), _mm512_setzero_ps(), one);
  };
  v = butterfly(v, shuffle<0xB1>(v), signs(0xAAAA));
  v = butterfly(v, shuffle<0x4E>(v), signs(0xCCCC));
  v = butterfly(v, _mm512_shuffle_f32x4(v, v, 0xB1), signs(0xF0F0));
  return butterfly(v, _mm512_shuffle_f32x4(v, v, 0x4E), signs(0xFF00));
#else
  v = butterfly(v, shuffle<0xB1>(v), _mm256_setr_ps(1, -1, 1, -1, 1, -1, 1, -1));
  v = butterfly(v, shuffle<0x4E>(v), _mm256_setr_ps(1, 1, -1, -1, 1, 1, -1, -1));
  return butterfly(v, _mm256_permute2f128_ps(v, v, 1), _mm256_setr_ps(1, 1, 1, 1, -1, -1, -1, -1));
#endif
}

// The whole transform of V * kWidth floats in registers.
template <std::size_t V>
inline void transform_short(float* x, Floats scale) noexcept {
  Floats v[V];
#pragma GCC unroll 16
  for (std::size_t i = 0; i < V; ++i) v[i] = transform_within(load(x + i * kWidth));
#pragma GCC unroll 4
  for (std::size_t stride = 1; stride < V; stride *= 2) {
#pragma GCC unroll 16
    for (std::size_t i = 0; i < V; ++i) {
      if ((i & stride) != 0) continue;
      const Floats a = v[i];
      const Floats b = v[i + stride];
      v[i] = a + b;
      v[i + stride] = a - b;
    }
  }
#pragma GCC unroll 16
  for (std::size_t i = 0; i < V; ++i) (v[i] * scale).store_unaligned(x + i * kWidth);
}

// One stage over all of x.
inline void transform_pairs(float* x, std::size_t n, std::size_t stride, Floats scale) noexcept {
  for (std::size_t start = 0; start < n; start += 2 * stride) {
    for (std::size_t i = start; i < start + stride; i += kWidth) {
      const Floats a = load(x + i);
      const Floats b = load(x + i + stride);
      ((a + b) * scale).store_unaligned(x + i);
      ((a - b) * scale).store_unaligned(x + i + stride);
    }
  }
}

// The stages of `stride` and 2 * stride in one pass.
inline void transform_quads(float* x, std::size_t n, std::size_t stride, Floats scale) noexcept {
  for (std::size_t start = 0; start < n; start += 4 * stride) {
    for (std::size_t i = start; i < start + stride; i += kWidth) {
      const Floats a = load(x + i);
      const Floats b = load(x + i + stride);
      const Floats c = load(x + i + 2 * stride);
      const Floats d = load(x + i + 3 * stride);
      const Floats sum_ab = a + b;
      const Floats sum_cd = c + d;
      const Floats difference_ab = a - b;
      const Floats difference_cd = c - d;
      ((sum_ab + sum_cd) * scale).store_unaligned(x + i);
      ((difference_ab + difference_cd) * scale).store_unaligned(x + i + stride);
      ((sum_ab - sum_cd) * scale).store_unaligned(x + i + 2 * stride);
      ((difference_ab - difference_cd) * scale).store_unaligned(x + i + 3 * stride);
    }
  }
}

// Short transforms in registers, then passes of two stages each over what is left. Strides ascend
// as in the baseline, so every instruction set rounds alike; the scale is 1 until the last pass.
void hadamard(float* x, std::size_t n, float scale) noexcept {
  constexpr std::size_t kVectors = kWidth == 16 ? 16 : 8;
  constexpr std::size_t kShort = kVectors * kWidth;
  const Floats one(1.0f);
  const Floats last(scale);
  if constexpr (kShort == 256) {
    if (n == 64) return transform_short<kVectors / 4>(x, last);
    if (n == 128) return transform_short<kVectors / 2>(x, last);
  }
  for (std::size_t start = 0; start < n; start += kShort) {
    transform_short<kVectors>(x + start, n == kShort ? last : one);
  }
  std::size_t stride = kShort;
  const bool odd = (__builtin_ctzll(n / kShort) & 1) != 0;
  if (odd) {
    transform_pairs(x, n, stride, 2 * stride == n ? last : one);
    stride *= 2;
  }
  for (; stride < n; stride *= 4) transform_quads(x, n, stride, 4 * stride == n ? last : one);
}

void kac_step(float* x, std::size_t n) noexcept {
  float* const upper = x + n / 2;
  for (std::size_t i = 0; i < n / 2; i += kWidth) {
    const Floats a = load(x + i);
    const Floats b = load(upper + i);
    (a + b).store_unaligned(x + i);
    (a - b).store_unaligned(upper + i);
  }
}

}  // namespace
}  // namespace cairn::kernels

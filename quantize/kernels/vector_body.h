#pragma once

// What the wide kernels need beyond xsimd 8.1: fused multiply-add and sums of fixed order for
// AVX-512, partial loads, half precision, and shuffles within 128-bit lanes. Included only by the
// per-ISA files, which define `xsimd` to a private name; the flags of the file choose the branch.

#ifndef xsimd
#error "define xsimd to a name private to this instruction set first"
#endif

#include <cstddef>
#include <cstdint>

#include <immintrin.h>
#include <xsimd/xsimd.hpp>

namespace cairn::kernels {
namespace {

#if defined(__AVX512BW__)
using Arch = xsimd::avx512bw;
using Bits = __m512i;
#else
using Arch = xsimd::fma3<xsimd::avx2>;
using Bits = __m256i;
#endif

using Floats = xsimd::batch<float, Arch>;
constexpr std::size_t kWidth = Floats::size;

inline Floats load(const float* values) noexcept { return Floats::load_unaligned(values); }

// Fixes a value in a register at this point. GCC would rather load a value again for each use, and
// rather sum a long unrolled chain as a tree of more terms than there are registers.
inline void pin(Floats& values) noexcept { asm("" : "+v"(values.data)); }
inline void pin(Bits& values) noexcept { asm("" : "+v"(values)); }

inline void prefetch(const void* address) noexcept {
  _mm_prefetch(static_cast<const char*>(address), _MM_HINT_T0);
}

inline void prefetch_bytes(const void* address, std::size_t bytes) noexcept {
  for (std::size_t at = 0; at < bytes; at += 64) prefetch(static_cast<const char*>(address) + at);
}

// Which row to fetch while another is at work, when rows lie anywhere: enough requests in flight to
// hide memory without running over the first-level cache. The distances were measured.
class RowsAhead {
 public:
  explicit RowsAhead(std::size_t row_bytes) noexcept
      : distance_(row_bytes <= 128    ? 16
                  : row_bytes <= 2048 ? 8
                                      : 4) {}

  std::size_t row_after(std::size_t i, std::size_t n) const noexcept {
    return i + distance_ < n ? i + distance_ : n - 1;
  }

 private:
  std::size_t distance_;
};

// a * b + c, rounded once.
inline Floats fma(Floats a, Floats b, Floats c) noexcept {
#if defined(__AVX512BW__)
  return _mm512_fmadd_ps(a, b, c);
#else
  return _mm256_fmadd_ps(a, b, c);
#endif
}

// c - a * b, rounded once.
inline Floats fnma(Floats a, Floats b, Floats c) noexcept {
#if defined(__AVX512BW__)
  return _mm512_fnmadd_ps(a, b, c);
#else
  return _mm256_fnmadd_ps(a, b, c);
#endif
}

#if !defined(__AVX512BW__)
// Eight set lanes, then eight clear ones: the mask of `count` lanes starts at 8 - count.
alignas(64) constexpr std::int32_t kTailMask[16] = {-1, -1, -1, -1, -1, -1, -1, -1};

inline __m256i tail_mask(std::size_t count) noexcept {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kTailMask + 8 - count));
}
#endif

// The first `count` < kWidth values, then zeros; nothing past them is read.
inline Floats load_tail(const float* values, std::size_t count) noexcept {
#if defined(__AVX512BW__)
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), values);
#else
  return _mm256_maskload_ps(values, tail_mask(count));
#endif
}

inline void store_tail(float* out, Floats values, std::size_t count) noexcept {
#if defined(__AVX512BW__)
  _mm512_mask_storeu_ps(out, static_cast<__mmask16>((1u << count) - 1), values);
#else
  _mm256_maskstore_ps(out, tail_mask(count), values);
#endif
}

// `count` <= kWidth integers, then zeros.
inline Bits load_bits(const std::uint32_t* values, std::size_t count) noexcept {
#if defined(__AVX512BW__)
  return _mm512_maskz_loadu_epi32(static_cast<__mmask16>((1u << count) - 1), values);
#else
  return _mm256_maskload_epi32(reinterpret_cast<const int*>(values), tail_mask(count));
#endif
}

inline Floats load_half(const std::uint16_t* half) noexcept {
#if defined(__AVX512BW__)
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(half)));
#else
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(half)));
#endif
}

inline void store_half(std::uint16_t* half, Floats values) noexcept {
#if defined(__AVX512BW__)
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(half),
                      _mm512_cvtps_ph(values, _MM_FROUND_TO_NEAREST_INT));
#else
  _mm_storeu_si128(reinterpret_cast<__m128i*>(half),
                   _mm256_cvtps_ph(values, _MM_FROUND_TO_NEAREST_INT));
#endif
}

// The sum of all lanes, folding halves onto each other.
inline float sum(Floats values) noexcept {
#if defined(__AVX512BW__)
  const __m256 half =
      _mm256_add_ps(_mm512_castps512_ps256(values), _mm512_extractf32x8_ps(values, 1));
#else
  const __m256 half = values;
#endif
  const __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
  const __m128 pair = _mm_add_ps(quarter, _mm_permute_ps(quarter, 0x4E));
  return _mm_cvtss_f32(_mm_add_ss(pair, _mm_permute_ps(pair, 0xB1)));
}

inline float greatest_lane(Floats values) noexcept {
  float lanes[kWidth];
  values.store_unaligned(lanes);
  float greatest = lanes[0];
  for (std::size_t i = 1; i < kWidth; ++i) greatest = lanes[i] > greatest ? lanes[i] : greatest;
  return greatest;
}

// {sum(a), sum(b), sum(c), sum(d)}, each with the very additions of sum().
inline __m128 sum4(Floats a, Floats b, Floats c, Floats d) noexcept {
#if defined(__AVX512BW__)
  const __m512 ab8 =
      _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xEE));
  const __m512 cd8 =
      _mm512_add_ps(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xEE));
  const __m512 quarters =
      _mm512_add_ps(_mm512_shuffle_f32x4(ab8, cd8, 0x88), _mm512_shuffle_f32x4(ab8, cd8, 0xDD));
  const __m256 ab = _mm512_castps512_ps256(quarters);
  const __m256 cd = _mm512_extractf32x8_ps(quarters, 1);
#else
  const __m256 ab =
      _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
  const __m256 cd =
      _mm256_add_ps(_mm256_permute2f128_ps(c, d, 0x20), _mm256_permute2f128_ps(c, d, 0x31));
#endif
  const __m256 pairs =
      _mm256_add_ps(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xEE));
  const __m256 totals =
      _mm256_add_ps(_mm256_shuffle_ps(pairs, pairs, 0x88), _mm256_shuffle_ps(pairs, pairs, 0xDD));
  return _mm_unpacklo_ps(_mm256_castps256_ps128(totals), _mm256_extractf128_ps(totals, 1));
}

// The least value seen in each lane and the first index that had it.
class LaneMinimum {
 public:
  // `index` is that of lane 0.
  void update(Floats values, std::size_t index) noexcept {
#if defined(__AVX512BW__)
    const __mmask16 less = _mm512_cmp_ps_mask(values, value_, _CMP_LT_OQ);
    value_ = _mm512_mask_mov_ps(value_, less, values);
    start_ = _mm512_mask_mov_epi32(start_, less, _mm512_set1_epi32(static_cast<int>(index)));
#else
    const __m256 less = _mm256_cmp_ps(values, value_, _CMP_LT_OQ);
    value_ = _mm256_blendv_ps(value_, values, less);
    start_ = _mm256_blendv_epi8(start_, _mm256_set1_epi32(static_cast<int>(index)),
                                _mm256_castps_si256(less));
#endif
  }

  // The least value and its smallest index; {infinity, 0} if nothing was below infinity.
  void reduce(float& value, std::uint32_t& index) const noexcept {
#if defined(__AVX512BW__)
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    value = _mm512_reduce_min_ps(value_);
    const __mmask16 least = _mm512_cmp_ps_mask(value_, _mm512_set1_ps(value), _CMP_EQ_OQ);
    index = value < __builtin_inff()
                ? _mm512_mask_reduce_min_epu32(least, _mm512_add_epi32(start_, lane))
                : 0;
#else
    float values[kWidth];
    std::uint32_t starts[kWidth];
    value_.store_unaligned(values);
    __builtin_memcpy(starts, &start_, sizeof(starts));
    value = __builtin_inff();
    index = 0;
    for (std::uint32_t i = 0; i < kWidth; ++i) {
      const std::uint32_t at = starts[i] + i;
      if (values[i] < value || (values[i] == value && at < index)) {
        value = values[i];
        index = at;
      }
    }
#endif
  }

 private:
  Floats value_ = Floats(__builtin_inff());
  Bits start_{};
};

// The lanes set in `mask`, moved together to the front; what follows them is unspecified.
#if defined(__AVX512BW__)
using LaneMask = __mmask16;
inline Bits pack_lanes(Bits values, LaneMask mask) noexcept {
  return _mm512_maskz_compress_epi32(mask, values);
}
inline Floats pack_lanes(Floats values, LaneMask mask) noexcept {
  return _mm512_maskz_compress_ps(mask, values);
}
inline LaneMask less(Floats a, Floats b) noexcept { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
inline LaneMask less_equal(Floats a, Floats b) noexcept {
  return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ);
}
#else
using LaneMask = unsigned;
// For each 8-bit mask, its set bits in ascending order.
struct SetLanes {
  std::uint8_t lanes[256][8];

  constexpr SetLanes() : lanes{} {
    for (unsigned mask = 0; mask < 256; ++mask) {
      unsigned found = 0;
      for (unsigned bit = 0; bit < 8; ++bit) {
        if ((mask >> bit & 1) != 0) lanes[mask][found++] = static_cast<std::uint8_t>(bit);
      }
    }
  }
};
constexpr SetLanes kSetLanes;

inline Bits set_lanes(LaneMask mask) noexcept {
  return _mm256_cvtepu8_epi32(
      _mm_loadl_epi64(reinterpret_cast<const __m128i*>(kSetLanes.lanes[mask])));
}
inline Bits pack_lanes(Bits values, LaneMask mask) noexcept {
  return _mm256_permutevar8x32_epi32(values, set_lanes(mask));
}
inline Floats pack_lanes(Floats values, LaneMask mask) noexcept {
  return _mm256_permutevar8x32_ps(values, set_lanes(mask));
}
inline LaneMask less(Floats a, Floats b) noexcept {
  return static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_LT_OQ)));
}
inline LaneMask less_equal(Floats a, Floats b) noexcept {
  return static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_LE_OQ)));
}
#endif
// a where a <= limit, else b.
inline Floats keep_until(Floats a, Floats limit, Floats b) noexcept {
#if defined(__AVX512BW__)
  return _mm512_mask_mov_ps(b, less_equal(a, limit), a);
#else
  return _mm256_blendv_ps(b, a, _mm256_cmp_ps(a, limit, _CMP_LE_OQ));
#endif
}
// a where sign >= 0, else b.
inline Floats keep_where_positive(Floats a, Floats sign, Floats b) noexcept {
#if defined(__AVX512BW__)
  return _mm512_mask_mov_ps(b, less_equal(Floats(0.0f), sign), a);
#else
  return _mm256_blendv_ps(b, a, _mm256_cmp_ps(_mm256_setzero_ps(), sign, _CMP_LE_OQ));
#endif
}
// values where sign >= 0, else their complement: -1 - value.
inline Bits complement_where_negative(Bits values, Floats sign) noexcept {
#if defined(__AVX512BW__)
  return _mm512_mask_xor_epi32(values, _mm512_cmp_ps_mask(sign, _mm512_setzero_ps(), _CMP_LT_OQ),
                               values, _mm512_set1_epi32(-1));
#else
  return _mm256_xor_si256(
      values, _mm256_castps_si256(_mm256_cmp_ps(sign, _mm256_setzero_ps(), _CMP_LT_OQ)));
#endif
}
inline Floats to_floats(Bits values) noexcept {
#if defined(__AVX512BW__)
  return _mm512_cvtepi32_ps(values);
#else
  return _mm256_cvtepi32_ps(values);
#endif
}
// Lanes below 2^16 as 16-bit integers.
inline void store_as_words(std::uint16_t* out, Bits values) noexcept {
#if defined(__AVX512BW__)
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm512_cvtepi32_epi16(values));
#else
  const __m128i low = _mm256_castsi256_si128(values);
  const __m128i high = _mm256_extracti128_si256(values, 1);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_packus_epi32(low, high));
#endif
}
inline std::size_t count_lanes(LaneMask mask) noexcept {
  return static_cast<std::size_t>(__builtin_popcount(mask));
}

inline Bits add_to_lanes(Bits values, std::uint32_t amount) noexcept {
#if defined(__AVX512BW__)
  return _mm512_add_epi32(values, _mm512_set1_epi32(static_cast<int>(amount)));
#else
  return _mm256_add_epi32(values, _mm256_set1_epi32(static_cast<int>(amount)));
#endif
}

// Within each run of 128 bits: {a0, b0, a1, b1} and {a2, b2, a3, b3} of 32 bits each, and the same
// of two 64-bit halves.
#if defined(__AVX512BW__)
inline Bits zip_low32(Bits a, Bits b) noexcept { return _mm512_unpacklo_epi32(a, b); }
inline Bits zip_high32(Bits a, Bits b) noexcept { return _mm512_unpackhi_epi32(a, b); }
inline Bits zip_low64(Bits a, Bits b) noexcept { return _mm512_unpacklo_epi64(a, b); }
inline Bits zip_high64(Bits a, Bits b) noexcept { return _mm512_unpackhi_epi64(a, b); }
// Four dwords of each operand narrowed to words; words narrowed to bytes.
inline Bits pack32(Bits a, Bits b) noexcept { return _mm512_packs_epi32(a, b); }
inline Bits pack16(Bits a, Bits b) noexcept { return _mm512_packus_epi16(a, b); }
inline Bits truncate(Floats values) noexcept { return _mm512_cvttps_epi32(values); }
inline Bits round(Floats values) noexcept { return _mm512_cvtps_epi32(values); }
inline Bits bits_of(Floats values) noexcept { return _mm512_castps_si512(values); }
inline Floats floats_of(Bits bits) noexcept { return _mm512_castsi512_ps(bits); }
inline void store(void* out, Bits bits) noexcept { _mm512_storeu_si512(out, bits); }
inline Floats minimum(Floats a, Floats b) noexcept { return _mm512_min_ps(a, b); }
inline Floats maximum(Floats a, Floats b) noexcept { return _mm512_max_ps(a, b); }
inline Floats magnitude(Floats a) noexcept { return _mm512_abs_ps(a); }
template <int Order>
inline Floats shuffle(Floats a) noexcept {
  return _mm512_permute_ps(a, Order);
}
#else
inline Bits zip_low32(Bits a, Bits b) noexcept { return _mm256_unpacklo_epi32(a, b); }
inline Bits zip_high32(Bits a, Bits b) noexcept { return _mm256_unpackhi_epi32(a, b); }
inline Bits zip_low64(Bits a, Bits b) noexcept { return _mm256_unpacklo_epi64(a, b); }
inline Bits zip_high64(Bits a, Bits b) noexcept { return _mm256_unpackhi_epi64(a, b); }
inline Bits pack32(Bits a, Bits b) noexcept { return _mm256_packs_epi32(a, b); }
inline Bits pack16(Bits a, Bits b) noexcept { return _mm256_packus_epi16(a, b); }
inline Bits truncate(Floats values) noexcept { return _mm256_cvttps_epi32(values); }
inline Bits round(Floats values) noexcept { return _mm256_cvtps_epi32(values); }
inline Bits bits_of(Floats values) noexcept { return _mm256_castps_si256(values); }
inline Floats floats_of(Bits bits) noexcept { return _mm256_castsi256_ps(bits); }
inline void store(void* out, Bits bits) noexcept {
  _mm256_storeu_si256(static_cast<__m256i*>(out), bits);
}
inline Floats minimum(Floats a, Floats b) noexcept { return _mm256_min_ps(a, b); }
inline Floats maximum(Floats a, Floats b) noexcept { return _mm256_max_ps(a, b); }
inline Floats magnitude(Floats a) noexcept { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
template <int Order>
inline Floats shuffle(Floats a) noexcept {
  return _mm256_permute_ps(a, Order);
}
#endif

}  // namespace
}  // namespace cairn::kernels

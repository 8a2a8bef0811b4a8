// Eight values at a time. The last few go through a buffer of eight.

#include <cstring>

#include <immintrin.h>

#include "storage/codec_kernels/codec_kernels.h"

namespace cairn::kernels {
namespace {

constexpr std::size_t kLanes = 8;

// Calls decode(first) for each eight values of n, and stores what it returns.
template <typename Decode>
inline void for_each_eight(std::size_t n, float* out, Decode&& decode) noexcept {
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) _mm256_storeu_ps(out + i, decode(i));
  if (i < n) {
    alignas(32) float tail[kLanes];
    _mm256_store_ps(tail, decode(i));
    std::memcpy(out + i, tail, (n - i) * sizeof(float));
  }
}

inline __m128i load_128(const std::uint8_t* bytes) noexcept {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes));
}

// `low` and `high` each become the lanes of one half.
inline __m256i join(__m128i low, __m128i high) noexcept {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

void decode_u8(const std::uint8_t* codes, std::size_t n, std::int32_t base, float* out) noexcept {
  const __m256i bases = _mm256_set1_epi32(base);
  for_each_eight(n, out, [&](std::size_t i) {
    const __m128i eight = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(codes + i));
    return _mm256_cvtepi32_ps(_mm256_add_epi32(_mm256_cvtepu8_epi32(eight), bases));
  });
}

void decode_u16(const std::uint8_t* codes, std::size_t n, std::int32_t base, float* out) noexcept {
  const __m256i bases = _mm256_set1_epi32(base);
  for_each_eight(n, out, [&](std::size_t i) {
    const __m256i wide = _mm256_cvtepu16_epi32(load_128(codes + 2 * i));
    return _mm256_cvtepi32_ps(_mm256_add_epi32(wide, bases));
  });
}

void decode_half(const std::uint8_t* codes, std::size_t n, float* out) noexcept {
  for_each_eight(n, out, [&](std::size_t i) { return _mm256_cvtph_ps(load_128(codes + 2 * i)); });
}

void decode_bfloat16(const std::uint8_t* codes, std::size_t n, float* out) noexcept {
  for_each_eight(n, out, [&](std::size_t i) {
    const __m256i wide = _mm256_cvtepu16_epi32(load_128(codes + 2 * i));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
  });
}

void decode_scaled_half(const std::uint8_t* codes, std::size_t n, float divisor,
                        float* out) noexcept {
  const __m256 divisors = _mm256_set1_ps(divisor);
  for_each_eight(n, out, [&](std::size_t i) {
    return _mm256_div_ps(_mm256_cvtph_ps(load_128(codes + 2 * i)), divisors);
  });
}

// Four codes of 20 bits fill ten bytes.
inline __m256i load_eight_decimals(const std::uint8_t* codes) noexcept {
  const __m256i places = _mm256_setr_epi8(0, 1, 2, 3, 2, 3, 4, 5, 5, 6, 7, 8, 7, 8, 9, 10,  //
                                          0, 1, 2, 3, 2, 3, 4, 5, 5, 6, 7, 8, 7, 8, 9, 10);
  const __m256i shifts = _mm256_setr_epi32(0, 4, 0, 4, 0, 4, 0, 4);
  const __m256i bytes = _mm256_shuffle_epi8(join(load_128(codes), load_128(codes + 10)), places);
  return _mm256_and_si256(_mm256_srlv_epi32(bytes, shifts), _mm256_set1_epi32(0xFFFFF));
}

// code / 100,000 for every code of 20 bits: (code / 32) / 3125 by a product of at most 31 bits.
inline __m256i decimal_kinds(__m256i codes) noexcept {
  const __m256i product = _mm256_mullo_epi32(_mm256_srli_epi32(codes, 5), _mm256_set1_epi32(42950));
  return _mm256_srli_epi32(product, 27);
}

bool decode_decimal(const std::uint8_t* codes, std::size_t n, const float* powers,
                    const std::uint32_t* exceptions, std::size_t num_exceptions,
                    float* out) noexcept {
  const __m256 all_powers = _mm256_loadu_ps(powers);
  const __m256i last_decimal = _mm256_set1_epi32(kFirstException - 1);
  bool is_valid = true;
  for_each_eight(n, out, [&](std::size_t i) {
    const __m256i code = load_eight_decimals(codes + i / 2 * 5);
    const __m256i kind = decimal_kinds(code);
    const __m256i digits =
        _mm256_sub_epi32(code, _mm256_mullo_epi32(kind, _mm256_set1_epi32(kDecimalDigits)));
    const __m256 divisors = _mm256_permutevar8x32_ps(all_powers, _mm256_srli_epi32(kind, 1));
    const __m256 value = _mm256_div_ps(_mm256_cvtepi32_ps(digits), divisors);
    const __m256 result = _mm256_xor_ps(value, _mm256_castsi256_ps(_mm256_slli_epi32(kind, 31)));
    const __m256i is_exception = _mm256_cmpgt_epi32(code, last_decimal);
    auto left = static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(is_exception)));
    if (left == 0) [[likely]] {
      return result;
    }
    alignas(32) std::uint32_t all_codes[kLanes];
    alignas(32) std::uint32_t bits[kLanes];
    _mm256_store_si256(reinterpret_cast<__m256i*>(all_codes), code);
    _mm256_store_si256(reinterpret_cast<__m256i*>(bits), _mm256_castps_si256(result));
    for (; left != 0; left &= left - 1) {
      const auto lane = static_cast<std::size_t>(__builtin_ctz(left));
      const std::size_t exception = all_codes[lane] - kFirstException;
      if (exception < num_exceptions) {
        bits[lane] = exceptions[exception];
      } else if (i + lane < n) {
        is_valid = false;
      }
    }
    return _mm256_castsi256_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(bits)));
  });
  return is_valid;
}

void decode_delta16(const std::uint8_t* codes, std::size_t n, const float* base, float scale,
                    float* out) noexcept {
  const __m256 scales = _mm256_set1_ps(scale);
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const __m256 deltas = _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(load_128(codes + 2 * i)));
    _mm256_storeu_ps(out + i,
                     _mm256_add_ps(_mm256_loadu_ps(base + i), _mm256_mul_ps(scales, deltas)));
  }
  for (; i < n; ++i) {
    std::int16_t code;
    std::memcpy(&code, codes + 2 * i, sizeof code);
    out[i] = base[i] + scale * static_cast<float>(code);
  }
}

void merge_exponents(const std::uint8_t* codes, std::size_t n, const std::uint8_t* exponents,
                     float* out) noexcept {
  const __m256i places = _mm256_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1,  //
                                          0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1);
  for_each_eight(n, out, [&](std::size_t i) {
    const std::uint8_t* const eight = codes + 3 * i;
    const __m256i low = _mm256_shuffle_epi8(join(load_128(eight), load_128(eight + 12)), places);
    const __m256i mantissa = _mm256_and_si256(low, _mm256_set1_epi32(0x7FFFFF));
    const __m256i sign = _mm256_slli_epi32(_mm256_srli_epi32(low, 23), 31);
    // The last few exponents need not be readable as eight.
    alignas(8) std::uint8_t tail[kLanes] = {};
    if (i + kLanes > n) std::memcpy(tail, exponents + i, n - i);
    const auto* const from = i + kLanes > n ? tail : exponents + i;
    const __m256i exponent = _mm256_slli_epi32(
        _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))), 23);
    return _mm256_castsi256_ps(_mm256_or_si256(_mm256_or_si256(mantissa, sign), exponent));
  });
}

}  // namespace

constinit const CodecKernels kCodecAvx2 = {"avx2",          &decode_u8,       &decode_u16,
                                           &decode_half,    &decode_bfloat16, &decode_scaled_half,
                                           &decode_decimal, &decode_delta16,  &merge_exponents};

}  // namespace cairn::kernels

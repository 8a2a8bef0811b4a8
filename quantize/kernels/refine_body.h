#pragma once

// Bounds from packed refine codes: their dot products with a query of two signed bytes per
// dimension, then the arithmetic of a batch of rows at once.
//
// Codes of up to 8 bits (AVX-512) or 7 bits (AVX2) are unpacked to one unsigned byte per dimension
// and multiplied once; above that the sections are multiplied apart and weighted at the end. Each
// 32-bit accumulator lane stays exact up to 65,536 dimensions; totals are 64 bits wide.

#include "quantize/kernels/kernel_table.h"
#include "quantize/kernels/vector_body.h"

namespace cairn::kernels {
namespace {

constexpr bool has_section(unsigned bits, unsigned width) { return (bits & width) != 0; }

template <typename T>
inline T read_as(const std::uint8_t* bytes) noexcept {
  T value;
  __builtin_memcpy(&value, bytes, sizeof(value));
  return value;
}

struct RefineSums {
  std::int64_t high, low;
};

#if defined(__AVX512BW__)

inline std::int64_t total(__m512i sums) noexcept {
  const __m512i wide = _mm512_add_epi64(_mm512_cvtepi32_epi64(_mm512_castsi512_si256(sums)),
                                        _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(sums, 1)));
  return _mm512_reduce_add_epi64(wide);
}

// The fields below 8 bits of one group of 64 dimensions, one byte each; moves past their sections.
template <unsigned Bits>
inline __m512i unpack_group(const std::uint8_t*& group) noexcept {
  __m512i values = _mm512_setzero_si512();
  unsigned shift = 0;
  if constexpr (has_section(Bits, 8)) {
    values = _mm512_loadu_si512(group);
    group += 64;
    shift = 8;
  }
  if constexpr (has_section(Bits, 4)) {
    const __m256i pairs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(group));
    const __m512i both =
        _mm512_inserti64x4(_mm512_castsi256_si512(pairs), _mm256_srli_epi16(pairs, 4), 1);
    values = _mm512_and_si512(both, _mm512_set1_epi8(0x0F));
    group += 32;
    shift += 4;
  }
  if constexpr (has_section(Bits, 2)) {
    const __m512i quads =
        _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(group)));
    const __m512i shifts =
        _mm512_setr_epi64(0, 0, 0x0002000200020002, 0x0002000200020002, 0x0004000400040004,
                          0x0004000400040004, 0x0006000600060006, 0x0006000600060006);
    const __m512i fields =
        _mm512_and_si512(_mm512_srlv_epi16(quads, shifts), _mm512_set1_epi8(0x03));
    values = _mm512_or_si512(values, _mm512_slli_epi16(fields, shift));
    group += 16;
    shift += 2;
  }
  if constexpr (has_section(Bits, 1) && !has_section(Bits, 8)) {
    const auto mask = static_cast<__mmask64>(read_as<std::uint64_t>(group));
    const __m512i bit = _mm512_set1_epi8(static_cast<char>(1u << shift));
    values = _mm512_mask_add_epi8(values, mask, values, bit);
    group += 8;
  }
  return values;
}

// 128 * high + low for each of four rows: {{a, b, c, d} high sums, low sums}.
inline __m128 combine_sums(const __m512i (&high)[4], const __m512i (&low)[4]) noexcept {
  const auto fold = [](__m512i a, __m512i b, __m512i c, __m512i d) {
    const __m512i ab =
        _mm512_add_epi32(_mm512_shuffle_i64x2(a, b, 0x44), _mm512_shuffle_i64x2(a, b, 0xEE));
    const __m512i cd =
        _mm512_add_epi32(_mm512_shuffle_i64x2(c, d, 0x44), _mm512_shuffle_i64x2(c, d, 0xEE));
    return _mm512_add_epi32(_mm512_shuffle_i64x2(ab, cd, 0x88), _mm512_shuffle_i64x2(ab, cd, 0xDD));
  };
  const __m512i highs = fold(high[0], high[1], high[2], high[3]);  // 128 bits of each row
  const __m512i lows = fold(low[0], low[1], low[2], low[3]);
  const __m512i pairs =
      _mm512_add_epi32(_mm512_unpacklo_epi32(highs, lows), _mm512_unpackhi_epi32(highs, lows));
  // In each 128 bits now: high, low.
  const __m512i sums = _mm512_add_epi32(pairs, _mm512_shuffle_epi32(pairs, _MM_PERM_BADC));
  const __m256i ordered = _mm512_castsi512_si256(_mm512_permutexvar_epi32(
      _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 0, 0, 0, 0, 0, 0, 0, 0), sums));
  const __m256i wide_high = _mm256_cvtepi32_epi64(_mm256_castsi256_si128(ordered));
  const __m256i wide_low = _mm256_cvtepi32_epi64(_mm256_extracti128_si256(ordered, 1));
  return _mm256_cvtepi64_ps(_mm256_add_epi64(_mm256_slli_epi64(wide_high, 7), wide_low));
}

// The dot products of four rows of at most 8 bits: sums of 65,536 dimensions fit 32 bits.
template <unsigned Bits>
inline __m128 refine_four(const std::uint8_t* const (&codes)[4], const RefineQuery& query,
                          std::size_t padded_dim) noexcept {
  const std::uint8_t* groups[4] = {codes[0], codes[1], codes[2], codes[3]};
  __m512i high[4] = {};
  __m512i low[4] = {};
  for (std::size_t d = 0; d < padded_dim; d += 64) {
    const __m512i query_high = _mm512_loadu_si512(query.high + d);
    const __m512i query_low = _mm512_loadu_si512(query.low + d);
#pragma GCC unroll 4
    for (std::size_t i = 0; i < 4; ++i) {
      const __m512i values = unpack_group<Bits>(groups[i]);
      high[i] = _mm512_dpbusd_epi32(high[i], values, query_high);
      low[i] = _mm512_dpbusd_epi32(low[i], values, query_low);
    }
  }
  return combine_sums(high, low);
}

template <unsigned Bits>
inline RefineSums refine_row(const std::uint8_t* group, const std::int8_t* high,
                             const std::int8_t* low, std::size_t padded_dim) noexcept {
  __m512i high_sums = _mm512_setzero_si512();
  __m512i low_sums = high_sums;
  __m512i ninth_high = high_sums;
  __m512i ninth_low = high_sums;
  for (std::size_t d = 0; d < padded_dim; d += 64) {
    const __m512i query_high = _mm512_loadu_si512(high + d);
    const __m512i query_low = _mm512_loadu_si512(low + d);
    const __m512i values = unpack_group<Bits>(group);
    high_sums = _mm512_dpbusd_epi32(high_sums, values, query_high);
    low_sums = _mm512_dpbusd_epi32(low_sums, values, query_low);
    if constexpr (Bits == 9) {
      const auto mask = static_cast<__mmask64>(read_as<std::uint64_t>(group));
      const __m512i ninth = _mm512_maskz_set1_epi8(mask, 1);
      ninth_high = _mm512_dpbusd_epi32(ninth_high, ninth, query_high);
      ninth_low = _mm512_dpbusd_epi32(ninth_low, ninth, query_low);
      group += 8;
    }
  }
  RefineSums sums{total(high_sums), total(low_sums)};
  if constexpr (Bits == 9) {
    sums.high += 256 * total(ninth_high);
    sums.low += 256 * total(ninth_low);
  }
  return sums;
}

#else

inline std::int64_t total(__m256i sums) noexcept {
  const __m256i wide = _mm256_add_epi64(_mm256_cvtepi32_epi64(_mm256_castsi256_si128(sums)),
                                        _mm256_cvtepi32_epi64(_mm256_extracti128_si256(sums, 1)));
  const __m128i pair =
      _mm_add_epi64(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
  return _mm_cvtsi128_si64(pair) + _mm_extract_epi64(pair, 1);
}

// Values of dimensions 0-31 and 32-63 of a group.
struct GroupValues {
  __m256i first, second;
};

// 32 bits to 32 bytes of 0xFF or 0.
inline __m256i expand_bits(std::uint32_t bits) noexcept {
  const __m256i spread = _mm256_shuffle_epi8(
      _mm256_set1_epi32(static_cast<int>(bits)),
      _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303));
  const __m256i place = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201u));
  return _mm256_cmpeq_epi8(_mm256_and_si256(spread, place), place);
}

// The fields below 8 bits; moves past their sections.
template <unsigned Bits>
inline GroupValues unpack_group(const std::uint8_t*& group) noexcept {
  GroupValues values{_mm256_setzero_si256(), _mm256_setzero_si256()};
  unsigned shift = 0;
  if constexpr (has_section(Bits, 4)) {
    const __m256i pairs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(group));
    const __m256i nibble = _mm256_set1_epi8(0x0F);
    values.first = _mm256_and_si256(pairs, nibble);
    values.second = _mm256_and_si256(_mm256_srli_epi16(pairs, 4), nibble);
    group += 32;
    shift += 4;
  }
  if constexpr (has_section(Bits, 2)) {
    const __m128i quads = _mm_loadu_si128(reinterpret_cast<const __m128i*>(group));
    const __m256i field = _mm256_set1_epi8(0x03);
    const __m256i lower = _mm256_set_m128i(_mm_srli_epi16(quads, 2), quads);
    const __m256i first = _mm256_and_si256(lower, field);
    const __m256i second = _mm256_and_si256(_mm256_srli_epi16(lower, 4), field);
    values.first = _mm256_or_si256(values.first, _mm256_slli_epi16(first, shift));
    values.second = _mm256_or_si256(values.second, _mm256_slli_epi16(second, shift));
    group += 16;
    shift += 2;
  }
  if constexpr (has_section(Bits, 1)) {
    const __m256i bit = _mm256_set1_epi8(static_cast<char>(1u << shift));
    const auto first = expand_bits(read_as<std::uint32_t>(group));
    const auto second = expand_bits(read_as<std::uint32_t>(group + 4));
    values.first = _mm256_or_si256(values.first, _mm256_and_si256(first, bit));
    values.second = _mm256_or_si256(values.second, _mm256_and_si256(second, bit));
    group += 8;
  }
  return values;
}

// Adds the products of 64 values with 64 query bytes to `sums`. Values of at most 5 bits leave room
// for four products in 16 bits (4 * 31 * 127), those of 7 bits for two (2 * 127 * 127).
template <unsigned ValueBits>
inline __m256i add_products(__m256i sums, const GroupValues& values,
                            const std::int8_t* query) noexcept {
  const __m256i one = _mm256_set1_epi16(1);
  const auto* const words = reinterpret_cast<const __m256i*>(query);
  const __m256i first = _mm256_maddubs_epi16(values.first, _mm256_loadu_si256(words));
  const __m256i second = _mm256_maddubs_epi16(values.second, _mm256_loadu_si256(words + 1));
  if constexpr (ValueBits <= 5) {
    return _mm256_add_epi32(sums, _mm256_madd_epi16(_mm256_add_epi16(first, second), one));
  } else {
    static_assert(ValueBits <= 7);
    return _mm256_add_epi32(
        sums, _mm256_add_epi32(_mm256_madd_epi16(first, one), _mm256_madd_epi16(second, one)));
  }
}

template <unsigned Bits>
inline RefineSums refine_row(const std::uint8_t* group, const std::int8_t* high,
                             const std::int8_t* low, std::size_t padded_dim) noexcept {
  const __m256i zero = _mm256_setzero_si256();
  if constexpr (Bits < 8) {
    __m256i high_sums = zero;
    __m256i low_sums = zero;
    for (std::size_t d = 0; d < padded_dim; d += 64) {
      const GroupValues values = unpack_group<Bits>(group);
      high_sums = add_products<Bits>(high_sums, values, high + d);
      low_sums = add_products<Bits>(low_sums, values, low + d);
    }
    return {total(high_sums), total(low_sums)};
  } else {
    // weight[i] sums the i-th four bits of the codes.
    constexpr std::size_t kParts = Bits == 9 ? 3 : 2;
    __m256i high_sums[3] = {zero, zero, zero};
    __m256i low_sums[3] = {zero, zero, zero};
    const __m256i nibble = _mm256_set1_epi8(0x0F);
    for (std::size_t d = 0; d < padded_dim; d += 64) {
      const __m256i first = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(group));
      const __m256i second = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(group + 32));
      group += 64;
      GroupValues parts[3] = {{_mm256_and_si256(first, nibble), _mm256_and_si256(second, nibble)},
                              {_mm256_and_si256(_mm256_srli_epi16(first, 4), nibble),
                               _mm256_and_si256(_mm256_srli_epi16(second, 4), nibble)},
                              {zero, zero}};
      if constexpr (Bits == 9) parts[2] = unpack_group<1>(group);
#pragma GCC unroll 3
      for (std::size_t i = 0; i < kParts; ++i) {
        high_sums[i] = add_products<4>(high_sums[i], parts[i], high + d);
        low_sums[i] = add_products<4>(low_sums[i], parts[i], low + d);
      }
    }
    RefineSums sums{0, 0};
    for (std::size_t i = 0; i < kParts; ++i) {
      sums.high += total(high_sums[i]) << (4 * i);
      sums.low += total(low_sums[i]) << (4 * i);
    }
    return sums;
  }
}

#endif

// The dot products of kWidth rows, or fewer: `row(i)` is the code of the i-th.
template <unsigned Bits, typename Row>
inline void refine_batch(const Row& row, std::size_t n, const RefineQuery& query,
                         std::size_t padded_dim, float* dots) noexcept {
  std::size_t i = 0;
#if defined(__AVX512BW__)
  if constexpr (Bits < 9) {
    // Of fewer than four the last is taken again.
    for (; i < n; i += 4) {
      const std::size_t last = n - 1;
      const std::uint8_t* const codes[4] = {row(i), row(i + 1 < n ? i + 1 : last),
                                            row(i + 2 < n ? i + 2 : last),
                                            row(i + 3 < n ? i + 3 : last)};
      _mm_storeu_ps(dots + i, refine_four<Bits>(codes, query, padded_dim));
    }
  }
#endif
  for (; i < n; ++i) {
    const RefineSums sums = refine_row<Bits>(row(i), query.high, query.low, padded_dim);
    dots[i] = static_cast<float>(128 * sums.high + sums.low);
  }
}

template <unsigned Bits>
std::size_t refine_rows_of(const std::uint8_t* codes, std::size_t row_stride,
                           const std::uint32_t* rows, std::size_t n, const RefineQuery& query,
                           std::size_t padded_dim, const float* base, const float* spread,
                           float threshold, std::uint32_t* out_row, float* out_lower,
                           float* out_upper) noexcept {
  const std::size_t row_bytes = kRefineFactorBytes + refine_code_bytes(padded_dim, Bits);
  const Floats step(query.step);
  const Floats offset(query.offset);
  const Floats limit(threshold);
  std::size_t found = 0;
  for (std::size_t begin = 0; begin < n; begin += kWidth) {
    const std::size_t count = n - begin < kWidth ? n - begin : kWidth;
    const std::uint32_t* const batch = rows + begin;
    for (std::size_t i = begin + kWidth; i < n && i < begin + 2 * kWidth; ++i) {
      prefetch_bytes(codes + rows[i] * row_stride, row_bytes);
    }
    const auto row = [&](std::size_t i) { return codes + batch[i] * row_stride; };
    float dots[kWidth];
    float add[kWidth];
    float scale[kWidth];
    refine_batch<Bits>([&](std::size_t i) { return row(i) + kRefineFactorBytes; }, count, query,
                       padded_dim, dots);
    for (std::size_t i = 0; i < count; ++i) {
      add[i] = read_as<float>(row(i));
      scale[i] = read_as<float>(row(i) + sizeof(float));
    }
    const bool full = count == kWidth;
    const auto take = [&](const float* values) {
      return full ? load(values) : load_tail(values, count);
    };
    const Floats scales = take(scale);
    const Floats inner = fma(step, take(dots), offset);
    const Floats estimate = take(base + begin) + fma(scales, inner, take(add));
    const Floats error = scales * take(spread + begin);
    const Floats lower = estimate - error;
    const auto valid = static_cast<LaneMask>((std::uint32_t{1} << count) - 1);
    const auto pass = static_cast<LaneMask>(less(lower, limit) & valid);
    store(out_row + found, pack_lanes(load_bits(batch, count), pass));
    pack_lanes(lower, pass).store_unaligned(out_lower + found);
    pack_lanes(estimate + error, pass).store_unaligned(out_upper + found);
    found += count_lanes(pass);
  }
  return found;
}

std::size_t refine_rows(const std::uint8_t* codes, std::size_t row_stride,
                        const std::uint32_t* rows, std::size_t n, unsigned bits,
                        const RefineQuery& query, std::size_t padded_dim, const float* base,
                        const float* spread, float threshold, std::uint32_t* out_row,
                        float* out_lower, float* out_upper) noexcept {
  const auto run = [&]<unsigned Bits>() {
    return refine_rows_of<Bits>(codes, row_stride, rows, n, query, padded_dim, base, spread,
                                threshold, out_row, out_lower, out_upper);
  };
  switch (bits) {
    case 2:
      return run.template operator()<2>();
    case 3:
      return run.template operator()<3>();
    case 4:
      return run.template operator()<4>();
    case 5:
      return run.template operator()<5>();
    case 6:
      return run.template operator()<6>();
    case 7:
      return run.template operator()<7>();
    case 8:
      return run.template operator()<8>();
    case 9:
      return run.template operator()<9>();
    default:
      return 0;
  }
}

}  // namespace
}  // namespace cairn::kernels

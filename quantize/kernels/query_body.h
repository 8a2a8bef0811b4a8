#pragma once

// Query preparation. The arithmetic is that of baseline.cc, operation for operation, so that all
// instruction sets give the same bytes.

#include "quantize/kernels/constants_body.h"
#include "quantize/kernels/vector_body.h"

namespace cairn::kernels {
namespace {

// What the sub-set sums of a query need first.
struct TableRange {
  float greatest;  // the widest range of a group
  float low;       // the sum of all negative coordinates, over 16 interleaved lanes
};

inline TableRange measure_query(const float* query, std::size_t padded_dim) noexcept {
  constexpr std::size_t kParts = 16 / kWidth;
  const Floats zero(0.0f);
  Floats greatest(0.0f);
  Floats low[kParts];
  for (std::size_t i = 0; i < kParts; ++i) low[i] = zero;
  for (std::size_t d = 0; d < padded_dim; d += kParts * kWidth) {
#pragma GCC unroll 2
    for (std::size_t i = 0; i < kParts; ++i) {
      const Floats q = load(query + d + i * kWidth);
      const Floats absolute = magnitude(q);
      const Floats pairs = absolute + shuffle<0xB1>(absolute);
      greatest = maximum(greatest, pairs + shuffle<0x4E>(pairs));
      low[i] += minimum(q, zero);
    }
  }
  if constexpr (kParts == 1) {
    return {greatest_lane(greatest), sum(low[0])};
  } else {
    return {greatest_lane(greatest), sum(low[0] + low[kParts - 1])};
  }
}

// The four dimensions of 4 * (kWidth / 4) groups, one vector each: position i of the 128-bit lane l
// belongs to group (kWidth / 4) * i + l, which lets the entries leave in order.
struct GroupedQuery {
  Floats q0, q1, q2, q3;
};

inline GroupedQuery load_groups(const float* query) noexcept {
  const Bits a = bits_of(load(query));
  const Bits b = bits_of(load(query + kWidth));
  const Bits c = bits_of(load(query + 2 * kWidth));
  const Bits d = bits_of(load(query + 3 * kWidth));
  const Bits ab_low = zip_low32(a, b);
  const Bits ab_high = zip_high32(a, b);
  const Bits cd_low = zip_low32(c, d);
  const Bits cd_high = zip_high32(c, d);
  return {floats_of(zip_low64(ab_low, cd_low)), floats_of(zip_high64(ab_low, cd_low)),
          floats_of(zip_low64(ab_high, cd_high)), floats_of(zip_high64(ab_high, cd_high))};
}

// (s - least) * inverse_step + bias for the sub-sets s = {}, b, a, a + b of a pair of dimensions.
inline void scale_pair(Floats a, Floats b, Floats inverse_step, Floats bias,
                       Floats (&out)[4]) noexcept {
  const Floats zero(0.0f);
  const Floats least = minimum(a, zero) + minimum(b, zero);
  out[0] = (zero - least) * inverse_step + bias;
  out[1] = (b - least) * inverse_step + bias;
  out[2] = (a - least) * inverse_step + bias;
  out[3] = ((a + b) - least) * inverse_step + bias;
}

TableScale build_table(const float* query, std::size_t padded_dim, std::uint8_t* table) noexcept {
  const TableRange range = measure_query(query, padded_dim);
  if (!(range.greatest >= kLeastScale && range.greatest <= kGreatestScale)) {
    __builtin_memset(table, 0, padded_dim * 4);
    return {0, range.low};
  }
#if defined(__AVX512BW__)
  const Bits transpose =
      _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  const auto by_group = [&](Bits entries) { return _mm512_shuffle_epi8(entries, transpose); };
#else
  const Bits transpose = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  const auto by_group = [&](Bits entries) { return _mm256_shuffle_epi8(entries, transpose); };
#endif
  const Floats inverse_step(kTableLevels / range.greatest);
  for (std::size_t d = 0; d < padded_dim; d += 4 * kWidth) {
    const GroupedQuery q = load_groups(query + d);
    Floats upper[4];
    Floats lower[4];
    scale_pair(q.q0, q.q1, inverse_step, Floats(0.5f), upper);
    scale_pair(q.q2, q.q3, inverse_step, Floats(0.0f), lower);
    Bits entries[4];  // of each group: entries 0-3, 4-7, 8-11, 12-15
#pragma GCC unroll 4
    for (std::size_t z = 0; z < 4; ++z) {
      const Bits first = pack32(truncate(upper[z] + lower[0]), truncate(upper[z] + lower[1]));
      const Bits second = pack32(truncate(upper[z] + lower[2]), truncate(upper[z] + lower[3]));
      entries[z] = by_group(pack16(first, second));
    }
    const Bits low_halves = zip_low32(entries[0], entries[1]);
    const Bits high_halves = zip_high32(entries[0], entries[1]);
    const Bits low_rest = zip_low32(entries[2], entries[3]);
    const Bits high_rest = zip_high32(entries[2], entries[3]);
    std::uint8_t* const out = table + 4 * d;
    store(out, zip_low64(low_halves, low_rest));
    store(out + 4 * kWidth, zip_high64(low_halves, low_rest));
    store(out + 8 * kWidth, zip_low64(high_halves, high_rest));
    store(out + 12 * kWidth, zip_high64(high_halves, high_rest));
  }
  return {range.greatest / kTableLevels, range.low};
}

// Narrows kWidth integers in [-128, 127] to bytes.
inline void store_bytes(std::int8_t* out, Bits values) noexcept {
#if defined(__AVX512BW__)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm512_cvtepi32_epi8(values));
#else
  const __m128i words =
      _mm_packs_epi32(_mm256_castsi256_si128(values), _mm256_extracti128_si256(values, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(out), _mm_packs_epi16(words, words));
#endif
}

float quantize_query(const float* query, std::size_t padded_dim, std::int8_t* high,
                     std::int8_t* low) noexcept {
  Floats greatest(0.0f);
  for (std::size_t d = 0; d < padded_dim; d += kWidth) {
    greatest = maximum(greatest, magnitude(load(query + d)));
  }
  const float largest = greatest_lane(greatest);
  if (!(largest >= kLeastScale && largest <= kGreatestScale)) {
    __builtin_memset(high, 0, padded_dim);
    __builtin_memset(low, 0, padded_dim);
    return 0;
  }
  const Floats inverse_step(kQueryLevels / largest);
  for (std::size_t d = 0; d < padded_dim; d += kWidth) {
    const Bits level = round(load(query + d) * inverse_step);
#if defined(__AVX512BW__)
    const Bits upper = _mm512_srai_epi32(_mm512_add_epi32(level, _mm512_set1_epi32(64)), 7);
    const Bits lower = _mm512_sub_epi32(level, _mm512_slli_epi32(upper, 7));
#else
    const Bits upper = _mm256_srai_epi32(_mm256_add_epi32(level, _mm256_set1_epi32(64)), 7);
    const Bits lower = _mm256_sub_epi32(level, _mm256_slli_epi32(upper, 7));
#endif
    store_bytes(high + d, upper);
    store_bytes(low + d, lower);
  }
  return largest / kQueryLevels;
}

}  // namespace
}  // namespace cairn::kernels

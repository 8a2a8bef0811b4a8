#pragma once

// The look-up scan of blocks of 32 codes.
//
// A byte shuffle looks 16 codes up at once. Entries are at most 63, so four are added up as bytes.
// Adjacent bytes belong to lanes i and i + 8, so these are added up as 16-bit words `whole` (modulo
// 2^16), and their upper bytes once more as `upper`; whole - 256 * upper is then the exact sum of
// the lower bytes. 1,024 groups of at most 63 fit 16 bits, after which the sums are widened.
//
// Which blocks hold a child below the threshold is anybody's guess, so survivors are packed
// together and stored without asking whether there are any: mispredicted branches cost more.
// Several queries at once come late, when few children pass: there the question pays.

#include "quantize/kernels/kernel_table.h"
#include "quantize/kernels/vector_body.h"

namespace cairn::kernels {
namespace {

constexpr std::size_t kGroupBytes = 16;
constexpr std::size_t kWideningGroups = 1024;
// The codes of 64 dimensions, of which every block is a multiple.
constexpr std::size_t kUnitBytes = 256;
// Far enough to cover the latency of memory at the rate the scan consumes it, not so far that short
// leaves go without. Measured.
constexpr std::size_t kPrefetchBytes = 6144;

#if defined(__AVX512BW__)

// Sums of lanes 0-15 and 16-31.
struct LaneSums {
  __m512i low, high;
};

// Looked-up bytes of up to kWideningGroups groups, see above.
struct WordSums {
  __m512i whole0 = _mm512_setzero_si512();
  __m512i upper0 = _mm512_setzero_si512();
  __m512i whole1 = _mm512_setzero_si512();
  __m512i upper1 = _mm512_setzero_si512();

  void add(__m512i first, __m512i second) noexcept {
    whole0 = _mm512_add_epi16(whole0, first);
    upper0 = _mm512_add_epi16(upper0, _mm512_srli_epi16(first, 8));
    whole1 = _mm512_add_epi16(whole1, second);
    upper1 = _mm512_add_epi16(upper1, _mm512_srli_epi16(second, 8));
    pin(whole0);
    pin(upper0);
    pin(whole1);
    pin(upper1);
  }

  // The sums of the 32 lanes, in order.
  __m512i words() const noexcept {
    const __m512i lower0 = _mm512_sub_epi16(whole0, _mm512_slli_epi16(upper0, 8));
    const __m512i lower1 = _mm512_sub_epi16(whole1, _mm512_slli_epi16(upper1, 8));
    // Adds the four 128-bit parts of each: eight lanes of lower0, upper0, lower1, upper1 in turn.
    const __m512i first = _mm512_add_epi16(_mm512_shuffle_i64x2(lower0, upper0, 0x44),
                                           _mm512_shuffle_i64x2(lower0, upper0, 0xEE));
    const __m512i second = _mm512_add_epi16(_mm512_shuffle_i64x2(lower1, upper1, 0x44),
                                            _mm512_shuffle_i64x2(lower1, upper1, 0xEE));
    return _mm512_add_epi16(_mm512_shuffle_i64x2(first, second, 0x88),
                            _mm512_shuffle_i64x2(first, second, 0xDD));
  }
};

// The 16-bit sums of `bytes` bytes of codes, at most kWideningGroups groups, for each of N tables.
template <std::size_t N>
inline void sum_words(const std::uint8_t* codes, const std::uint8_t* const (&tables)[N],
                      std::size_t bytes, __m512i (&words)[N]) noexcept {
  const __m512i nibble = _mm512_set1_epi8(0x0F);
  WordSums sums[N];
  for (std::size_t at = 0; at < bytes; at += kUnitBytes) {
    __m512i first[N];
    __m512i second[N];
    for (std::size_t i = 0; i < N; ++i) first[i] = second[i] = _mm512_setzero_si512();
#pragma GCC unroll 4
    for (std::size_t part = at; part < at + kUnitBytes; part += 64) {
      const __m512i code = _mm512_loadu_si512(codes + part);
      const __m512i low = _mm512_and_si512(code, nibble);
      const __m512i high = _mm512_and_si512(_mm512_srli_epi16(code, 4), nibble);
#pragma GCC unroll 4
      for (std::size_t i = 0; i < N; ++i) {
        const __m512i entries = _mm512_loadu_si512(tables[i] + part);
        first[i] = _mm512_add_epi8(first[i], _mm512_shuffle_epi8(entries, low));
        second[i] = _mm512_add_epi8(second[i], _mm512_shuffle_epi8(entries, high));
        pin(first[i]);
        pin(second[i]);
      }
    }
#pragma GCC unroll 4
    for (std::size_t i = 0; i < N; ++i) sums[i].add(first[i], second[i]);
  }
#pragma GCC unroll 4
  for (std::size_t i = 0; i < N; ++i) words[i] = sums[i].words();
}

inline __m512i sum_words(const std::uint8_t* codes, const std::uint8_t* table,
                         std::size_t bytes) noexcept {
  const std::uint8_t* const tables[1] = {table};
  __m512i words[1];
  sum_words<1>(codes, tables, bytes, words);
  return words[0];
}

inline LaneSums widen(__m512i words) noexcept {
  return {_mm512_cvtepu16_epi32(_mm512_castsi512_si256(words)),
          _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(words, 1))};
}

inline LaneSums add(LaneSums a, LaneSums b) noexcept {
  return {_mm512_add_epi32(a.low, b.low), _mm512_add_epi32(a.high, b.high)};
}

inline void store_sums(LaneSums sums, std::uint32_t* out) noexcept {
  _mm512_storeu_si512(out, sums.low);
  _mm512_storeu_si512(out + 16, sums.high);
}

// What turns sums into values and picks those under the threshold.
struct Selector {
  __m512 step, offset, base, threshold;

  Selector(const ScanQuery& query, float base_, float threshold_) noexcept
      : step(_mm512_set1_ps(query.step)),
        offset(_mm512_set1_ps(query.offset)),
        base(_mm512_set1_ps(base_)),
        threshold(_mm512_set1_ps(threshold_)) {}

  // Appends what passes among the lanes set in `valid` to the outputs; returns how many. `Rarely`:
  // asks first whether there is any.
  template <bool Rarely = false>
  std::size_t append(LaneSums sums, const float* factors, std::uint32_t valid, std::uint32_t begin,
                     std::uint32_t* out_index, float* out_value) const noexcept {
    const __m512 value0 = evaluate(sums.low, factors);
    const __m512 value1 = evaluate(sums.high, factors + 16);
    const __mmask16 pass0 =
        _mm512_mask_cmp_ps_mask(static_cast<__mmask16>(valid), value0, threshold, _CMP_LT_OQ);
    const __mmask16 pass1 =
        _mm512_mask_cmp_ps_mask(static_cast<__mmask16>(valid >> 16), value1, threshold, _CMP_LT_OQ);
    if constexpr (Rarely) {
      if ((pass0 | pass1) == 0) return 0;
    }
    const __m512i index0 =
        _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(begin)),
                         _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    const __m512i index1 = _mm512_add_epi32(index0, _mm512_set1_epi32(16));
    const auto found0 = static_cast<std::size_t>(__builtin_popcount(pass0));
    const auto found1 = static_cast<std::size_t>(__builtin_popcount(pass1));
    _mm512_storeu_si512(out_index, _mm512_maskz_compress_epi32(pass0, index0));
    _mm512_storeu_ps(out_value, _mm512_maskz_compress_ps(pass0, value0));
    _mm512_storeu_si512(out_index + found0, _mm512_maskz_compress_epi32(pass1, index1));
    _mm512_storeu_ps(out_value + found0, _mm512_maskz_compress_ps(pass1, value1));
    return found0 + found1;
  }

 private:
  __m512 evaluate(__m512i sums, const float* factors) const noexcept {
    const __m512 inner = _mm512_fmadd_ps(step, _mm512_cvtepi32_ps(sums), offset);
    return _mm512_add_ps(base, _mm512_fmadd_ps(_mm512_loadu_ps(factors + kBlockSize), inner,
                                               _mm512_loadu_ps(factors)));
  }
};

#else

// Sums of lanes 0-7, 8-15, 16-23, 24-31.
struct LaneSums {
  __m256i part[4];
};

struct LaneWords {
  __m256i low, high;  // 16-bit sums of lanes 0-15 and 16-31
};

inline LaneWords sum_words(const std::uint8_t* codes, const std::uint8_t* table,
                           std::size_t bytes) noexcept {
  const __m256i nibble = _mm256_set1_epi8(0x0F);
  __m256i whole0 = _mm256_setzero_si256();
  __m256i upper0 = whole0;
  __m256i whole1 = whole0;
  __m256i upper1 = whole0;
  // A unit is twice the bytes of four vectors: its halves are widened apart.
  for (std::size_t at = 0; at < bytes; at += kUnitBytes / 2) {
    __m256i first = _mm256_setzero_si256();
    __m256i second = first;
#pragma GCC unroll 4
    for (std::size_t part = at; part < at + kUnitBytes / 2; part += 32) {
      const __m256i code = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + part));
      const __m256i entries = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(table + part));
      const __m256i low = _mm256_and_si256(code, nibble);
      const __m256i high = _mm256_and_si256(_mm256_srli_epi16(code, 4), nibble);
      first = _mm256_add_epi8(first, _mm256_shuffle_epi8(entries, low));
      second = _mm256_add_epi8(second, _mm256_shuffle_epi8(entries, high));
      pin(first);
      pin(second);
    }
    whole0 = _mm256_add_epi16(whole0, first);
    upper0 = _mm256_add_epi16(upper0, _mm256_srli_epi16(first, 8));
    whole1 = _mm256_add_epi16(whole1, second);
    upper1 = _mm256_add_epi16(upper1, _mm256_srli_epi16(second, 8));
    pin(whole0);
    pin(upper0);
    pin(whole1);
    pin(upper1);
  }
  whole0 = _mm256_sub_epi16(whole0, _mm256_slli_epi16(upper0, 8));
  whole1 = _mm256_sub_epi16(whole1, _mm256_slli_epi16(upper1, 8));
  return {_mm256_add_epi16(_mm256_permute2x128_si256(whole0, upper0, 0x20),
                           _mm256_permute2x128_si256(whole0, upper0, 0x31)),
          _mm256_add_epi16(_mm256_permute2x128_si256(whole1, upper1, 0x20),
                           _mm256_permute2x128_si256(whole1, upper1, 0x31))};
}

inline LaneSums widen(LaneWords words) noexcept {
  return {{_mm256_cvtepu16_epi32(_mm256_castsi256_si128(words.low)),
           _mm256_cvtepu16_epi32(_mm256_extracti128_si256(words.low, 1)),
           _mm256_cvtepu16_epi32(_mm256_castsi256_si128(words.high)),
           _mm256_cvtepu16_epi32(_mm256_extracti128_si256(words.high, 1))}};
}

inline LaneSums add(LaneSums a, const LaneSums& b) noexcept {
#pragma GCC unroll 4
  for (std::size_t i = 0; i < 4; ++i) a.part[i] = _mm256_add_epi32(a.part[i], b.part[i]);
  return a;
}

inline void store_sums(const LaneSums& sums, std::uint32_t* out) noexcept {
#pragma GCC unroll 4
  for (std::size_t i = 0; i < 4; ++i) store(out + 8 * i, sums.part[i]);
}

struct Selector {
  __m256 step, offset, base, threshold;

  Selector(const ScanQuery& query, float base_, float threshold_) noexcept
      : step(_mm256_set1_ps(query.step)),
        offset(_mm256_set1_ps(query.offset)),
        base(_mm256_set1_ps(base_)),
        threshold(_mm256_set1_ps(threshold_)) {}

  std::size_t append(const LaneSums& sums, const float* factors, std::uint32_t valid,
                     std::uint32_t begin, std::uint32_t* out_index,
                     float* out_value) const noexcept {
    std::size_t found = 0;
#pragma GCC unroll 4
    for (std::size_t i = 0; i < 4; ++i) {
      const __m256 inner = _mm256_fmadd_ps(step, _mm256_cvtepi32_ps(sums.part[i]), offset);
      const __m256 values =
          _mm256_add_ps(base, _mm256_fmadd_ps(_mm256_loadu_ps(factors + kBlockSize + 8 * i), inner,
                                              _mm256_loadu_ps(factors + 8 * i)));
      const __m256 less = _mm256_cmp_ps(values, threshold, _CMP_LT_OQ);
      const auto pass = static_cast<unsigned>(_mm256_movemask_ps(less)) & (valid >> (8 * i)) & 255u;
      const __m256i first = _mm256_set1_epi32(static_cast<int>(begin + 8 * i));
      const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
      store(out_index + found, pack_lanes(_mm256_add_epi32(first, lane), pass));
      _mm256_storeu_ps(out_value + found, pack_lanes(values, pass));
      found += static_cast<std::size_t>(__builtin_popcount(pass));
    }
    return found;
  }
};

#endif

// The sums of a block of `groups` groups. A constant Groups (0: not constant) lets the compiler
// unroll fully and keep a short table in registers from block to block.
template <std::size_t Groups>
inline LaneSums sum_block_codes(const std::uint8_t* codes, const std::uint8_t* table,
                                std::size_t groups) noexcept {
  if constexpr (Groups != 0) {
    static_assert(Groups <= kWideningGroups);
    return widen(sum_words(codes, table, Groups * kGroupBytes));
  } else {
    constexpr std::size_t kChunk = kWideningGroups * kGroupBytes;
    std::size_t rest = groups * kGroupBytes;
    if (rest <= kChunk) return widen(sum_words(codes, table, rest));
    LaneSums sums = widen(sum_words(codes, table, kChunk));
    for (rest -= kChunk; rest > 0;) {
      codes += kChunk;
      table += kChunk;
      const std::size_t bytes = rest < kChunk ? rest : kChunk;
      sums = add(sums, widen(sum_words(codes, table, bytes)));
      rest -= bytes;
    }
    return sums;
  }
}

void scan_sums(const std::uint8_t* block, const std::uint8_t* table, std::size_t padded_dim,
               std::uint32_t* sums) noexcept {
  store_sums(sum_block_codes<0>(block, table, padded_dim / 4), sums);
}

template <std::size_t Groups>
std::size_t scan_all(const std::uint8_t* blocks, std::size_t count, const std::uint8_t* table,
                     std::size_t groups, const Selector& selector, std::uint32_t first,
                     const std::uint8_t* next, std::uint32_t* out_index,
                     float* out_value) noexcept {
  const std::size_t code_bytes = (Groups != 0 ? Groups : groups) * kGroupBytes;
  const std::size_t stride = code_bytes + 2 * kBlockSize * sizeof(float);
  const std::uint8_t* const end = blocks + (count + kBlockSize - 1) / kBlockSize * stride;
  const auto bytes = static_cast<std::size_t>(end - blocks);
  const std::size_t ahead = bytes < kPrefetchBytes ? bytes : kPrefetchBytes;
  std::size_t found = 0;
  for (std::size_t begin = 0; begin < count; begin += kBlockSize) {
    const std::size_t lanes = count - begin;
    const std::uint32_t valid = lanes >= kBlockSize ? 0xFFFFFFFFu : (1u << lanes) - 1;
    const auto left = static_cast<std::size_t>(end - blocks);
    prefetch_bytes(left > ahead ? blocks + ahead : next + (ahead - left), stride);
    const LaneSums sums = sum_block_codes<Groups>(blocks, table, groups);
    const auto* const factors = reinterpret_cast<const float*>(blocks + code_bytes);
    found += selector.append(sums, factors, valid, first + static_cast<std::uint32_t>(begin),
                             out_index + found, out_value + found);
    blocks += stride;
  }
  return found;
}

std::size_t scan_blocks(const std::uint8_t* blocks, std::size_t count, const ScanQuery& query,
                        std::size_t padded_dim, float base, float threshold, std::uint32_t first,
                        const std::uint8_t* next, std::uint32_t* out_index,
                        float* out_value) noexcept {
  const Selector selector(query, base, threshold);
  const std::size_t groups = padded_dim / 4;
  switch (padded_dim) {
    case 64:
      return scan_all<16>(blocks, count, query.table, groups, selector, first, next, out_index,
                          out_value);
    case 128:
      return scan_all<32>(blocks, count, query.table, groups, selector, first, next, out_index,
                          out_value);
    default:
      return scan_all<0>(blocks, count, query.table, groups, selector, first, next, out_index,
                         out_value);
  }
}

#if defined(__AVX512BW__)
// Four tasks at a time over the same codes, of at most kWideningGroups groups.
constexpr std::size_t kTasks = 4;

inline void scan_four(const std::uint8_t* blocks, std::size_t count, std::size_t code_bytes,
                      std::uint32_t first, const std::uint8_t* next, ScanTask* tasks) noexcept {
  const std::size_t stride = code_bytes + 2 * kBlockSize * sizeof(float);
  const Selector selectors[kTasks] = {{tasks[0].query, tasks[0].base, tasks[0].threshold},
                                      {tasks[1].query, tasks[1].base, tasks[1].threshold},
                                      {tasks[2].query, tasks[2].base, tasks[2].threshold},
                                      {tasks[3].query, tasks[3].base, tasks[3].threshold}};
  const std::uint8_t* const tables[kTasks] = {tasks[0].query.table, tasks[1].query.table,
                                              tasks[2].query.table, tasks[3].query.table};
  std::size_t found[kTasks] = {};
  for (std::size_t begin = 0; begin < count; begin += kBlockSize) {
    const std::size_t lanes = count - begin;
    const std::uint32_t valid = lanes >= kBlockSize ? 0xFFFFFFFFu : (1u << lanes) - 1;
    if (next != blocks) prefetch_bytes(next, stride);
    __m512i words[kTasks];
    sum_words<kTasks>(blocks, tables, code_bytes, words);
    const auto* const factors = reinterpret_cast<const float*>(blocks + code_bytes);
#pragma GCC unroll 4
    for (std::size_t i = 0; i < kTasks; ++i) {
      found[i] += selectors[i].append<true>(
          widen(words[i]), factors, valid, first + static_cast<std::uint32_t>(begin),
          tasks[i].out_index + found[i], tasks[i].out_value + found[i]);
    }
    blocks += stride;
    next += stride;
  }
  for (std::size_t i = 0; i < kTasks; ++i) tasks[i].found = found[i];
}
#endif

void scan_blocks_many(const std::uint8_t* blocks, std::size_t count, std::size_t padded_dim,
                      std::uint32_t first, const std::uint8_t* next, ScanTask* tasks,
                      std::size_t num_tasks) noexcept {
  std::size_t done = 0;
#if defined(__AVX512BW__)
  if (padded_dim / 4 <= kWideningGroups) {
    for (; done + kTasks <= num_tasks; done += kTasks) {
      scan_four(blocks, count, block_code_bytes(padded_dim), first,
                done + kTasks < num_tasks ? blocks : next, tasks + done);
    }
  }
#endif
  for (; done < num_tasks; ++done) {
    ScanTask& task = tasks[done];
    task.found = scan_blocks(blocks, count, task.query, padded_dim, task.base, task.threshold,
                             first, next, task.out_index, task.out_value);
  }
}

}  // namespace
}  // namespace cairn::kernels

#pragma once

// The contract between the search core and its SIMD kernels: one struct of function pointers, one
// instance per instruction set. No SIMD type crosses this border. See README.md here.
//
// Unless said otherwise pointers need no alignment, arrays do not overlap, and counts may be 0.
// `padded_dim` (D) is a multiple of 64, at most 65,536. All kernels are pure and thread-safe.

#include <cstddef>
#include <cstdint>

namespace cairn::kernels {

// A block holds the binary codes of 32 children, packed for table look-ups, and two factors each:
//   codes    [D / 4] groups of 16 bytes. Byte j of group m holds in its low nibble the code of lane
//            p(j) and in its high nibble that of lane p(j) + 16, for dimensions 4m .. 4m+3, with
//            p = 0,8,1,9,2,10,3,11,4,12,5,13,6,14,7,15. Bit 3 of a nibble is dimension 4m, bit 0
//            is dimension 4m+3.
//   f_add    [32] f32
//   f_scale  [32] f32
inline constexpr std::size_t kBlockSize = 32;
constexpr std::size_t block_code_bytes(std::size_t padded_dim) { return padded_dim * 4; }
constexpr std::size_t block_bytes(std::size_t padded_dim) {
  return block_code_bytes(padded_dim) + 2 * kBlockSize * sizeof(float);
}

// A query's look-up table over sub-sets of its coordinates, quantised to 6 bits:
//   table [D / 4][16] u8, at most 63: entry z of group m is round((sum of q over the set bits of z
//   - low_m) / step) <b, q> for a 0/1 vector b is about  step * (sum over m of table[m][nibble m of
//   b]) + low, with low = sum of low_m, low_m the least sub-set sum of group m.
struct TableScale {
  float step;
  float low;
};

// Rows of refine codes: `bits` (B, 2 to 9) bits per dimension, unsigned values x in [0, 2^B),
// stored per group of 64 dimensions (8 * B bytes each, groups one after another) as sections of 8,
// 4, 2 and 1 bits, in this order, one for each bit set in the binary form of B (B = 5: a 4-bit
// section then a 1-bit section; B = 9: 8 then 1). The first section holds the lowest bits of x, the
// next the bits above it, and so on. Within a section of the 64 dimensions of a group:
//   8 bits: 64 bytes, byte i = dimension i
//   4 bits: 32 bytes, byte i = dimension i (low nibble) and i + 32 (high nibble)
//   2 bits: 16 bytes, byte i = dimensions i, i + 16, i + 32, i + 48, from the lowest pair of bits
//   up 1 bit :  8 bytes, little-endian bit i of the 64 = dimension i
constexpr std::size_t refine_code_bytes(std::size_t padded_dim, unsigned bits) {
  return padded_dim / 8 * bits;
}

// What a scan of binary codes needs of a query: build_table's result, and the constant that is
// added to step * sum.
struct ScanQuery {
  const std::uint8_t* table;
  float step;
  float offset;
};

// One query of several that scan the same children; see scan_blocks for the members.
struct ScanTask {
  ScanQuery query;
  float base;
  float threshold;
  std::uint32_t* out_index;
  float* out_value;
  std::size_t found;
};

// And what refine codes need: quantize_query's result, and the same kind of constant.
struct RefineQuery {
  const std::int8_t* high;
  const std::int8_t* low;
  float step;
  float offset;
};
// Sums over the dimensions of a residual r, its centre c, and the signs s of r (+1 for r >= 0).
struct SignSums {
  double squares;     // of r
  double magnitudes;  // of r
  double along;       // <c, s>
};

// The same for the levels u of r.
struct LevelSums {
  double along_residual;  // <r, u>
  double along_centre;    // <c, u>
  double squares;         // of u
};

// Bytes of the factors before a refine code.
inline constexpr std::size_t kRefineFactorBytes = 2 * sizeof(float);

struct Kernels {
  const char* isa;  // "baseline", "avx2", "avx512"

  // --- exact distances on float32 rows -------------------------------------------------------
  // For i in [0, n): row r = rows[i] of `base` (r * stride floats from its start), or row i itself
  // if rows is null. One row's result depends on nothing but the query, the row and dim: not on n,
  // not on the order, not on whether a multi-query kernel computed it.
  // out[i] = sum (q - x)^2
  void (*l2sq_rows)(const float* query, const float* base, std::size_t stride,
                    const std::uint32_t* rows, std::size_t n, std::size_t dim, float* out) noexcept;
  // out[i] = <q, x>
  void (*dot_rows)(const float* query, const float* base, std::size_t stride,
                   const std::uint32_t* rows, std::size_t n, std::size_t dim, float* out) noexcept;
  // dots[i] = <q, x>, norms[i] = <x, x>, in double precision: products are exact, and the order of
  // sums is the same on every instruction set, so all give the same bits. With q = x the two are
  // equal.
  void (*dot_norm_rows)(const float* query, const float* base, std::size_t stride,
                        const std::uint32_t* rows, std::size_t n, std::size_t dim, double* dots,
                        double* norms) noexcept;
  // Brute force: queries [m, dim] x rows [n, dim] dense -> out [m, n], row-major, each value
  // bit-identical to l2sq_rows / dot_rows. Register-blocked over queries and rows.
  void (*l2sq_block)(const float* queries, std::size_t m, const float* rows, std::size_t n,
                     std::size_t dim, float* out) noexcept;
  void (*dot_block)(const float* queries, std::size_t m, const float* rows, std::size_t n,
                    std::size_t dim, float* out) noexcept;

  // --- centroids as scaled half precision ------------------------------------------------------
  // out[i] = sum (q - scales[r] * half[r])^2 for r = rows[i]; base [*, padded_dim] IEEE half.
  void (*l2sq_half_rows)(const float* query, const std::uint16_t* base, const float* scales,
                         const std::uint32_t* rows, std::size_t n, std::size_t padded_dim,
                         float* out) noexcept;
  // out[i] = scale * half[i]
  void (*decode_half)(const std::uint16_t* half, float scale, std::size_t n, float* out) noexcept;
  // half[i] = round-to-nearest-even(values[i] * inverse_scale)
  void (*encode_half)(const float* values, float inverse_scale, std::size_t n,
                      std::uint16_t* half) noexcept;

  // --- rotation --------------------------------------------------------------------------------
  // x[i] = -x[i] where bit i of `signs` (little-endian bytes) is set; n a multiple of 64.
  void (*flip_signs)(const std::uint8_t* signs, std::size_t n, float* x) noexcept;
  // In-place Walsh-Hadamard transform of n = 2^p >= 64 values (natural order), times `scale`.
  void (*hadamard)(float* x, std::size_t n, float scale) noexcept;
  // (x_i, x_{i + n/2}) -> (x_i + x_{i + n/2}, x_i - x_{i + n/2}); n a multiple of 64.
  void (*kac_step)(float* x, std::size_t n) noexcept;

  // --- query preparation -----------------------------------------------------------------------
  // Builds the table of a query [padded_dim]. A zero query gives step = 0 and an all-zero table.
  TableScale (*build_table)(const float* query, std::size_t padded_dim,
                            std::uint8_t* table) noexcept;
  // query ~ step * (128 * high + low), high in [-127, 127], low in [-64, 64], rounded to nearest;
  // returns step (0 for a zero query).
  float (*quantize_query)(const float* query, std::size_t padded_dim, std::int8_t* high,
                          std::int8_t* low) noexcept;

  // --- first stage: scan of binary codes -------------------------------------------------------
  // The integer look-up sums of one block: sums[lane] = sum over groups of table[m][nibble]. The
  // 16-bit accumulators are widened every 1,024 groups, so any padded_dim is exact.
  void (*scan_sums)(const std::uint8_t* block, const std::uint8_t* table, std::size_t padded_dim,
                    std::uint32_t* sums) noexcept;
  // Scans `count` children in ceil(count / 32) consecutive blocks. For each child i with
  //   value = base + (f_add[i] + f_scale[i] * (step * sum[i] + offset))  < threshold
  // appends first + i to out_index and value to out_value, in ascending i; returns how many.
  // out_index and out_value have room for count rounded up to 32, plus 32. Lanes past count are
  // never reported. A NaN value is never reported. `blocks` is 64-byte aligned. Factors of the
  // lanes past count are 0. Prefetches ahead, past the end on at
  // `next`: the blocks that will be scanned next, or any address.
  std::size_t (*scan_blocks)(const std::uint8_t* blocks, std::size_t count, const ScanQuery& query,
                             std::size_t padded_dim, float base, float threshold,
                             std::uint32_t first, const std::uint8_t* next,
                             std::uint32_t* out_index, float* out_value) noexcept;

  // The same for several queries over the same children: each task gets what scan_blocks would give
  // it, and `found`. Codes are unpacked once for several tasks.
  void (*scan_blocks_many)(const std::uint8_t* blocks, std::size_t count, std::size_t padded_dim,
                           std::uint32_t first, const std::uint8_t* next, ScanTask* tasks,
                           std::size_t num_tasks) noexcept;

  // --- second stage: refine codes --------------------------------------------------------------
  // Bounds of n rows: row rows[i] lies at codes + rows[i] * row_stride and holds f_add and f_scale
  // (f32 each), then its refine code x. With dot = 128 * <x, high> + <x, low>, an exact integer for
  // every bits in [2, 9] and padded_dim up to 65,536, converted to float once,
  //   estimate = base[i] + (f_add + f_scale * (step * dot + offset))
  //   lower = estimate - f_scale * spread[i],  upper = estimate + f_scale * spread[i].
  // Of each row with lower < threshold appends rows[i], lower and upper to the outputs, in order;
  // returns how many. NaN never passes. The outputs have room for n + 16. Prefetches ahead.
  std::size_t (*refine_rows)(const std::uint8_t* codes, std::size_t row_stride,
                             const std::uint32_t* rows, std::size_t n, unsigned bits,
                             const RefineQuery& query, std::size_t padded_dim, const float* base,
                             const float* spread, float threshold, std::uint32_t* out_row,
                             float* out_lower, float* out_upper) noexcept;

  // --- selection -------------------------------------------------------------------------------
  // One of the n values, such that at least `least` of them are at or below it, and at most `most`
  // unless equal values forbid it: then, and for least == most, the least-th smallest. 1 <= least
  // <= n, least <= most; values hold no NaN.
  float (*find_cut)(const float* values, std::size_t n, std::size_t least,
                    std::size_t most) noexcept;
  // Appends the places i with above < values[i] <= limit to out_index and these values to
  // out_value, in ascending i; returns how many. The outputs have room for n + 16.
  std::size_t (*take_between)(const float* values, std::size_t n, float above, float limit,
                              std::uint32_t* out_index, float* out_value) noexcept;
  // ranks[i] = the place of values[i] in ascending order, ties by i. n^2 / width steps: for few
  // values. No NaN.
  void (*rank_values)(const float* values, std::size_t n, std::uint32_t* ranks) noexcept;

  // --- encoding ------------------------------------------------------------------------------
  // Bit i of `bits` [padded_dim / 8] (little-endian bytes) is [residual[i] >= 0].
  SignSums (*encode_signs)(const float* residual, const float* centre, std::size_t padded_dim,
                           std::uint8_t* bits) noexcept;
  // u = sgn(r) * (min(2^(bits-1) - 1, floor(|r| * inverse_width)) + 1/2) for each residual r, and
  // values = u + (2^bits - 1) / 2. bits is 2 to 9; r * inverse_width is finite.
  LevelSums (*encode_levels)(const float* residual, const float* centre, std::size_t padded_dim,
                             float inverse_width, unsigned bits, std::uint16_t* values) noexcept;

  // --- build -----------------------------------------------------------------------------------
  // out [m, n] = a [m, dim] * b [n, dim]^T, all row-major and dense. One result may depend on its
  // place in the block in the last bits, so callers keep block borders independent of threads.
  void (*gemm_nt)(const float* a, std::size_t m, const float* b, std::size_t n, std::size_t dim,
                  float* out) noexcept;
  // For each row i of dots [m, n]: best[i] = the smallest j minimising  bias[j] - dots[i][j], and
  // best_value[i] that minimum. n >= 1.
  void (*argmin_rows)(const float* dots, std::size_t m, std::size_t n, const float* bias,
                      std::uint32_t* best, float* best_value) noexcept;
  // sums[j] += rows[i][j] for the rows `members` [n] of `base` [*, dim], one row after the other.
  void (*add_rows)(const float* base, const std::uint32_t* members, std::size_t n, std::size_t dim,
                   double* sums) noexcept;
};

extern const Kernels kBaseline;
#if defined(__x86_64__)
extern const Kernels kAvx2;
extern const Kernels kAvx512;
#endif

}  // namespace cairn::kernels

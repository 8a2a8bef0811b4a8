// Plain loops that any machine runs, written so that compilers vectorise them for what the target
// always has (SSE2, NEON). They are also the definition that the other tables are measured against.

#define Eigen Eigen_baseline
#include "quantize/kernels/constants_body.h"
#include "quantize/kernels/gemm_body.h"
#include "quantize/kernels/kernel_table.h"
#include "quantize/kernels/sum_body.h"

namespace cairn::kernels {
namespace {

constexpr std::size_t kLanes = 16;

// Four floats that may lie anywhere: what every 64-bit machine adds at once.
using Quad [[gnu::vector_size(16), gnu::aligned(4), gnu::may_alias]] = float;

Quad load(const float* values) noexcept { return *reinterpret_cast<const Quad*>(values); }

// A row's sum runs over 16 interleaved lanes, folded in halves: the order never varies.
struct Accumulator {
  Quad part[4] = {};

  float total() const noexcept {
    const Quad folded = (part[0] + part[2]) + (part[1] + part[3]);
    return (folded[0] + folded[2]) + (folded[1] + folded[3]);
  }
};

// Sums term(d) over [0, dim): four at a time, then the last ones alone.
template <typename Term>
float sum_terms(std::size_t dim, Term&& term) noexcept {
  Accumulator sum;
  std::size_t d = 0;
  for (; d + kLanes <= dim; d += kLanes) {
    for (std::size_t i = 0; i < 4; ++i) sum.part[i] += term.four(d + 4 * i);
  }
  for (std::size_t i = 0; d < dim; ++d, ++i) sum.part[i / 4][i % 4] += term.one(d);
  return sum.total();
}

struct SquaredDifference {
  const float* q;
  const float* x;
  float one(std::size_t d) const noexcept { return (q[d] - x[d]) * (q[d] - x[d]); }
  Quad four(std::size_t d) const noexcept {
    const Quad difference = load(q + d) - load(x + d);
    return difference * difference;
  }
};

struct Product {
  const float* q;
  const float* x;
  float one(std::size_t d) const noexcept { return q[d] * x[d]; }
  Quad four(std::size_t d) const noexcept { return load(q + d) * load(x + d); }
};

float l2sq(const float* q, const float* x, std::size_t dim) noexcept {
  return sum_terms(dim, SquaredDifference{q, x});
}

float dot(const float* q, const float* x, std::size_t dim) noexcept {
  return sum_terms(dim, Product{q, x});
}

const float* row_at(const float* base, std::size_t stride, const std::uint32_t* rows,
                    std::size_t i) noexcept {
  return base + (rows != nullptr ? rows[i] : i) * stride;
}

void l2sq_rows(const float* query, const float* base, std::size_t stride, const std::uint32_t* rows,
               std::size_t n, std::size_t dim, float* out) noexcept {
  for (std::size_t i = 0; i < n; ++i) out[i] = l2sq(query, row_at(base, stride, rows, i), dim);
}

void dot_rows(const float* query, const float* base, std::size_t stride, const std::uint32_t* rows,
              std::size_t n, std::size_t dim, float* out) noexcept {
  for (std::size_t i = 0; i < n; ++i) out[i] = dot(query, row_at(base, stride, rows, i), dim);
}

void l2sq_block(const float* queries, std::size_t m, const float* rows, std::size_t n,
                std::size_t dim, float* out) noexcept {
  for (std::size_t j = 0; j < n; ++j) {
    for (std::size_t i = 0; i < m; ++i) {
      out[i * n + j] = l2sq(queries + i * dim, rows + j * dim, dim);
    }
  }
}

void dot_block(const float* queries, std::size_t m, const float* rows, std::size_t n,
               std::size_t dim, float* out) noexcept {
  for (std::size_t j = 0; j < n; ++j) {
    for (std::size_t i = 0; i < m; ++i) {
      out[i * n + j] = dot(queries + i * dim, rows + j * dim, dim);
    }
  }
}

// A normal half needs its exponent moved, infinity and NaN a second time to reach the top;
// sub-normal ones are integers in units of 2^-24.
float half_to_float(std::uint16_t half) noexcept {
  constexpr std::uint32_t kRebias = (127u - 15u) << 23;
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
  const std::uint32_t magnitude = half & 0x7FFFu;
  const std::uint32_t moved = (magnitude << 13) + (magnitude >= 0x7C00u ? 2 * kRebias : kRebias);
  const float tiny = static_cast<float>(static_cast<std::int32_t>(magnitude)) * 0x1.0p-24f;
  const std::uint32_t bits = magnitude < 0x400u ? __builtin_bit_cast(std::uint32_t, tiny) : moved;
  return __builtin_bit_cast(float, bits | sign);
}

// Round to nearest even; too large becomes infinity, NaN stays a (quiet) NaN.
std::uint16_t float_to_half(float value) noexcept {
  const auto bits = __builtin_bit_cast(std::uint32_t, value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7FFFFFFFu;
  std::uint32_t half;
  if (magnitude > 0x7F800000u) {
    half = 0x7E00u | ((magnitude >> 13) & 0x3FFu);
  } else if (magnitude >= 0x477FF000u) {  // 65520 and above round to infinity
    half = 0x7C00u;
  } else if (magnitude >= 0x38800000u) {  // 2^-14 and above are normal halves
    const std::uint32_t odd = (magnitude >> 13) & 1u;
    half = (magnitude - 0x38000000u + 0xFFFu + odd) >> 13;
  } else {
    // Adding 0.5 puts the unit of a sub-normal half, 2^-24, at the last bit of the sum.
    const float sum = __builtin_bit_cast(float, magnitude) + 0.5f;
    half = __builtin_bit_cast(std::uint32_t, sum) - 0x3F000000u;
  }
  return static_cast<std::uint16_t>(half | sign);
}

void l2sq_half_rows(const float* query, const std::uint16_t* base, const float* scales,
                    const std::uint32_t* rows, std::size_t n, std::size_t padded_dim,
                    float* out) noexcept {
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint16_t* const half = base + rows[i] * padded_dim;
    const float scale = scales[rows[i]];
    float decoded[64];
    Accumulator sum;
    for (std::size_t d = 0; d < padded_dim; d += 64) {
      for (std::size_t j = 0; j < 64; ++j) decoded[j] = scale * half_to_float(half[d + j]);
      const SquaredDifference term{query + d, decoded};
      for (std::size_t j = 0; j < 64; j += 4) sum.part[j / 4 % 4] += term.four(j);
    }
    out[i] = sum.total();
  }
}

void decode_half(const std::uint16_t* half, float scale, std::size_t n, float* out) noexcept {
  for (std::size_t i = 0; i < n; ++i) out[i] = scale * half_to_float(half[i]);
}

void encode_half(const float* values, float inverse_scale, std::size_t n,
                 std::uint16_t* half) noexcept {
  for (std::size_t i = 0; i < n; ++i) half[i] = float_to_half(values[i] * inverse_scale);
}

void flip_signs(const std::uint8_t* signs, std::size_t n, float* x) noexcept {
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t flip = static_cast<std::uint32_t>((signs[i / 8] >> (i % 8)) & 1u) << 31;
    x[i] = __builtin_bit_cast(float, __builtin_bit_cast(std::uint32_t, x[i]) ^ flip);
  }
}

// Strides ascend on every instruction set, so that all of them round alike.
void hadamard(float* x, std::size_t n, float scale) noexcept {
  for (std::size_t stride = 1; stride < n; stride *= 2) {
    for (std::size_t start = 0; start < n; start += 2 * stride) {
      for (std::size_t i = start; i < start + stride; ++i) {
        const float a = x[i];
        const float b = x[i + stride];
        x[i] = a + b;
        x[i + stride] = a - b;
      }
    }
  }
  for (std::size_t i = 0; i < n; ++i) x[i] *= scale;
}

void kac_step(float* x, std::size_t n) noexcept {
  float* const upper = x + n / 2;
  for (std::size_t i = 0; i < n / 2; ++i) {
    const float a = x[i];
    const float b = upper[i];
    x[i] = a + b;
    upper[i] = a - b;
  }
}

float magnitude(float value) noexcept { return value < 0 ? -value : value; }
float negative_part(float value) noexcept { return value < 0 ? value : 0; }

struct NegativePart {
  const float* q;
  float one(std::size_t d) const noexcept { return negative_part(q[d]); }
  Quad four(std::size_t d) const noexcept {
    return Quad{one(d), one(d + 1), one(d + 2), one(d + 3)};
  }
};

// (s - least) * inverse_step + bias for the sub-sets s = {}, b, a, a + b of a pair of dimensions.
void scale_pair(float a, float b, float inverse_step, float bias, float (&out)[4]) noexcept {
  const float least = negative_part(a) + negative_part(b);
  out[0] = (0 - least) * inverse_step + bias;
  out[1] = (b - least) * inverse_step + bias;
  out[2] = (a - least) * inverse_step + bias;
  out[3] = ((a + b) - least) * inverse_step + bias;
}

// Arithmetic is in a fixed order and every rounding is explicit, so the same query gives the same
// bytes on every instruction set. Rounding is monotone, hence no entry falls below its group's
// least sum.
TableScale build_table(const float* query, std::size_t padded_dim, std::uint8_t* table) noexcept {
  float greatest = 0;
  for (std::size_t d = 0; d < padded_dim; d += 4) {
    const float* const q = query + d;
    const float range = (magnitude(q[0]) + magnitude(q[1])) + (magnitude(q[2]) + magnitude(q[3]));
    if (range > greatest) greatest = range;
  }
  const float low = sum_terms(padded_dim, NegativePart{query});
  if (!(greatest >= kLeastScale && greatest <= kGreatestScale)) {
    for (std::size_t i = 0; i < padded_dim * 4; ++i) table[i] = 0;
    return {0, low};
  }
  const float inverse_step = kTableLevels / greatest;
  for (std::size_t d = 0; d < padded_dim; d += 4) {
    const float* const q = query + d;
    float upper[4];
    float lower[4];
    scale_pair(q[0], q[1], inverse_step, 0.5f, upper);
    scale_pair(q[2], q[3], inverse_step, 0, lower);
    for (std::size_t z = 0; z < 16; ++z) {
      table[4 * d + z] = static_cast<std::uint8_t>(upper[z >> 2] + lower[z & 3]);
    }
  }
  return {greatest / kTableLevels, low};
}

float quantize_query(const float* query, std::size_t padded_dim, std::int8_t* high,
                     std::int8_t* low) noexcept {
  float largest = 0;
  for (std::size_t d = 0; d < padded_dim; ++d) {
    if (magnitude(query[d]) > largest) largest = magnitude(query[d]);
  }
  const bool usable = largest >= kLeastScale && largest <= kGreatestScale;
  const float inverse_step = usable ? kQueryLevels / largest : 0;
  for (std::size_t d = 0; d < padded_dim; ++d) {
    // Adding and taking away 1.5 * 2^23 rounds to the nearest integer, ties to even.
    constexpr float kRounder = 12582912.0f;
    const float nearest = (usable ? query[d] : 0.0f) * inverse_step + kRounder - kRounder;
    const auto level = static_cast<std::int32_t>(nearest);
    const std::int32_t upper = (level + 64) >> 7;
    high[d] = static_cast<std::int8_t>(upper);
    low[d] = static_cast<std::int8_t>(level - 128 * upper);
  }
  return usable ? largest / kQueryLevels : 0;
}

constexpr std::uint8_t kLaneOfByte[16] = {0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15};

void scan_sums(const std::uint8_t* block, const std::uint8_t* table, std::size_t padded_dim,
               std::uint32_t* sums) noexcept {
  std::uint32_t lower[16] = {};
  std::uint32_t upper[16] = {};
  for (std::size_t m = 0; m < padded_dim / 4; ++m) {
    const std::uint8_t* const entries = table + 16 * m;
    for (std::size_t j = 0; j < 16; ++j) {
      const std::uint8_t code = block[16 * m + j];
      lower[j] += entries[code & 15];
      upper[j] += entries[code >> 4];
    }
  }
  for (std::size_t j = 0; j < 16; ++j) {
    sums[kLaneOfByte[j]] = lower[j];
    sums[kLaneOfByte[j] + 16] = upper[j];
  }
}

std::size_t scan_blocks(const std::uint8_t* blocks, std::size_t count, const ScanQuery& query,
                        std::size_t padded_dim, float base, float threshold, std::uint32_t first,
                        const std::uint8_t* /*next*/, std::uint32_t* out_index,
                        float* out_value) noexcept {
  std::size_t found = 0;
  for (std::size_t begin = 0; begin < count; begin += kBlockSize) {
    std::uint32_t sums[kBlockSize];
    scan_sums(blocks, query.table, padded_dim, sums);
    const auto* const f_add = reinterpret_cast<const float*>(blocks + block_code_bytes(padded_dim));
    const float* const f_scale = f_add + kBlockSize;
    const std::size_t lanes = count - begin < kBlockSize ? count - begin : kBlockSize;
    for (std::size_t i = 0; i < lanes; ++i) {
      const float inner = query.step * static_cast<float>(sums[i]) + query.offset;
      const float value = base + (f_add[i] + f_scale[i] * inner);
      out_index[found] = first + static_cast<std::uint32_t>(begin + i);
      out_value[found] = value;
      found += value < threshold ? 1 : 0;
    }
    blocks += block_bytes(padded_dim);
  }
  return found;
}

void scan_blocks_many(const std::uint8_t* blocks, std::size_t count, std::size_t padded_dim,
                      std::uint32_t first, const std::uint8_t* /*next*/, ScanTask* tasks,
                      std::size_t num_tasks) noexcept {
  for (std::size_t i = 0; i < num_tasks; ++i) {
    ScanTask& task = tasks[i];
    task.found = scan_blocks(blocks, count, task.query, padded_dim, task.base, task.threshold,
                             first, nullptr, task.out_index, task.out_value);
  }
}

// Adds the section of `width` bits of one group of 64 dimensions, shifted into place, to `values`.
void unpack_section(const std::uint8_t* section, unsigned width, unsigned shift,
                    std::uint16_t* values) noexcept {
  if (width == 1) {
    for (std::size_t i = 0; i < 64; ++i) {
      const unsigned bit = (section[i / 8] >> (i % 8)) & 1u;
      values[i] = static_cast<std::uint16_t>(values[i] + (bit << shift));
    }
    return;
  }
  const std::size_t bytes = 8 * width;
  const unsigned mask = (1u << width) - 1;
  for (unsigned part = 0; part < 8 / width; ++part) {
    for (std::size_t i = 0; i < bytes; ++i) {
      const unsigned field = (section[i] >> (part * width)) & mask;
      std::uint16_t& value = values[part * bytes + i];
      value = static_cast<std::uint16_t>(value + (field << shift));
    }
  }
}

float refine_dot(const std::uint8_t* group, unsigned bits, const RefineQuery& query,
                 std::size_t padded_dim) noexcept {
  std::int64_t high_sum = 0;
  std::int64_t low_sum = 0;
  for (std::size_t d = 0; d < padded_dim; d += 64) {
    std::uint16_t values[64] = {};
    unsigned shift = 0;
    for (unsigned width = 8; width > 0; width /= 2) {
      if ((bits & width) == 0) continue;
      unpack_section(group, width, shift, values);
      group += 8 * width;
      shift += width;
    }
    std::int32_t high_group = 0;
    std::int32_t low_group = 0;
    for (std::size_t j = 0; j < 64; ++j) {
      high_group += values[j] * query.high[d + j];
      low_group += values[j] * query.low[d + j];
    }
    high_sum += high_group;
    low_sum += low_group;
  }
  return static_cast<float>(128 * high_sum + low_sum);
}

std::size_t refine_rows(const std::uint8_t* codes, std::size_t row_stride,
                        const std::uint32_t* rows, std::size_t n, unsigned bits,
                        const RefineQuery& query, std::size_t padded_dim, const float* base,
                        const float* spread, float threshold, std::uint32_t* out_row,
                        float* out_lower, float* out_upper) noexcept {
  std::size_t found = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint8_t* const row = codes + rows[i] * row_stride;
    float factors[2];
    __builtin_memcpy(factors, row, sizeof(factors));
    const float dot = refine_dot(row + kRefineFactorBytes, bits, query, padded_dim);
    const float inner = query.step * dot + query.offset;
    const float estimate = base[i] + (factors[0] + factors[1] * inner);
    const float error = factors[1] * spread[i];
    out_row[found] = rows[i];
    out_lower[found] = estimate - error;
    out_upper[found] = estimate + error;
    found += estimate - error < threshold ? 1 : 0;
  }
  return found;
}

// The integer that sorts as the float does, and back.
std::int32_t ordered_bits(float value) noexcept {
  std::int32_t bits;
  __builtin_memcpy(&bits, &value, sizeof(bits));
  return bits < 0 ? bits ^ 0x7FFFFFFF : bits;
}

float from_ordered_bits(std::int32_t bits) noexcept {
  if (bits < 0) bits ^= 0x7FFFFFFF;
  float value;
  __builtin_memcpy(&value, &bits, sizeof(value));
  return value;
}

// Bisection between the least and the greatest value.
float find_cut(const float* values, std::size_t n, std::size_t least, std::size_t most) noexcept {
  float smallest = values[0];
  float greatest = values[0];
  for (std::size_t i = 1; i < n; ++i) {
    if (values[i] < smallest) smallest = values[i];
    if (values[i] > greatest) greatest = values[i];
  }
  std::int64_t low = std::int64_t{ordered_bits(smallest)} - 1;  // too few values are at or below
  std::int64_t high = ordered_bits(greatest);                   // enough are
  while (high - low > 1) {
    const std::int64_t middle = low + (high - low) / 2;
    const float cut = from_ordered_bits(static_cast<std::int32_t>(middle));
    std::size_t count = 0;
    for (std::size_t i = 0; i < n; ++i) count += values[i] <= cut ? 1 : 0;
    (count < least ? low : high) = middle;
    if (count >= least && count <= most) break;
  }
  const float cut = from_ordered_bits(static_cast<std::int32_t>(high));
  float found = smallest;
  for (std::size_t i = 0; i < n; ++i) {
    if (values[i] <= cut && values[i] > found) found = values[i];
  }
  return found;
}

std::size_t take_between(const float* values, std::size_t n, float above, float limit,
                         std::uint32_t* out_index, float* out_value) noexcept {
  std::size_t found = 0;
  for (std::size_t i = 0; i < n; ++i) {
    out_index[found] = static_cast<std::uint32_t>(i);
    out_value[found] = values[i];
    found += above < values[i] && values[i] <= limit ? 1 : 0;
  }
  return found;
}

void rank_values(const float* values, std::size_t n, std::uint32_t* ranks) noexcept {
  for (std::size_t i = 0; i < n; ++i) {
    std::uint32_t rank = 0;
    for (std::size_t j = 0; j < i; ++j) rank += values[j] <= values[i] ? 1 : 0;
    for (std::size_t j = i + 1; j < n; ++j) rank += values[j] < values[i] ? 1 : 0;
    ranks[i] = rank;
  }
}

SignSums encode_signs(const float* residual, const float* centre, std::size_t padded_dim,
                      std::uint8_t* bits) noexcept {
  SignSums sums{};
  for (std::size_t byte = 0; byte < padded_dim / 8; ++byte) {
    unsigned value = 0;
    for (std::size_t d = byte * 8; d < byte * 8 + 8; ++d) {
      const double r = static_cast<double>(residual[d]);
      const double c = static_cast<double>(centre[d]);
      sums.squares += r * r;
      sums.magnitudes += r >= 0 ? r : -r;
      sums.along += r >= 0 ? c : -c;
      value |= (r >= 0 ? 1u : 0u) << d % 8;
    }
    bits[byte] = static_cast<std::uint8_t>(value);
  }
  return sums;
}

LevelSums encode_levels(const float* residual, const float* centre, std::size_t padded_dim,
                        float inverse_width, unsigned bits, std::uint16_t* values) noexcept {
  const int half = 1 << (bits - 1);
  const auto greatest = static_cast<float>(half - 1);
  LevelSums sums{};
  for (std::size_t d = 0; d < padded_dim; ++d) {
    // Clamped before the conversion: a float beyond the range of int has no integer value.
    const float scaled = magnitude(residual[d]) * inverse_width;
    const int level = static_cast<int>(scaled < greatest ? scaled : greatest);
    const int value = residual[d] >= 0 ? half + level : half - 1 - level;
    values[d] = static_cast<std::uint16_t>(value);
    const double u = value - half + 0.5;
    sums.along_residual += u * static_cast<double>(residual[d]);
    sums.along_centre += u * static_cast<double>(centre[d]);
    sums.squares += u * u;
  }
  return sums;
}

void argmin_rows(const float* dots, std::size_t m, std::size_t n, const float* bias,
                 std::uint32_t* best, float* best_value) noexcept {
  for (std::size_t i = 0; i < m; ++i) {
    best[i] = 0;
    best_value[i] = __builtin_inff();
    for (std::size_t j = 0; j < n; ++j) {
      const float value = bias[j] - dots[i * n + j];
      if (value < best_value[i]) {
        best_value[i] = value;
        best[i] = static_cast<std::uint32_t>(j);
      }
    }
  }
}

}  // namespace

constinit const Kernels kBaseline{
    .isa = "baseline",
    .l2sq_rows = &l2sq_rows,
    .dot_rows = &dot_rows,
    .dot_norm_rows = &dot_norm_rows,
    .l2sq_block = &l2sq_block,
    .dot_block = &dot_block,
    .l2sq_half_rows = &l2sq_half_rows,
    .decode_half = &decode_half,
    .encode_half = &encode_half,
    .flip_signs = &flip_signs,
    .hadamard = &hadamard,
    .kac_step = &kac_step,
    .build_table = &build_table,
    .quantize_query = &quantize_query,
    .scan_sums = &scan_sums,
    .scan_blocks = &scan_blocks,
    .scan_blocks_many = &scan_blocks_many,
    .refine_rows = &refine_rows,
    .find_cut = &find_cut,
    .take_between = &take_between,
    .rank_values = &rank_values,
    .encode_signs = &encode_signs,
    .encode_levels = &encode_levels,
    .gemm_nt = &gemm_nt,
    .argmin_rows = &argmin_rows,
    .add_rows = &add_rows,
};

}  // namespace cairn::kernels

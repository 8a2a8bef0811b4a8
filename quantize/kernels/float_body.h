#pragma once

// Exact distances on float32 and half-precision rows, and the arg-min of the build.
//
// One accumulation scheme serves every kernel here, which is what makes a row's result independent
// of the call that computed it: vector c of the row goes to accumulator c mod 2, a partial last
// vector is padded with zeros, then sum(accumulator 0 + accumulator 1). Speed comes from several
// rows (and queries) in flight, each with its own pair of accumulators.

#include "quantize/kernels/vector_body.h"

namespace cairn::kernels {
namespace {

struct SquaredDifference {
  static Floats add(Floats q, Floats x, Floats sum) noexcept {
    const Floats difference = q - x;
    return fma(difference, difference, sum);
  }
};

struct Product {
  static Floats add(Floats q, Floats x, Floats sum) noexcept { return fma(q, x, sum); }
};

// The sums of Q queries against R rows, with the loads of one step shared between them.
template <typename Term, std::size_t Q, std::size_t R>
struct Tile {
  Floats sums[2][Q * R];

  template <std::size_t Parity, typename Load>
  void add(const float* const (&q)[Q], const float* const (&x)[R], std::size_t d,
           Load load_at) noexcept {
    Floats xs[R];
#pragma GCC unroll 8
    for (std::size_t j = 0; j < R; ++j) xs[j] = load_at(x[j] + d);
    if constexpr (Q > 1) {
#pragma GCC unroll 8
      for (std::size_t j = 0; j < R; ++j) pin(xs[j]);
    }
#pragma GCC unroll 8
    for (std::size_t i = 0; i < Q; ++i) {
      Floats qs = load_at(q[i] + d);
      if constexpr (R > 1) pin(qs);
#pragma GCC unroll 8
      for (std::size_t j = 0; j < R; ++j) {
        sums[Parity][i * R + j] = Term::add(qs, xs[j], sums[Parity][i * R + j]);
      }
    }
  }

  // Rows next[0 .. R) are fetched along the way.
  template <bool Prefetch>
  void run(const float* const (&q)[Q], const float* const (&x)[R], const float* const (&next)[R],
           std::size_t dim) noexcept {
#pragma GCC unroll 16
    for (std::size_t i = 0; i < Q * R; ++i) sums[0][i] = sums[1][i] = Floats(0.0f);
    std::size_t d = 0;
    for (; d + 2 * kWidth <= dim; d += 2 * kWidth) {
      if constexpr (Prefetch) {
#pragma GCC unroll 8
        for (std::size_t j = 0; j < R; ++j) {
          prefetch(next[j] + d);
          if constexpr (kWidth == 16) prefetch(next[j] + d + kWidth);
        }
      }
      add<0>(q, x, d, &load);
      add<1>(q, x, d + kWidth, &load);
    }
    const auto load_rest = [&](const float* at) noexcept { return load_tail(at, dim % kWidth); };
    if (d + kWidth <= dim) {
      add<0>(q, x, d, &load);
      if (d + kWidth < dim) add<1>(q, x, d + kWidth, load_rest);
    } else if (d < dim) {
      add<0>(q, x, d, load_rest);
    }
  }

  void totals(float (&out)[Q * R]) noexcept {
    constexpr std::size_t kQuads = Q * R / 4 * 4;
#pragma GCC unroll 16
    for (std::size_t i = 0; i < Q * R; ++i) sums[0][i] += sums[1][i];
#pragma GCC unroll 4
    for (std::size_t i = 0; i < kQuads; i += 4) {
      _mm_storeu_ps(out + i, sum4(sums[0][i], sums[0][i + 1], sums[0][i + 2], sums[0][i + 3]));
    }
#pragma GCC unroll 4
    for (std::size_t i = kQuads; i < Q * R; ++i) out[i] = sum(sums[0][i]);
  }
};

inline const float* row_at(const float* base, std::size_t stride, const std::uint32_t* rows,
                           std::size_t i) noexcept {
  return base + (rows != nullptr ? rows[i] : i) * stride;
}

constexpr std::size_t kRowsInFlight = 4;

template <typename Term>
void sum_rows(const float* query, const float* base, std::size_t stride, const std::uint32_t* rows,
              std::size_t n, std::size_t dim, float* out) noexcept {
  const float* const q[1] = {query};
  const RowsAhead ahead(dim * sizeof(float));
  std::size_t i = 0;
  for (; i + kRowsInFlight <= n; i += kRowsInFlight) {
    const float* x[kRowsInFlight];
    const float* next[kRowsInFlight];
    for (std::size_t j = 0; j < kRowsInFlight; ++j) {
      x[j] = row_at(base, stride, rows, i + j);
      next[j] = row_at(base, stride, rows, ahead.row_after(i + j, n));
    }
    float totals[kRowsInFlight];
    Tile<Term, 1, kRowsInFlight> tile;
    tile.template run<true>(q, x, next, dim);
    tile.totals(totals);
    _mm_storeu_ps(out + i, _mm_loadu_ps(totals));
  }
  for (; i < n; ++i) {
    const float* const x[1] = {row_at(base, stride, rows, i)};
    float totals[1];
    Tile<Term, 1, 1> tile;
    tile.template run<false>(q, x, x, dim);
    tile.totals(totals);
    out[i] = totals[0];
  }
}

void l2sq_rows(const float* query, const float* base, std::size_t stride, const std::uint32_t* rows,
               std::size_t n, std::size_t dim, float* out) noexcept {
  sum_rows<SquaredDifference>(query, base, stride, rows, n, dim, out);
}

void dot_rows(const float* query, const float* base, std::size_t stride, const std::uint32_t* rows,
              std::size_t n, std::size_t dim, float* out) noexcept {
  sum_rows<Product>(query, base, stride, rows, n, dim, out);
}

// AVX-512 has the registers for 4 x 3 pairs of accumulators, AVX2 for 3 x 2.
constexpr std::size_t kTileQueries = kWidth == 16 ? 4 : 3;
constexpr std::size_t kTileRows = kWidth == 16 ? 3 : 2;

template <typename Term, std::size_t Q, std::size_t R>
void block_tile(const float* queries, const float* rows, std::size_t n, std::size_t dim,
                float* out) noexcept {
  const float* q[Q];
  const float* x[R];
  for (std::size_t i = 0; i < Q; ++i) q[i] = queries + i * dim;
  for (std::size_t j = 0; j < R; ++j) x[j] = rows + j * dim;
  float totals[Q * R];
  Tile<Term, Q, R> tile;
  tile.template run<false>(q, x, x, dim);
  tile.totals(totals);
  for (std::size_t i = 0; i < Q; ++i) {
    for (std::size_t j = 0; j < R; ++j) out[i * n + j] = totals[i * R + j];
  }
}

template <typename Term, std::size_t Q>
void block_band(const float* queries, const float* rows, std::size_t count, std::size_t n,
                std::size_t dim, float* out) noexcept {
  std::size_t j = 0;
  for (; j + kTileRows <= count; j += kTileRows) {
    block_tile<Term, Q, kTileRows>(queries, rows + j * dim, n, dim, out + j);
  }
  for (; j < count; ++j) block_tile<Term, Q, 1>(queries, rows + j * dim, n, dim, out + j);
}

// Panels of rows stay in the second-level cache while all queries pass over them.
template <typename Term>
void sum_block(const float* queries, std::size_t m, const float* rows, std::size_t n,
               std::size_t dim, float* out) noexcept {
  constexpr std::size_t kPanelBytes = std::size_t{256} << 10;
  const std::size_t fitting = kPanelBytes / (sizeof(float) * (dim > 0 ? dim : 1)) / kTileRows;
  const std::size_t panel = (fitting > 0 ? fitting : 1) * kTileRows;
  for (std::size_t begin = 0; begin < n; begin += panel) {
    const std::size_t count = n - begin < panel ? n - begin : panel;
    const float* const panel_rows = rows + begin * dim;
    std::size_t i = 0;
    for (; i + kTileQueries <= m; i += kTileQueries) {
      block_band<Term, kTileQueries>(queries + i * dim, panel_rows, count, n, dim,
                                     out + i * n + begin);
    }
    for (; i < m; ++i) {
      block_band<Term, 1>(queries + i * dim, panel_rows, count, n, dim, out + i * n + begin);
    }
  }
}

void l2sq_block(const float* queries, std::size_t m, const float* rows, std::size_t n,
                std::size_t dim, float* out) noexcept {
  sum_block<SquaredDifference>(queries, m, rows, n, dim, out);
}

void dot_block(const float* queries, std::size_t m, const float* rows, std::size_t n,
               std::size_t dim, float* out) noexcept {
  sum_block<Product>(queries, m, rows, n, dim, out);
}

void l2sq_half_rows(const float* query, const std::uint16_t* base, const float* scales,
                    const std::uint32_t* rows, std::size_t n, std::size_t padded_dim,
                    float* out) noexcept {
  const RowsAhead ahead(padded_dim * sizeof(std::uint16_t));
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint16_t* const half = base + rows[i] * padded_dim;
    const std::uint16_t* const next = base + rows[ahead.row_after(i, n)] * padded_dim;
    const Floats scale(scales[rows[i]]);
    Floats sums[4] = {Floats(0.0f), Floats(0.0f), Floats(0.0f), Floats(0.0f)};
    for (std::size_t d = 0; d < padded_dim; d += 4 * kWidth) {
      prefetch(next + d);
      if constexpr (kWidth == 16) prefetch(next + d + 2 * kWidth);
#pragma GCC unroll 4
      for (std::size_t c = 0; c < 4; ++c) {
        const std::size_t at = d + c * kWidth;
        const Floats difference = fnma(scale, load_half(half + at), load(query + at));
        sums[c] = fma(difference, difference, sums[c]);
      }
    }
    out[i] = sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
  }
}

void decode_half(const std::uint16_t* half, float scale, std::size_t n, float* out) noexcept {
  const Floats scales(scale);
  std::size_t i = 0;
  for (; i + kWidth <= n; i += kWidth) (load_half(half + i) * scales).store_unaligned(out + i);
  if (i == n) return;
  std::uint16_t rest[kWidth] = {};
  for (std::size_t j = 0; j < n - i; ++j) rest[j] = half[i + j];
  store_tail(out + i, load_half(rest) * scales, n - i);
}

void encode_half(const float* values, float inverse_scale, std::size_t n,
                 std::uint16_t* half) noexcept {
  const Floats scales(inverse_scale);
  std::size_t i = 0;
  for (; i + kWidth <= n; i += kWidth) store_half(half + i, load(values + i) * scales);
  if (i == n) return;
  std::uint16_t rest[kWidth];
  store_half(rest, load_tail(values + i, n - i) * scales);
  for (std::size_t j = 0; j < n - i; ++j) half[i + j] = rest[j];
}

void argmin_rows(const float* dots, std::size_t m, std::size_t n, const float* bias,
                 std::uint32_t* best, float* best_value) noexcept {
  for (std::size_t i = 0; i < m; ++i) {
    const float* const row = dots + i * n;
    LaneMinimum minimum;
    std::size_t j = 0;
    for (; j + kWidth <= n; j += kWidth) minimum.update(load(bias + j) - load(row + j), j);
    float value;
    std::uint32_t index;
    minimum.reduce(value, index);
    for (; j < n; ++j) {
      const float rest = bias[j] - row[j];
      if (rest < value) {
        value = rest;
        index = static_cast<std::uint32_t>(j);
      }
    }
    best[i] = index;
    best_value[i] = value;
  }
}

}  // namespace
}  // namespace cairn::kernels

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "tests/util/each_isa.h"
#include "tests/util/scalar_kernels.h"

namespace cairn::kernels {
namespace {

constexpr std::size_t kDims[] = {1,  2,   3,   15,  16,  17,   63,   64,
                                 65, 100, 128, 768, 784, 1000, 1536, 4096};
constexpr std::size_t kCounts[] = {0, 1, 2, 3, 4, 5, 8, 13};

// A sum of `dim` products in 8 or more lanes: each lane rounds dim / 8 + 8 times at the most.
double tolerance(std::size_t dim, double magnitude) {
  return (static_cast<double>(dim) / 8 + 8) * 0x1.0p-24 * magnitude;
}

// Rows that start 4 bytes past any alignment a vector load would like, in a wider stride.
struct Fixture {
  std::size_t dim, stride;
  std::vector<float> query, storage;
  std::vector<std::uint32_t> rows;

  Fixture(std::size_t d, std::size_t num_rows, std::size_t picked) : dim(d), stride(d + 3) {
    base::Random random(d * 1000 + num_rows);
    query = scalar::random_floats(d, random);
    storage = scalar::random_floats(num_rows * stride + 1, random);
    rows.resize(picked);
    for (auto& row : rows) row = static_cast<std::uint32_t>(random.below(num_rows));
  }
  const float* base() const { return storage.data() + 1; }
  const float* row(std::size_t i) const { return base() + rows[i] * stride; }
};

class FloatKernels : public EachIsa {};
CAIRN_TEST_EACH_ISA(FloatKernels);

TEST_P(FloatKernels, RowsAgreeWithScalarTwin) {
  for (const std::size_t dim : kDims) {
    for (const std::size_t n : kCounts) {
      const Fixture f(dim, 20, n);
      std::vector<float> distances(n + 1, -7), dots(n + 1, -7);
      std::vector<double> both(n + 1, -7), norms(n + 1, -7);
      kernels().l2sq_rows(f.query.data(), f.base(), f.stride, f.rows.data(), n, dim,
                          distances.data());
      kernels().dot_rows(f.query.data(), f.base(), f.stride, f.rows.data(), n, dim, dots.data());
      kernels().dot_norm_rows(f.query.data(), f.base(), f.stride, f.rows.data(), n, dim,
                              both.data(), norms.data());
      for (std::size_t i = 0; i < n; ++i) {
        const float* const q = f.query.data();
        const double distance = scalar::l2sq(q, f.row(i), dim);
        EXPECT_NEAR(distances[i], distance, tolerance(dim, distance)) << dim;
        EXPECT_NEAR(dots[i], scalar::dot(q, f.row(i), dim),
                    tolerance(dim, scalar::dot_magnitude(q, f.row(i), dim)));
        const double norm = scalar::dot(f.row(i), f.row(i), dim);
        EXPECT_NEAR(norms[i], norm, 1e-15 * norm * static_cast<double>(dim));
        EXPECT_NEAR(both[i], scalar::dot(q, f.row(i), dim),
                    1e-15 * static_cast<double>(dim) * scalar::dot_magnitude(q, f.row(i), dim));
        double self = 0;
        double self_norm = 0;
        const std::uint32_t row = f.rows[i];
        kernels().dot_norm_rows(f.row(i), f.base(), f.stride, &row, 1, dim, &self, &self_norm);
        EXPECT_EQ(norms[i], self);
        EXPECT_EQ(norms[i], self_norm);
      }
      for (const auto& out : {distances, dots}) EXPECT_EQ(out[n], -7);
      for (const auto& out : {both, norms}) EXPECT_EQ(out[n], -7);
    }
  }
}

TEST_P(FloatKernels, RowsWithoutListAreConsecutive) {
  const Fixture f(100, 11, 0);
  std::vector<std::uint32_t> all(11);
  for (std::uint32_t i = 0; i < 11; ++i) all[i] = i;
  std::vector<float> listed(11), implied(11);
  kernels().l2sq_rows(f.query.data(), f.base(), f.stride, all.data(), 11, f.dim, listed.data());
  kernels().l2sq_rows(f.query.data(), f.base(), f.stride, nullptr, 11, f.dim, implied.data());
  EXPECT_EQ(listed, implied);
}

TEST_P(FloatKernels, BlocksAreBitIdenticalToRows) {
  base::Random random(5);
  for (const std::size_t dim : kDims) {
    for (const auto& [m, n] : {std::pair<std::size_t, std::size_t>{1, 1},
                               {2, 3},
                               {4, 3},
                               {5, 7},
                               {9, 100},
                               {0, 4},
                               {4, 0}}) {
      const auto queries = scalar::random_floats(m * dim, random);
      const auto rows = scalar::random_floats(n * dim, random);
      std::vector<float> distances(m * n), dots(m * n), row(n);
      kernels().l2sq_block(queries.data(), m, rows.data(), n, dim, distances.data());
      kernels().dot_block(queries.data(), m, rows.data(), n, dim, dots.data());
      for (std::size_t i = 0; i < m; ++i) {
        kernels().l2sq_rows(queries.data() + i * dim, rows.data(), dim, nullptr, n, dim,
                            row.data());
        EXPECT_TRUE(std::equal(row.begin(), row.end(), distances.begin() + i * n)) << dim;
        kernels().dot_rows(queries.data() + i * dim, rows.data(), dim, nullptr, n, dim, row.data());
        EXPECT_TRUE(std::equal(row.begin(), row.end(), dots.begin() + i * n)) << dim;
      }
    }
  }
}

TEST_P(FloatKernels, BlocksSplitLargeRowSetsIntoPanels) {
  base::Random random(6);
  const std::size_t dim = 1000, m = 6, n = 500;
  const auto queries = scalar::random_floats(m * dim, random);
  const auto rows = scalar::random_floats(n * dim, random);
  std::vector<float> block(m * n), row(n);
  kernels().l2sq_block(queries.data(), m, rows.data(), n, dim, block.data());
  for (std::size_t i = 0; i < m; ++i) {
    kernels().l2sq_rows(queries.data() + i * dim, rows.data(), dim, nullptr, n, dim, row.data());
    EXPECT_TRUE(std::equal(row.begin(), row.end(), block.begin() + i * n));
  }
}

TEST_P(FloatKernels, HalfDecodesEveryBitPattern) {
  std::vector<std::uint16_t> halves(65536);
  for (std::size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<std::uint16_t>(i);
  std::vector<float> values(halves.size());
  kernels().decode_half(halves.data(), 0.5f, halves.size(), values.data());
  for (std::size_t i = 0; i < halves.size(); ++i) {
    const double expected = 0.5 * scalar::half_value(halves[i]);
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(values[i])) << i;
    } else {
      EXPECT_EQ(values[i], expected) << i;
    }
  }
}

TEST_P(FloatKernels, HalfEncodingInvertsDecodingAndRoundsToNearestEven) {
  std::vector<float> values;
  std::vector<std::uint16_t> expected;
  for (std::uint32_t half = 0; half < 0x7C00; ++half) {
    const double here = scalar::half_value(static_cast<std::uint16_t>(half));
    const double step =
        half == 0x7BFF ? 32 : scalar::half_value(static_cast<std::uint16_t>(half + 1)) - here;
    const auto even = static_cast<std::uint16_t>(half + (half & 1));
    const std::pair<double, std::uint16_t> cases[] = {
        {here, static_cast<std::uint16_t>(half)},
        {here + 0.5 * step, even},
        {here + 0.49 * step, static_cast<std::uint16_t>(half)},
        {here + 0.51 * step, static_cast<std::uint16_t>(half + 1)}};
    for (const auto& [value, code] : cases) {
      values.push_back(static_cast<float>(value));
      expected.push_back(code);
      values.push_back(-static_cast<float>(value));
      expected.push_back(static_cast<std::uint16_t>(code | 0x8000));
    }
  }
  for (const float large : {65520.0f, 1e6f, std::numeric_limits<float>::infinity()}) {
    values.push_back(large);
    expected.push_back(0x7C00);
  }
  std::vector<std::uint16_t> halves(values.size());
  for (float& value : values) value *= 4;
  kernels().encode_half(values.data(), 0.25f, values.size(), halves.data());
  EXPECT_EQ(halves, expected);
}

TEST_P(FloatKernels, HalfTailsStayInBounds) {
  for (std::size_t n = 0; n <= 40; ++n) {
    base::Random random(n);
    const auto values = scalar::random_floats(n, random);
    std::vector<std::uint16_t> halves(n + 1, 0xABCD);
    std::vector<float> back(n + 1, -7);
    kernels().encode_half(values.data(), 1, n, halves.data());
    kernels().decode_half(halves.data(), 1, n, back.data());
    EXPECT_EQ(halves[n], 0xABCD);
    EXPECT_EQ(back[n], -7);
    for (std::size_t i = 0; i < n; ++i) EXPECT_NEAR(back[i], values[i], 0x1.0p-12);
  }
}

TEST_P(FloatKernels, HalfRowsAgreeWithScalarTwin) {
  for (const std::size_t dim : {64u, 128u, 192u, 832u, 1536u}) {
    base::Random random(dim);
    const std::size_t num_rows = 9;
    const auto query = scalar::random_floats(dim, random);
    const auto values = scalar::random_floats(num_rows * dim, random);
    std::vector<std::uint16_t> halves(values.size());
    kernels().encode_half(values.data(), 2, values.size(), halves.data());
    std::vector<float> scales(num_rows);
    for (std::size_t r = 0; r < num_rows; ++r) scales[r] = 0.25f + 0.1f * static_cast<float>(r);
    const std::vector<std::uint32_t> rows = {3, 8, 0, 0, 5};
    std::vector<float> out(rows.size());
    kernels().l2sq_half_rows(query.data(), halves.data(), scales.data(), rows.data(), rows.size(),
                             dim, out.data());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      double expected = 0;
      for (std::size_t d = 0; d < dim; ++d) {
        const double x = double{scales[rows[i]]} * scalar::half_value(halves[rows[i] * dim + d]);
        expected += (query[d] - x) * (query[d] - x);
      }
      EXPECT_NEAR(out[i], expected, tolerance(dim, expected));
    }
  }
}

TEST_P(FloatKernels, ArgminTakesTheSmallestIndexOfTies) {
  for (std::size_t n = 1; n <= 70; ++n) {
    base::Random random(n);
    const std::size_t m = 20;
    std::vector<float> dots(m * n), bias(n);
    for (float& value : dots) value = static_cast<float>(random.below(4));
    for (float& value : bias) value = static_cast<float>(random.below(4));
    std::vector<std::uint32_t> best(m);
    std::vector<float> values(m);
    kernels().argmin_rows(dots.data(), m, n, bias.data(), best.data(), values.data());
    for (std::size_t i = 0; i < m; ++i) {
      std::size_t expected = 0;
      for (std::size_t j = 1; j < n; ++j) {
        if (bias[j] - dots[i * n + j] < bias[expected] - dots[i * n + expected]) expected = j;
      }
      EXPECT_EQ(best[i], expected) << n;
      EXPECT_EQ(values[i], bias[expected] - dots[i * n + expected]);
    }
  }
}

TEST_P(FloatKernels, ArgminOfInfinitiesIsInRange) {
  const std::vector<float> dots(19, -std::numeric_limits<float>::infinity());
  const std::vector<float> bias(19, 0);
  std::uint32_t best = 99;
  float value = 0;
  kernels().argmin_rows(dots.data(), 1, 19, bias.data(), &best, &value);
  EXPECT_EQ(best, 0u);
  EXPECT_EQ(value, std::numeric_limits<float>::infinity());
}

TEST_P(FloatKernels, MatrixProductAgreesWithScalarTwin) {
  base::Random random(8);
  for (const std::size_t dim : {1u, 3u, 17u, 100u, 784u}) {
    for (const auto& [m, n] :
         {std::pair<std::size_t, std::size_t>{1, 1}, {5, 7}, {64, 33}, {0, 3}}) {
      const auto a = scalar::random_floats(m * dim, random);
      const auto b = scalar::random_floats(n * dim, random);
      std::vector<float> out(m * n + 1, -7);
      kernels().gemm_nt(a.data(), m, b.data(), n, dim, out.data());
      EXPECT_EQ(out[m * n], -7);
      for (std::size_t i = 0; i < m; ++i) {
        for (std::size_t j = 0; j < n; ++j) {
          const float* const x = a.data() + i * dim;
          const float* const y = b.data() + j * dim;
          // One chain of additions over dim: rounding may add up over all of it.
          EXPECT_NEAR(out[i * n + j], scalar::dot(x, y, dim),
                      8 * tolerance(dim, scalar::dot_magnitude(x, y, dim)));
        }
      }
    }
  }
}

}  // namespace
}  // namespace cairn::kernels

#include <algorithm>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "tests/util/each_isa.h"
#include "tests/util/scalar_kernels.h"

namespace cairn::kernels {
namespace {

constexpr std::size_t kPaddedDims[] = {64, 128, 192, 832, 1024, 1088, 1536, 4096, 65536};

class QueryKernels : public EachIsa {};
CAIRN_TEST_EACH_ISA(QueryKernels);

// Query coordinates of mixed size, with exact zeros and a group of negative ones.
std::vector<float> make_query(std::size_t padded_dim) {
  base::Random random(padded_dim);
  auto query = scalar::random_floats(padded_dim, random);
  for (std::size_t d = 0; d < padded_dim; d += 7) query[d] *= 1e-3f;
  for (std::size_t d = 0; d < padded_dim; d += 11) query[d] = 0;
  for (std::size_t d = 8; d < 12; ++d) query[d] = -0.5f;
  return query;
}

TEST_P(QueryKernels, TableHoldsRoundedSubsetSums) {
  for (const std::size_t dim : kPaddedDims) {
    const auto query = make_query(dim);
    std::vector<std::uint8_t> table(dim * 4 + 1, 0xEE);
    const TableScale scale = kernels().build_table(query.data(), dim, table.data());
    ASSERT_GT(scale.step, 0);
    EXPECT_EQ(table.back(), 0xEE);
    double low = 0;
    int greatest = 0;
    for (std::size_t m = 0; m < dim / 4; ++m) {
      double least = 0;
      for (std::size_t j = 0; j < 4; ++j) least += std::min(query[4 * m + j], 0.0f);
      low += least;
      for (unsigned z = 0; z < 16; ++z) {
        double sum = 0;
        for (unsigned j = 0; j < 4; ++j) {
          if ((z >> (3 - j) & 1) != 0) sum += query[4 * m + j];
        }
        const int entry = table[16 * m + z];
        greatest = std::max(greatest, entry);
        // Half a step, and the float rounding of values up to 63.
        ASSERT_NEAR(entry, (sum - least) / scale.step, 0.5 + 63 * 0x1.0p-21) << dim << " " << m;
      }
    }
    EXPECT_EQ(greatest, 63);
    EXPECT_NEAR(scale.low, low, 0x1.0p-24 * -low * (8 + static_cast<double>(dim) / 16));
  }
}

TEST_P(QueryKernels, QuantizedQueryIsWithinHalfAStep) {
  for (const std::size_t dim : kPaddedDims) {
    const auto query = make_query(dim);
    std::vector<std::int8_t> high(dim), low(dim);
    const float step = kernels().quantize_query(query.data(), dim, high.data(), low.data());
    ASSERT_GT(step, 0);
    for (std::size_t d = 0; d < dim; ++d) {
      ASSERT_GE(high[d], -127);
      ASSERT_GE(low[d], -64);
      ASSERT_LE(low[d], 64);
      ASSERT_NEAR(128 * high[d] + low[d], query[d] / step, 0.5 + 16384 * 0x1.0p-22);
    }
  }
}

TEST_P(QueryKernels, ExtremesOfTheQueryStayInRange) {
  for (const float extreme : {1.0f, -1.0f, 3.3333333f, -0.7f, 1e-29f, 4e29f}) {
    std::vector<float> query(64, 0.01f * extreme);
    query[5] = extreme;
    query[6] = -extreme;
    std::vector<std::int8_t> high(64), low(64);
    const float step = kernels().quantize_query(query.data(), 64, high.data(), low.data());
    EXPECT_EQ(std::abs(128 * high[5] + low[5]), 127 * 128 + 63);
    EXPECT_EQ(128 * high[5] + low[5], -(128 * high[6] + low[6]));
    EXPECT_NEAR((128 * high[5] + low[5]) * step, extreme, std::abs(extreme) * 1e-6f);
    std::vector<std::uint8_t> table(256);
    const TableScale scale = kernels().build_table(query.data(), 64, table.data());
    EXPECT_EQ(*std::max_element(table.begin(), table.end()), 63);
    EXPECT_GT(scale.step, 0);
  }
}

TEST_P(QueryKernels, AllResultsAreIdenticalToBaseline) {
  for (const std::size_t dim : kPaddedDims) {
    for (const float size : {1.0f, 1e-6f, 12345.0f}) {
      auto query = make_query(dim);
      for (float& value : query) value *= size;
      std::vector<std::uint8_t> table(dim * 4), baseline_table(dim * 4);
      const TableScale scale = kernels().build_table(query.data(), dim, table.data());
      const TableScale baseline = kBaseline.build_table(query.data(), dim, baseline_table.data());
      EXPECT_EQ(table, baseline_table) << dim;
      EXPECT_EQ(scale.step, baseline.step);
      EXPECT_EQ(scale.low, baseline.low);
      std::vector<std::int8_t> high(dim), low(dim), baseline_high(dim), baseline_low(dim);
      const float step = kernels().quantize_query(query.data(), dim, high.data(), low.data());
      EXPECT_EQ(step, kBaseline.quantize_query(query.data(), dim, baseline_high.data(),
                                               baseline_low.data()));
      EXPECT_EQ(high, baseline_high) << dim;
      EXPECT_EQ(low, baseline_low) << dim;
    }
  }
}

TEST_P(QueryKernels, ZeroAndVanishingQueriesGiveZeros) {
  for (const float value : {0.0f, -0.0f, 1e-40f}) {
    const std::vector<float> query(128, value);
    std::vector<std::uint8_t> table(512, 0xEE);
    const TableScale scale = kernels().build_table(query.data(), 128, table.data());
    EXPECT_EQ(scale.step, 0);
    EXPECT_NEAR(scale.low, 0, 1e-37);
    EXPECT_EQ(table, std::vector<std::uint8_t>(512, 0));
    std::vector<std::int8_t> high(128, 1), low(128, 1);
    EXPECT_EQ(kernels().quantize_query(query.data(), 128, high.data(), low.data()), 0);
    EXPECT_EQ(high, std::vector<std::int8_t>(128, 0));
    EXPECT_EQ(low, std::vector<std::int8_t>(128, 0));
  }
}

}  // namespace
}  // namespace cairn::kernels

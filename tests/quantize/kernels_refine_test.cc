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

constexpr std::size_t kPaddedDims[] = {64, 128, 192, 832, 1024, 1088, 1536, 4096};

class RefineKernels : public EachIsa {};
CAIRN_TEST_EACH_ISA(RefineKernels);

// The dot products alone: factors 0 and 1 leave nothing else in the bounds. `codes` are preceded by
// kRefineFactorBytes that are filled here.
std::vector<float> dots(const Kernels& kernels, std::vector<std::uint8_t>& codes,
                        std::size_t stride, const std::vector<std::uint32_t>& rows, std::size_t n,
                        unsigned bits, const std::vector<std::int8_t>& high,
                        const std::vector<std::int8_t>& low) {
  const float factors[2] = {0, 1};
  for (std::size_t at = 0; at + stride <= codes.size(); at += stride) {
    std::memcpy(codes.data() + at, factors, sizeof(factors));
  }
  const std::vector<float> zeros(n + 1, 0.0f);
  std::vector<std::uint32_t> out_row(n + 17, 0xDEAD);
  std::vector<float> lower(n + 17, -7);
  std::vector<float> upper(n + 17, -7);
  const RefineQuery query{high.data(), low.data(), 1, 0};
  const std::size_t found = kernels.refine_rows(
      codes.data(), stride, rows.data(), n, bits, query, high.size(), zeros.data(), zeros.data(),
      std::numeric_limits<float>::infinity(), out_row.data(), lower.data(), upper.data());
  EXPECT_EQ(found, n);
  EXPECT_EQ(out_row[n + 16], 0xDEADu);
  EXPECT_EQ(lower[n + 16], -7);
  EXPECT_EQ(upper[n + 16], -7);
  for (std::size_t i = 0; i < n; ++i) {
    EXPECT_EQ(out_row[i], rows[i]);
    EXPECT_EQ(lower[i], upper[i]);
  }
  lower.resize(n);
  return lower;
}

struct Query {
  std::vector<std::int8_t> high, low;

  explicit Query(std::size_t dim) : high(dim), low(dim) {
    base::Random random(dim);
    for (auto& value : high)
      value = static_cast<std::int8_t>(static_cast<int>(random.below(255)) - 127);
    for (auto& value : low)
      value = static_cast<std::int8_t>(static_cast<int>(random.below(129)) - 64);
  }
};

TEST_P(RefineKernels, DotsAreExactForEveryWidth) {
  for (unsigned bits = 2; bits <= 9; ++bits) {
    for (const std::size_t dim : kPaddedDims) {
      const Query query(dim);
      base::Random random(bits * 100000 + dim);
      const std::size_t num_rows = 6;
      // An odd stride: rows are unaligned.
      const std::size_t stride = kRefineFactorBytes + refine_code_bytes(dim, bits) + 9;
      std::vector<std::uint8_t> codes(num_rows * stride);
      std::vector<float> expected(num_rows);
      for (std::size_t r = 0; r < num_rows; ++r) {
        std::vector<std::uint16_t> values(dim);
        for (auto& value : values) value = static_cast<std::uint16_t>(random.below(1u << bits));
        const auto packed = scalar::pack_refine(values, bits);
        ASSERT_EQ(packed.size(), refine_code_bytes(dim, bits));
        std::copy(packed.begin(), packed.end(),
                  codes.begin() + static_cast<std::ptrdiff_t>(r * stride + kRefineFactorBytes));
        expected[r] =
            static_cast<float>(scalar::refine_dot(values, query.high.data(), query.low.data()));
      }
      std::vector<std::uint32_t> rows;
      for (std::uint32_t i = 0; i < 37; ++i) rows.push_back(i * 5 % num_rows);
      for (std::size_t n = 0; n <= rows.size(); n += n < 9 ? 1 : 7) {
        const std::vector<float> out =
            dots(kernels(), codes, stride, rows, n, bits, query.high, query.low);
        for (std::size_t i = 0; i < n; ++i)
          EXPECT_EQ(out[i], expected[rows[i]]) << bits << " " << dim;
      }
    }
  }
}

TEST_P(RefineKernels, LargestSumsDoNotOverflow) {
  const std::size_t dim = 65536;
  for (unsigned bits = 2; bits <= 9; ++bits) {
    const std::vector<std::uint16_t> values(dim, static_cast<std::uint16_t>((1u << bits) - 1));
    std::vector<std::uint8_t> codes(kRefineFactorBytes);
    const auto packed = scalar::pack_refine(values, bits);
    codes.insert(codes.end(), packed.begin(), packed.end());
    for (const int sign : {1, -1}) {
      const std::vector<std::int8_t> high(dim, static_cast<std::int8_t>(127 * sign));
      const std::vector<std::int8_t> low(dim, static_cast<std::int8_t>(64 * sign));
      // Four at once and one alone may take different paths.
      const std::vector<std::uint32_t> rows(5, 0);
      for (const float out : dots(kernels(), codes, codes.size(), rows, 5, bits, high, low)) {
        EXPECT_EQ(out, static_cast<float>(scalar::refine_dot(values, high.data(), low.data())))
            << bits;
      }
    }
  }
}

TEST_P(RefineKernels, EachBitLandsInItsPlace) {
  const std::size_t dim = 128;
  for (unsigned bits = 2; bits <= 9; ++bits) {
    for (std::size_t d = 0; d < dim; ++d) {
      for (unsigned bit = 0; bit < bits; ++bit) {
        std::vector<std::uint16_t> values(dim, 0);
        values[d] = static_cast<std::uint16_t>(1u << bit);
        std::vector<std::uint8_t> codes(kRefineFactorBytes);
        const auto packed = scalar::pack_refine(values, bits);
        codes.insert(codes.end(), packed.begin(), packed.end());
        std::vector<std::int8_t> high(dim, 0), low(dim, 0);
        for (std::size_t i = 0; i < dim; ++i) low[i] = static_cast<std::int8_t>(i % 61 + 1);
        const std::vector<std::uint32_t> rows(5, 0);
        for (const float out : dots(kernels(), codes, codes.size(), rows, 5, bits, high, low)) {
          ASSERT_EQ(out, static_cast<float>((1u << bit) * (d % 61 + 1))) << bits << " " << d;
        }
      }
    }
  }
}

float uniform(base::Random& random) {
  return static_cast<float>(random.below(1u << 20)) * 0x1p-20f;
}

// What stays below the threshold, with bounds computed in double.
TEST_P(RefineKernels, ReportsBoundsBelowTheThresholdInOrder) {
  const std::size_t dim = 192;
  const unsigned bits = 5;
  const Query query(dim);
  base::Random random(3);
  const std::size_t stride = kRefineFactorBytes + refine_code_bytes(dim, bits);
  const std::size_t num_rows = 100;
  std::vector<std::uint8_t> codes(num_rows * stride);
  std::vector<std::uint32_t> rows;
  std::vector<float> base, spread;
  std::vector<double> lower, upper;
  const float step = 1e-5f;
  const float offset = -0.25f;
  for (std::uint32_t r = 0; r < num_rows; ++r) {
    std::vector<std::uint16_t> values(dim);
    for (auto& value : values) value = static_cast<std::uint16_t>(random.below(1u << bits));
    const float factors[2] = {uniform(random), -uniform(random)};
    std::memcpy(codes.data() + r * stride, factors, sizeof(factors));
    const auto packed = scalar::pack_refine(values, bits);
    std::copy(packed.begin(), packed.end(),
              codes.begin() + static_cast<std::ptrdiff_t>(r * stride + kRefineFactorBytes));
    rows.push_back(r);
    base.push_back(uniform(random));
    spread.push_back(-0.3f * uniform(random));
    const double dot =
        static_cast<double>(scalar::refine_dot(values, query.high.data(), query.low.data()));
    const double estimate =
        double{base[r]} + factors[0] + double{factors[1]} * (double{step} * dot + offset);
    lower.push_back(estimate - double{factors[1]} * spread[r]);
    upper.push_back(estimate + double{factors[1]} * spread[r]);
  }
  for (const std::size_t n : {0u, 1u, 15u, 16u, 17u, 63u, 100u}) {
    for (const float threshold : {-10.0f, 0.2f, 0.9f, 10.0f}) {
      std::vector<std::uint32_t> out_row(n + 16);
      std::vector<float> out_lower(n + 16), out_upper(n + 16);
      const std::size_t found = kernels().refine_rows(
          codes.data(), stride, rows.data(), n, bits,
          {query.high.data(), query.low.data(), step, offset}, dim, base.data(), spread.data(),
          threshold, out_row.data(), out_lower.data(), out_upper.data());
      std::size_t next = 0;
      for (std::size_t r = 0; r < n; ++r) {
        ASSERT_GT(std::abs(lower[r] - threshold), 1e-5) << "a threshold too close to a value";
        if (lower[r] >= threshold) continue;
        ASSERT_LT(next, found);
        EXPECT_EQ(out_row[next], r);
        EXPECT_NEAR(out_lower[next], lower[r], 1e-5);
        EXPECT_NEAR(out_upper[next], upper[r], 1e-5);
        ++next;
      }
      EXPECT_EQ(next, found);
    }
  }
}

}  // namespace
}  // namespace cairn::kernels

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"
#include "tests/util/each_isa.h"

namespace cairn::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr std::size_t kCounts[] = {1, 2, 7, 8, 15, 16, 17, 31, 33, 100, 256, 1000};

class SelectKernels : public EachIsa {};
CAIRN_TEST_EACH_ISA(SelectKernels);

// Of both signs and many magnitudes; every value several times if `levels` is small.
std::vector<float> random_values(std::size_t n, std::size_t levels, std::uint64_t seed) {
  base::Random random(seed);
  std::vector<float> values(n);
  for (float& value : values) {
    const auto level = static_cast<float>(random.below(levels));
    value = (level - static_cast<float>(levels) / 3) * 0.37f;
    if (random.below(4) == 0) value *= 1e6f;
  }
  return values;
}

TEST_P(SelectKernels, CutIsTheKthSmallestValue) {
  for (const std::size_t n : kCounts) {
    for (const std::size_t levels : {std::size_t{3}, std::size_t{1000000}}) {
      const std::vector<float> values = random_values(n, levels, n);
      std::vector<float> sorted = values;
      std::sort(sorted.begin(), sorted.end());
      for (std::size_t k = 1; k <= n; k += 1 + n / 20) {
        EXPECT_EQ(kernels().find_cut(values.data(), n, k, k), sorted[k - 1]) << n << " " << k;
      }
    }
  }
}

TEST_P(SelectKernels, CutKeepsToItsBounds) {
  for (const std::size_t n : kCounts) {
    const std::vector<float> values = random_values(n, 1000000000, n + 5);
    for (std::size_t least = 1; least <= n; least += 1 + n / 10) {
      const std::size_t most = least + least / 8 + 2;
      const float cut = kernels().find_cut(values.data(), n, least, most);
      const auto count = static_cast<std::size_t>(
          std::count_if(values.begin(), values.end(), [&](float v) { return v <= cut; }));
      EXPECT_GE(count, least);
      EXPECT_LE(count, most);
    }
  }
}

TEST_P(SelectKernels, CutOfExtremeValues) {
  const std::vector<float> values = {kInfinity, -kInfinity, 0.0f,  -0.0f,
                                     1e-45f,    -1e-45f,    3e38f, -3e38f};
  std::vector<float> sorted = values;
  std::sort(sorted.begin(), sorted.end());
  for (std::size_t k = 1; k <= values.size(); ++k) {
    EXPECT_EQ(kernels().find_cut(values.data(), values.size(), k, k), sorted[k - 1]) << k;
  }
  const std::vector<float> infinite(40, kInfinity);
  EXPECT_EQ(kernels().find_cut(infinite.data(), infinite.size(), 3, 5), kInfinity);
}

TEST_P(SelectKernels, TakesWhatLiesBetweenInOrder) {
  for (const std::size_t n : kCounts) {
    std::vector<float> values = random_values(n, 9, n + 9);
    if (n > 20) values[20] = std::numeric_limits<float>::quiet_NaN();
    for (const float above : {-kInfinity, -0.5f, 0.0f, 0.37f}) {
      for (const float limit : {-1.0f, 0.37f, 1.5f, kInfinity}) {
        std::vector<std::uint32_t> index(n + 17, 0xDEAD);
        std::vector<float> value(n + 17, -7);
        const std::size_t found =
            kernels().take_between(values.data(), n, above, limit, index.data(), value.data());
        EXPECT_EQ(index[n + 16], 0xDEADu);
        EXPECT_EQ(value[n + 16], -7);
        std::size_t next = 0;
        for (std::size_t i = 0; i < n; ++i) {
          if (!(above < values[i] && values[i] <= limit)) continue;
          ASSERT_LT(next, found);
          EXPECT_EQ(index[next], i);
          EXPECT_EQ(value[next], values[i]);
          ++next;
        }
        EXPECT_EQ(next, found);
      }
    }
  }
}

TEST_P(SelectKernels, RanksAreThoseOfAStableSort) {
  for (const std::size_t n : kCounts) {
    for (const std::size_t levels : {std::size_t{4}, std::size_t{1000000}}) {
      std::vector<float> values = random_values(n, levels, 3 * n);
      values[n / 2] = kInfinity;
      std::vector<std::uint32_t> order(n);
      std::iota(order.begin(), order.end(), 0u);
      std::stable_sort(order.begin(), order.end(),
                       [&](std::uint32_t a, std::uint32_t b) { return values[a] < values[b]; });
      std::vector<std::uint32_t> expected(n);
      for (std::uint32_t i = 0; i < n; ++i) expected[order[i]] = i;
      std::vector<std::uint32_t> ranks(n + 1, 0xDEAD);
      kernels().rank_values(values.data(), n, ranks.data());
      EXPECT_EQ(ranks[n], 0xDEADu);
      ranks.resize(n);
      EXPECT_EQ(ranks, expected) << n;
    }
  }
}

}  // namespace
}  // namespace cairn::kernels

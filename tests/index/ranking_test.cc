#include "index/ranking.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"

namespace cairn::index {
namespace {

// Few and many values take different ways.
TEST(Ranking, IsThatOfAStableSort) {
  Ranking ranking;
  for (const std::size_t n : {0u, 1u, 255u, 256u, 257u, 5000u}) {
    for (const std::size_t levels : {std::size_t{5}, std::size_t{1} << 30}) {
      base::Random random(n + levels);
      std::vector<float> values(n);
      for (float& value : values) {
        value = (static_cast<float>(random.below(levels)) - static_cast<float>(levels / 2)) * 0.7f;
      }
      if (n > 9) {
        values[3] = std::numeric_limits<float>::infinity();
        values[7] = -0.0f;
        values[9] = 0.0f;
      }
      std::vector<std::uint32_t> order(n);
      std::iota(order.begin(), order.end(), 0u);
      std::stable_sort(order.begin(), order.end(),
                       [&](std::uint32_t a, std::uint32_t b) { return values[a] < values[b]; });
      const auto ranks = ranking.rank(values);
      ASSERT_EQ(ranks.size(), n);
      for (std::uint32_t place = 0; place < n; ++place) EXPECT_EQ(ranks[order[place]], place);
    }
  }
}

}  // namespace
}  // namespace cairn::index

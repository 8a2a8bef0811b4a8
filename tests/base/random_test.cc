#include "base/random.h"

#include <array>

#include <gtest/gtest.h>

namespace cairn::base {
namespace {

// Reference values of splitmix64 seeding xoshiro256**, computed independently.
TEST(Random, GivesTheSameNumbersEverywhere) {
  Random random(1);
  EXPECT_EQ(random.next(), 0xb3f2af6d0fc710c5u);
  EXPECT_EQ(random.next(), 0x853b559647364ceau);
}

TEST(Random, DependsOnTheSeedAlone) {
  Random a(42);
  Random b(42);
  Random c(43);
  bool differs = false;
  for (int i = 0; i < 100; ++i) {
    const std::uint64_t value = a.next();
    EXPECT_EQ(value, b.next());
    differs |= value != c.next();
  }
  EXPECT_TRUE(differs);
}

TEST(Random, StaysInBoundsAndReachesAllOfThem) {
  Random random(7);
  std::array<int, 10> counts{};
  for (int i = 0; i < 100'000; ++i) ++counts.at(random.below(10));
  // Five standard deviations of a binomial(100000, 0.1) are 474.
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 474);
  EXPECT_EQ(random.below(1), 0u);
}

TEST(Random, IsUniformInTheUnitInterval) {
  Random random(7);
  double sum = 0;
  for (int i = 0; i < 100'000; ++i) {
    const double value = random.uniform();
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
    sum += value;
  }
  EXPECT_NEAR(sum / 100'000, 0.5, 0.005);
}

}  // namespace
}  // namespace cairn::base

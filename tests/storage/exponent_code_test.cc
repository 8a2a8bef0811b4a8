#include "storage/exponent_code.h"

#include <bit>
#include <cstring>

#include <gtest/gtest.h>

#include "base/random.h"
#include "tests/util/bit_patterns.h"
#include "tests/util/random_vectors.h"

namespace cairn::storage {
namespace {

std::array<std::uint64_t, 256> count_exponents(const std::vector<float>& values) {
  std::array<std::uint64_t, 256> counts{};
  for (const std::uint32_t bits : test::bits_of(values)) ++counts[bits >> 23 & 0xFF];
  return counts;
}

std::vector<std::uint8_t> exponents_of(const std::vector<float>& values) {
  std::vector<std::uint8_t> exponents;
  for (const std::uint32_t bits : test::bits_of(values)) {
    exponents.push_back(static_cast<std::uint8_t>(bits >> 23));
  }
  return exponents;
}

void expect_round_trip(const ExponentCode& code, const std::vector<float>& values) {
  std::vector<std::byte> bytes;
  code.encode(values.data(), values.size(), bytes);
  const std::size_t size = bytes.size();
  bytes.resize(size + 8, std::byte{0xFF});
  std::vector<std::uint8_t> found(values.size() + 8);
  ASSERT_TRUE(code.decode(std::span(bytes).first(size), values.size(), found.data()));
  found.resize(values.size());
  EXPECT_EQ(found, exponents_of(values));
}

std::vector<float> gaussians(std::size_t n, std::uint64_t seed) {
  base::Random random(seed);
  std::vector<float> values(n);
  for (float& value : values) value = test::gaussian(random);
  return values;
}

TEST(ExponentCode, RoundTripsWhatItWasMadeFor) {
  for (const std::size_t n : {1, 2, 7, 100, 5000}) {
    const std::vector<float> values = gaussians(n, n);
    expect_round_trip(ExponentCode::for_counts(count_exponents(values)), values);
  }
}

TEST(ExponentCode, RoundTripsWhatItWasNotMadeFor) {
  const ExponentCode code = ExponentCode::for_counts(count_exponents(gaussians(5000, 1)));
  expect_round_trip(code, test::odd_floats(5000, 2));
  expect_round_trip(ExponentCode::for_counts({}), test::odd_floats(500, 3));
}

TEST(ExponentCode, ComesNearTheEntropy) {
  const std::vector<float> values = gaussians(100'000, 1);
  const ExponentCode code = ExponentCode::for_counts(count_exponents(values));
  std::vector<std::byte> bytes;
  code.encode(values.data(), values.size(), bytes);
  const double bits = 8.0 * static_cast<double>(bytes.size()) / static_cast<double>(values.size());
  EXPECT_LT(bits, 2.65);
  EXPECT_GT(bits, 2.4);
}

TEST(ExponentCode, KeepsCodesShortWhateverTheCounts) {
  std::array<std::uint64_t, 256> counts{};
  std::uint64_t a = 1;
  std::uint64_t b = 1;
  for (std::size_t i = 0; i < 60; ++i) {
    counts[i] = a;
    const std::uint64_t next = a + b;
    a = b;
    b = next;
  }
  const ExponentCode code = ExponentCode::for_counts(counts);
  for (const std::uint8_t length : code.lengths()) EXPECT_LE(length, ExponentCode::kMaxBits);
  expect_round_trip(code, test::odd_floats(3000, 4));
}

TEST(ExponentCode, IsRestoredFromItsLengths) {
  const ExponentCode code = ExponentCode::for_counts(count_exponents(gaussians(5000, 1)));
  const auto restored = ExponentCode::from_lengths(code.lengths());
  ASSERT_TRUE(restored.has_value());
  const std::vector<float> values = gaussians(300, 5);
  std::vector<std::byte> first;
  std::vector<std::byte> second;
  code.encode(values.data(), values.size(), first);
  restored->encode(values.data(), values.size(), second);
  EXPECT_EQ(first, second);
}

TEST(ExponentCode, RefusesLengthsThatMakeNoCode) {
  ExponentCode::Lengths lengths{};
  EXPECT_FALSE(ExponentCode::from_lengths(lengths).has_value());
  lengths[3] = 1;
  lengths[ExponentCode::kEscape] = 2;
  EXPECT_FALSE(ExponentCode::from_lengths(lengths).has_value());  // incomplete
  lengths[4] = 1;
  EXPECT_FALSE(ExponentCode::from_lengths(lengths).has_value());  // too full
  lengths[ExponentCode::kEscape] = 0;
  EXPECT_FALSE(ExponentCode::from_lengths(lengths).has_value());  // no escape
  lengths[4] = 12;
  EXPECT_FALSE(ExponentCode::from_lengths(lengths).has_value());
}

TEST(ExponentCode, NeverReadsPastDamagedCodes) {
  const ExponentCode code = ExponentCode::for_counts(count_exponents(gaussians(5000, 1)));
  base::Random random(6);
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::byte> bytes(random.below(40) + 8);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.next());
    std::vector<std::uint8_t> found(200 + 8);
    code.decode(std::span(bytes).first(bytes.size() - 8), 200, found.data());
  }
}

}  // namespace
}  // namespace cairn::storage

#include "base/checksum.h"

#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace cairn::base {
namespace {

// The input of the xxHash project's own sanity check: the top bytes of a 64-bit generator.
std::vector<std::byte> sanity_bytes(std::size_t size) {
  std::uint64_t state = 2654435761u;
  std::vector<std::byte> bytes(size);
  for (std::byte& byte : bytes) {
    byte = static_cast<std::byte>(state >> 56);
    state *= 11400714785074694797ull;
  }
  return bytes;
}

// Values that the xxHash project publishes, over all size classes of the algorithm.
TEST(Checksum, MatchesPublishedValues) {
  const auto hex_of = [](std::size_t size, std::uint64_t seed) {
    return to_hex(checksum64(sanity_bytes(size), seed));
  };
  constexpr std::uint64_t kSeed = 11400714785074694797ull;
  EXPECT_EQ(hex_of(0, 0), "2d06800538d394c2");
  EXPECT_EQ(hex_of(0, kSeed), "a8a6b918b2f0364a");
  EXPECT_EQ(hex_of(1, 0), "c44bdff4074eecdb");
  EXPECT_EQ(hex_of(12, kSeed), "e7303e1b2336de0e");
  EXPECT_EQ(hex_of(80, 0), "bcdefbbb2c47c90a");
  EXPECT_EQ(hex_of(195, kSeed), "ba68003d370cb3d9");
  EXPECT_EQ(hex_of(403, 0), "cdeb804d65c6dea4");
  EXPECT_EQ(hex_of(2048, 0), "dd59e2c3a5f038e0");
}

TEST(Checksum, KnowsItsWideValue) {
  const std::array<std::uint8_t, 16> of_nothing = {0x99, 0xAA, 0x06, 0xD3, 0x01, 0x47, 0x98, 0xD8,
                                                   0x60, 0x01, 0xC3, 0x24, 0x46, 0x8D, 0x49, 0x7F};
  EXPECT_EQ(checksum128({}), of_nothing);
}

TEST(Checksum, DependsOnEveryBitAndOnTheSeed) {
  for (const std::size_t size : {1, 8, 17, 129, 241, 1025}) {
    auto bytes = sanity_bytes(size);
    std::set<std::uint64_t> seen = {checksum64(bytes, 0), checksum64(bytes, 1),
                                    checksum64(bytes, std::uint64_t{1} << 48)};
    for (std::size_t bit = 0; bit < 8 * size; ++bit) {
      const auto mask = static_cast<std::byte>(1 << bit % 8);
      bytes[bit / 8] ^= mask;
      seen.insert(checksum64(bytes, 0));
      bytes[bit / 8] ^= mask;
    }
    EXPECT_EQ(seen.size(), 3 + 8 * size);
  }
}

TEST(Checksum, PrintsLeadingZeros) { EXPECT_EQ(to_hex(0xAB), "00000000000000ab"); }

}  // namespace
}  // namespace cairn::base

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "cairn/types.h"

#include "base/random.h"

namespace cairn::test {

// Floats of every kind, among them those that arithmetic would change: signalling and quiet NaNs
// with payloads, -0, denormals, infinities.
inline std::vector<float> odd_floats(std::size_t count, std::uint64_t seed) {
  static constexpr std::uint32_t kPatterns[] = {0x00000000, 0x80000000, 0x00000001, 0x807FFFFF,
                                                0x7F800000, 0xFF800000, 0x7F800001, 0xFFA5A5A5,
                                                0x7FC00000, 0xFFC12345, 0x3F800000, 0x7F7FFFFF};
  base::Random random(seed);
  std::vector<float> values(count);
  for (float& value : values) {
    const std::uint32_t bits = random.below(2) == 0 ? kPatterns[random.below(std::size(kPatterns))]
                                                    : static_cast<std::uint32_t>(random.next());
    std::memcpy(&value, &bits, sizeof bits);
  }
  return values;
}

// As bits, since NaN != NaN and -0 == 0.
inline std::vector<std::uint32_t> bits_of(std::span<const float> values) {
  std::vector<std::uint32_t> bits(values.size());
  if (!bits.empty()) std::memcpy(bits.data(), values.data(), values.size_bytes());
  return bits;
}

inline std::vector<std::uint32_t> bits_of_row(const std::vector<float>& values, std::size_t dim,
                                              std::size_t row) {
  return bits_of(std::span(values).subspan(row * dim, dim));
}

}  // namespace cairn::test

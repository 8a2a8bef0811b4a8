#pragma once

// float32 and half as bit patterns.

#include <bit>
#include <cstdint>

namespace cairn::storage {

inline std::uint32_t bits_of(float value) noexcept { return std::bit_cast<std::uint32_t>(value); }

inline bool are_same(float a, float b) noexcept { return bits_of(a) == bits_of(b); }

// The nearest half, ties to even; beyond its range infinity. NaN is nobody's business here.
inline std::uint16_t to_half(float value) noexcept {
  const std::uint32_t bits = bits_of(value);
  const std::uint32_t sign = bits >> 16 & 0x8000;
  const std::uint32_t magnitude = bits & 0x7FFFFFFF;
  std::uint32_t half;
  if (magnitude >= 0x477FF000) {  // rounds to 65,536 or more
    half = 0x7C00;
  } else if (magnitude >= 0x38800000) {  // normal
    half = (magnitude - 0x38000000 + 0xFFF + (magnitude >> 13 & 1)) >> 13;
  } else {
    // Adding 0.5 leaves multiples of 2^-24, rounded to even, in the lowest bits.
    half = bits_of(std::bit_cast<float>(magnitude) + 0.5f) - 0x3F000000;
  }
  return static_cast<std::uint16_t>(sign | half);
}

inline float from_half(std::uint16_t half) noexcept {
  const std::uint32_t sign = std::uint32_t{half} << 16 & 0x80000000;
  const std::uint32_t bits = std::uint32_t{half} << 13 & 0x0FFFE000;
  const float magnitude = bits >= 0x0F800000 ? std::bit_cast<float>(bits | 0x7F800000)
                                             : std::bit_cast<float>(bits) * 0x1p112f;
  return std::bit_cast<float>(bits_of(magnitude) | sign);
}

}  // namespace cairn::storage

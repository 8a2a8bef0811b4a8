#pragma once

// Part of quantize/: vectors to codes, and distance estimates from codes. This room knows nothing
// of trees, files or where vectors are stored. Begin with frame.h (the space that codes live in),
// then list_code.h (codes of children) and query_code.h (what a query prepares to be compared with
// them).

#include <cstddef>
#include <cstdint>
#include <span>

namespace cairn::quantize {

// A random orthonormal map of R^D: four rounds of random sign flips, a Walsh-Hadamard transform of
// the largest power of two that fits (on the first coordinates in odd rounds, on the last in even
// ones) and, if D is no power of two, a Kac step that mixes the halves. O(D log D).
// It is defined by its 4 D sign bits, which are stored, never re-drawn.
// Source: the FHT-Kac rotator of RaBitQ-Library (docs/rabitq/rotator.md).
class Rotation {
 public:
  static constexpr std::size_t kRounds = 4;
  static constexpr std::size_t sign_bytes(std::size_t padded_dim) {
    return kRounds * padded_dim / 8;
  }
  // Draws the sign bits, sign_bytes(padded_dim) of them.
  static void draw_signs(std::uint64_t seed, std::span<std::uint8_t> signs);

  Rotation() = default;
  // `signs` is borrowed and must outlive the rotation; padded_dim is a multiple of 64.
  Rotation(std::size_t padded_dim, std::span<const std::uint8_t> signs);

  // Rotates x [padded_dim] in place.
  void apply(float* x) const noexcept;

 private:
  std::size_t padded_dim_ = 0;
  const std::uint8_t* signs_ = nullptr;
};

}  // namespace cairn::quantize

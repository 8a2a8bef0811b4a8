#include "quantize/rotation.h"

#include <bit>
#include <cassert>
#include <cmath>

#include "base/random.h"
#include "quantize/kernels/kernels.h"

namespace cairn::quantize {

void Rotation::draw_signs(std::uint64_t seed, std::span<std::uint8_t> signs) {
  base::Random random(seed);
  for (std::uint8_t& byte : signs) byte = static_cast<std::uint8_t>(random.next() >> 56);
}

Rotation::Rotation(std::size_t padded_dim, std::span<const std::uint8_t> signs)
    : padded_dim_(padded_dim), signs_(signs.data()) {
  assert(padded_dim % 64 == 0 && signs.size() == sign_bytes(padded_dim));
}

void Rotation::apply(float* x) const noexcept {
  const kernels::Kernels& k = kernels::active();
  const std::size_t width = std::bit_floor(padded_dim_);
  const bool is_power_of_two = width == padded_dim_;
  float scale = 1.0f / std::sqrt(static_cast<float>(width));
  // A Kac step doubles the squared norm; half of the four roots of two is undone in each round.
  if (!is_power_of_two) scale *= std::sqrt(0.5f);
  for (std::size_t round = 0; round < kRounds; ++round) {
    k.flip_signs(signs_ + round * padded_dim_ / 8, padded_dim_, x);
    float* part = round % 2 == 0 ? x : x + (padded_dim_ - width);
    k.hadamard(part, width, scale);
    if (is_power_of_two) continue;
    // The coordinates that the transform left out take the same scale before they are mixed in.
    float* rest = round % 2 == 0 ? x + width : x;
    for (std::size_t i = 0; i < padded_dim_ - width; ++i) rest[i] *= std::sqrt(0.5f);
    k.kac_step(x, padded_dim_);
  }
}

}  // namespace cairn::quantize

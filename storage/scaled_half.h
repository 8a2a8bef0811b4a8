#pragma once

#include <cstddef>
#include <cstdint>

namespace cairn::storage {

// Finds a float `divisor` and halves such that each value is its half divided by the divisor,
// rounded once to float32, bit for bit: what remains of a vector that was computed in half
// precision and then divided by its norm. False if there is none. `halves` [dim].
bool find_scaled_half(const float* row, std::size_t dim, std::uint16_t* halves, float& divisor);

}  // namespace cairn::storage

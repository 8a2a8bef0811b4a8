#pragma once

#include <array>
#include <cstddef>
#include <string>

#include <cairn/clustered_index.h>

namespace cairn::cli {

inline constexpr std::array<float, 5> kCalibratedTargets = {0.8f, 0.9f, 0.95f, 0.98f, 0.99f};
inline constexpr std::array<std::size_t, 3> kCalibratedDepths = {1, 10, 100};

// What recall costs, as lines of text: leaves and codes scanned on average, for targets and k.
std::string calibration_table(const ClusteredIndex& index);

}  // namespace cairn::cli

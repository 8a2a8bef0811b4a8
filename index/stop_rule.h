#pragma once

#include <cmath>
#include <cstddef>
#include <limits>

namespace cairn::index {

// When a query has scanned enough leaves. Of leaves in the order of their distances g_0, g_1, ...
// to the query, leaf i is worth scanning while
//
//   log(i) + weight * (g_i^2 - g_0^2) / rho^2  <=  limit
//
// with rho the distance of the k-th nearest vector known: leaves that follow late or lie far beyond
// the results hold few that are nearer. `weight` and `limit` are calibrated. The first leaf always
// passes.
struct StopRule {
  float weight = 0;
  float limit = std::numeric_limits<float>::infinity();

  bool is_open() const noexcept { return limit == std::numeric_limits<float>::infinity(); }
  float score(std::size_t leaf, float farther, float squared_radius) const noexcept {
    return std::log(static_cast<float>(leaf)) + gap_score(farther, squared_radius);
  }
  float gap_score(float farther, float squared_radius) const noexcept {
    return farther > 0 ? weight * farther / squared_radius : 0.0f;
  }
};

}  // namespace cairn::index

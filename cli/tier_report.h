#pragma once

// What the tiers of full vectors have done, for bench.

#include <string>

#include <nlohmann/json.hpp>

#include <cairn/tiered_vector_store.h>

namespace cairn::cli {

// Shares of all rows that were read: served from the tier.
struct TierShares {
  double hot = 0;
  double warm = 0;
  double cold = 0;
};
TierShares tier_shares(const TieredStats& stats);

// All counters under their own names, one object per tier.
nlohmann::json to_json(const TieredStats& stats);

// Aligned columns for a terminal, one line per tier under a heading, and a line that says why the
// warm tier is off, if it is.
std::string tiers_to_table(const TieredStats& stats);

}  // namespace cairn::cli

#pragma once

// What an index says of itself, for info and bench.

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <cairn/clustered_index.h>

namespace cairn::cli {

struct Tier {
  std::string name;
  std::uint64_t ram_bytes = 0;
  std::uint64_t disk_bytes = 0;
};

// Codes, centroids, refine codes, ids, full vectors and payloads if there are any, in the order a
// search meets them.
std::vector<Tier> index_tiers(const IndexStats& stats);

// All fields under their own names.
nlohmann::json to_json(const IndexStats& stats);
nlohmann::json to_json(const std::vector<Tier>& tiers);

}  // namespace cairn::cli

#pragma once

// What a benchmark says: one JSON object and one table.

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <cairn/clustered_index.h>

#include "cli/bench_run.h"

namespace cairn::cli {

// "points": one object per measured point.
nlohmann::json points_to_json(const std::vector<BenchPoint>& points, const BenchPlan& plan,
                              StorageKind storage);

// "latency_histogram" of the point that a reader cares for most: the one whose target is nearest
// 0.95 or, without targets, the fastest of recall 0.95 or the one of best recall. Null without
// points.
nlohmann::json latency_histogram(const std::vector<BenchPoint>& points);

// Aligned columns for a terminal, one line per point under a heading.
std::string points_to_table(const std::vector<BenchPoint>& points, std::size_t k);

}  // namespace cairn::cli

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "cairn/types.h"
#include "cairn/vector_store.h"

#include "index/index_data.h"
#include "index/query_state.h"
#include "index/stop_rule.h"

namespace cairn::index {

// How many entries each table of a calibration has, if it has any.
inline constexpr std::size_t kCalibrationEntries = 33;

// How many leaves a query looks for first that is expected to scan so many.
inline std::size_t first_leaves_for(double mean_leaves) {
  return static_cast<std::size_t>(1.5 * mean_leaves + 2);
}

// How much wider than usual calibration lets navigation become.
inline constexpr std::uint32_t kMostNavigationWidth = 4096;

// Measures, on a sample of the index's own rows (each left out of its own results) or on queries
// that passed validation, where the leaves of true neighbours are among a query's leaves: how far
// to go for k = 1, 10, 100 at rising recall, and what queries look like. Empty for fewer than two
// rows or no queries. Cost: some hundred wide searches. The result does not depend on threads.
Calibration calibrate(const IndexData& data, const VectorStore& store, unsigned threads);
Calibration calibrate(const IndexData& data, const VectorStore& store, MatrixView queries,
                      unsigned threads);

// The standard deviations that bounds take off their estimates where this recall is wanted:
// one-sided z-scores.
float deviations_for(float target_recall);

// Leaves to scan for `target_recall` at `k`, the same number for each query, interpolated between
// entries (without entries: all).
std::size_t probes_for(const IndexData& data, float target_recall, std::size_t k);

// When a query that wants `target_recall` at `k` may stop, and how many leaves to look for first,
// so that most queries need no more.
struct CalibratedStop {
  StopRule rule;
  float mean_leaves = 1;  // that calibrated queries scanned
  std::size_t first_leaves = 1;
};
// Without entries: a rule that never stops, and all leaves.
CalibratedStop stop_for(const IndexData& data, float target_recall, std::size_t k);

// What SearchStats says of a query that was ended so; 0: unknown.
float estimated_recall(const IndexData& data, const QueryState& query);
bool is_unusual(const IndexData& data, const QueryState& query);

}  // namespace cairn::index

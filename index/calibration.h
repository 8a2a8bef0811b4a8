#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "cairn/vector_store.h"

#include "index/index_data.h"

namespace cairn::index {

// Measures on a sample of the index's own rows (each left out of its own results) how many leaves
// hold given shares of the true neighbours: entries for k = 1, 10, 100 at rising recall.
// Cost: a few hundred wide searches. The result does not depend on threads.
std::vector<CalibrationEntry> calibrate(const IndexData& data, const VectorStore& store,
                                        unsigned threads);

// The standard deviations that bounds take off their estimates where this recall is wanted:
// one-sided z-scores.
float deviations_for(float target_recall);

// Leaves to scan for `target_recall` at `k`, interpolated between entries (without entries: all).
std::size_t probes_for(const IndexData& data, float target_recall, std::size_t k);

}  // namespace cairn::index

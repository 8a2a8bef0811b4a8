#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cairn/options.h"
#include "cairn/types.h"
#include "cairn/vector_source.h"

#include "index/index_data.h"
#include "index/progress.h"

namespace cairn::index {

// An index but for its codes and its calibration: which row goes where.
struct TreePlan {
  OwnedIndexData data;                       // blocks, refine_codes, calibration empty; sigmas 0
  std::vector<std::uint32_t> rows_in_order;  // row in leaf order -> the source's row
};

// Anonymous memory that a build from a stream may take: as asked for, or a quarter of the rows as
// float32, at least 1 GiB.
std::uint64_t memory_limit(const BuildOptions& options, std::size_t rows, std::size_t dim);

// validate -> lift and centre -> partition the rows into leaves, the leaves into inner nodes until
// one node can hold them -> rotate and round centroids. Throws Error(invalid_argument) for options,
// ids or rows that are not acceptable.
TreePlan plan_tree(VectorSource& source, const BuildOptions& options, std::span<const VectorId> ids,
                   Progress& progress);

}  // namespace cairn::index

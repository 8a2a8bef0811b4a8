#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "cairn/options.h"
#include "cairn/types.h"
#include "cairn/vector_store.h"

#include "index/index_data.h"
#include "index/progress.h"

namespace cairn::index {

// A built index and its full vectors, in leaf order.
struct BuiltIndex {
  OwnedIndexData data;
  std::unique_ptr<VectorStore> store;
};

// Everything of ClusteredIndex::build but the calibration: the plan (tree_plan.h), the codes of
// each list, the vectors in leaf order.
BuiltIndex build_tree(MatrixView vectors, const BuildOptions& options,
                      std::span<const VectorId> ids, Progress& progress);

}  // namespace cairn::index

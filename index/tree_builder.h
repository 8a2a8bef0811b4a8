#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "cairn/options.h"
#include "cairn/types.h"
#include "cairn/vector_store.h"

#include "index/index_data.h"
#include "index/progress.h"
#include "storage/payload_blocks.h"

namespace cairn::index {

// A built index, its full vectors and, if asked for, payloads, in leaf order.
struct BuiltIndex {
  OwnedIndexData data;
  std::unique_ptr<VectorStore> store;
  std::optional<storage::OwnedPayloads> payloads;
};

// Everything of ClusteredIndex::build but the calibration: the plan (tree_plan.h), the codes of
// each list, the vectors and payloads in leaf order.
BuiltIndex build_tree(MatrixView vectors, const BuildOptions& options,
                      std::span<const VectorId> ids, Progress& progress);

}  // namespace cairn::index

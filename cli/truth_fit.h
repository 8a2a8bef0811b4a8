#pragma once

#include <string>

#include <cairn/clustered_index.h>

namespace cairn::cli {

// Throws Error(invalid_argument) unless `truth`, of the first of `queries`, can be the index's: all
// of its ids are in the index, its distances are those that the index's metric gives, and they
// ascend. `name` is the truth's, for the message. Looks at some queries only for the latter two.
void check_truth_fits(const std::string& name, const BatchResult& truth,
                      const ClusteredIndex& index, MatrixView queries);

}  // namespace cairn::cli

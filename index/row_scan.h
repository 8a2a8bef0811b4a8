#pragma once

#include <vector>

#include "cairn/types.h"
#include "cairn/vector_source.h"

#include "index/progress.h"

namespace cairn::index {

// What a build must know of all rows before it can begin.
struct RowScan {
  float max_norm = 0;       // inner product: the largest Euclidean norm, else 0
  std::vector<float> mean;  // of the lifted rows
};

// Reads all rows once and refuses bad ones, as validate_rows() does. The result does not depend on
// threads.
RowScan scan_rows(VectorSource& source, Metric metric, unsigned threads, Progress& progress);

}  // namespace cairn::index

#pragma once

#include <vector>

#include "cairn/types.h"
#include "cairn/vector_source.h"

#include "index/progress.h"

namespace cairn::index {

// What a build must know of all rows before it can begin.
struct RowScan {
  float scale = 1;     // inner product: what rows are multiplied by, so that squares are numbers
  float max_norm = 0;  // inner product: the largest Euclidean norm of scaled rows, else 0
  std::vector<float> mean;  // of the lifted rows
};

// Reads all rows once and refuses bad ones, as validate_rows() does. The result does not depend on
// threads.
RowScan scan_rows(VectorSource& source, Metric metric, unsigned threads, Progress& progress);

}  // namespace cairn::index

#include "cli/query_file.h"

#include <algorithm>
#include <cmath>
#include <string>

#include <cairn/error.h>

namespace cairn::cli {
namespace {

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& problem) {
  throw Error(ErrorCode::invalid_argument, path.string() + ": " + problem);
}

}  // namespace

Matrix<float> read_queries(const std::filesystem::path& path, const ClusteredIndex& index,
                           std::size_t max_rows) {
  Matrix<float> queries = read_vectors(path, max_rows);
  if (queries.dim != index.dim()) {
    refuse(path, "queries have dimension " + std::to_string(queries.dim) +
                     "; expected that of the index, " + std::to_string(index.dim()));
  }
  for (std::size_t row = 0; row < queries.rows; ++row) {
    const float* const begin = queries.row(row);
    const float* const end = begin + queries.dim;
    const float* const bad = std::find_if_not(begin, end, [](float x) { return std::isfinite(x); });
    if (bad != end) {
      refuse(path, "row " + std::to_string(row) + ", column " + std::to_string(bad - begin) +
                       " is " + std::to_string(*bad) + "; expected finite values");
    }
    if (index.metric() == Metric::cosine &&
        std::all_of(begin, end, [](float x) { return x == 0; })) {
      refuse(path, "row " + std::to_string(row) + " is zero; the cosine metric needs a direction");
    }
  }
  return queries;
}

}  // namespace cairn::cli

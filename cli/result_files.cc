#include "cli/result_files.h"

#include <limits>
#include <string>
#include <vector>

#include <cairn/error.h>
#include <cairn/io.h>

namespace cairn::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::int32_t kNoRow = -1;

}  // namespace

fs::path distances_path(const fs::path& ids) {
  fs::path path = ids;
  return path.replace_extension(".fbin");
}

void write_result_ids(const fs::path& path, const BatchResult& result) {
  std::vector<std::int32_t> narrow(result.ids.size(), kNoRow);
  for (std::size_t i = 0; i < narrow.size(); ++i) {
    const VectorId id = result.ids[i];
    if (id == kNoId) continue;
    if (id > static_cast<VectorId>(std::numeric_limits<std::int32_t>::max())) {
      throw Error(ErrorCode::invalid_argument, path.string() + ": id " + std::to_string(id) +
                                                   " of query " + std::to_string(i / result.k) +
                                                   " does not fit int32, which the format holds");
    }
    narrow[i] = static_cast<std::int32_t>(id);
  }
  write_int_matrix(path, narrow.data(), result.queries, result.k);
}

void write_result_distances(const fs::path& path, const BatchResult& result) {
  write_vectors(path, {result.distances.data(), result.queries, result.k});
}

BatchResult read_result(const fs::path& ids, std::size_t queries) {
  const Matrix<std::int32_t> rows = read_int_matrix(ids);
  if (rows.rows < queries) {
    throw Error(ErrorCode::invalid_argument,
                ids.string() + ": truth of " + std::to_string(rows.rows) +
                    " queries; expected at least " + std::to_string(queries));
  }
  BatchResult result{queries, rows.dim, {}, {}};
  for (std::size_t i = 0; i < queries * rows.dim; ++i) {
    result.ids.push_back(rows.values[i] < 0 ? kNoId : static_cast<VectorId>(rows.values[i]));
  }
  const fs::path distances = distances_path(ids);
  if (distances != ids && fs::exists(distances)) {
    const VectorFileInfo info = read_vector_file_info(distances);
    if (info.rows == rows.rows && info.dim == rows.dim) {
      result.distances = read_vectors(distances, queries).values;
    }
  }
  return result;
}

}  // namespace cairn::cli

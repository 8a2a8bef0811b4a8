#include "cli/result_files.h"

#include <algorithm>
#include <limits>
#include <string>

#include <cairn/error.h>
#include <cairn/io.h>

#include "cli/arguments.h"

namespace cairn::cli {
namespace {

namespace fs = std::filesystem;

// A file of floats beside the ids may be anything, such as the queries, unless every row ascends.
bool has_ascending_rows(const Matrix<float>& matrix) {
  for (std::size_t row = 0; row < matrix.rows; ++row) {
    if (!std::is_sorted(matrix.row(row), matrix.row(row) + matrix.dim)) return false;
  }
  return true;
}

}  // namespace

CLI::Validator result_extension() { return has_extension({".ibin", ".ivecs", ".u64bin", ".npy"}); }

fs::path distances_path(const fs::path& ids) {
  if (ids.empty()) return {};
  fs::path path = ids;
  return path.replace_extension(".distances.fbin");
}

bool holds_all_ids(const fs::path& path) {
  return path.extension() != ".ibin" && path.extension() != ".ivecs";
}

void require_room_for_ids(const fs::path& path, VectorId largest) {
  constexpr VectorId kMost = std::numeric_limits<std::int32_t>::max();
  if (holds_all_ids(path) || largest <= kMost) return;
  throw Error(ErrorCode::invalid_argument,
              path.string() + ": the format holds int32, but there are ids up to " +
                  std::to_string(largest) + "; .u64bin and .npy hold all ids");
}

BatchResult read_result(const fs::path& ids, std::size_t queries) {
  Matrix<VectorId> rows = read_id_matrix(ids);
  if (rows.rows < queries) {
    throw Error(ErrorCode::invalid_argument,
                ids.string() + ": truth of " + std::to_string(rows.rows) +
                    " queries; expected at least " + std::to_string(queries));
  }
  const std::size_t all_rows = rows.rows;
  rows.values.resize(queries * rows.dim);
  BatchResult result{queries, rows.dim, std::move(rows.values), {}};
  fs::path plain = ids;
  plain.replace_extension(".fbin");  // as ground truth made by others has it
  for (const fs::path& distances : {distances_path(ids), plain}) {
    if (distances == ids || !fs::exists(distances)) continue;
    const VectorFileInfo info = read_vector_file_info(distances);
    if (info.rows != all_rows || info.dim != result.k) continue;
    Matrix<float> found = read_vectors(distances, queries);
    if (!has_ascending_rows(found)) continue;
    result.distances = std::move(found.values);
    break;
  }
  return result;
}

}  // namespace cairn::cli

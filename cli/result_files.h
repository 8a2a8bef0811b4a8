#pragma once

// Search results and ground truth as files: ids, and distances beside them.

#include <cstddef>
#include <filesystem>

#include <CLI/CLI.hpp>

#include <cairn/clustered_index.h>

namespace cairn::cli {

// Names of files that hold ids in rows of several.
CLI::Validator result_extension();

// Where the distances that belong to an ids file are: gt.ibin -> gt.distances.fbin; none -> none.
std::filesystem::path distances_path(const std::filesystem::path& ids);

// Does the format hold ids of 64 bits?
bool holds_all_ids(const std::filesystem::path& path);
// Throws Error(invalid_argument) if the format of `path` cannot hold ids up to `largest`.
void require_room_for_ids(const std::filesystem::path& path, VectorId largest);

// Ids, and their distances if a file beside them has the same shape, of the first `queries` rows.
// Throws Error: invalid_argument if there are fewer rows, and what read_id_matrix() throws.
BatchResult read_result(const std::filesystem::path& ids, std::size_t queries);

}  // namespace cairn::cli

#pragma once

// Search results and ground truth as files: ids as int32, -1 where a row has fewer than k, and
// distances beside them.

#include <cstddef>
#include <filesystem>

#include <cairn/clustered_index.h>

namespace cairn::cli {

// Where the distances that belong to an ids file are: gt.ibin -> gt.fbin.
std::filesystem::path distances_path(const std::filesystem::path& ids);

// Throws Error(invalid_argument) if an id does not fit int32, naming it.
void write_result_ids(const std::filesystem::path& path, const BatchResult& result);
void write_result_distances(const std::filesystem::path& path, const BatchResult& result);

// Ids, and their distances if a file beside them has the same shape, of the first `queries` rows.
// Throws Error: invalid_argument if there are fewer rows, and what read_int_matrix() throws.
BatchResult read_result(const std::filesystem::path& ids, std::size_t queries);

}  // namespace cairn::cli

#pragma once

#include <cstddef>
#include <filesystem>

#include <cairn/clustered_index.h>
#include <cairn/io.h>

namespace cairn::cli {

// Vectors of dimension `dim`, the first `max_rows` of a file or of standard input ("-"): .npy,
// .fbin or lines of numbers, told by how it begins. A .npy of one dimension and `dim` values is one
// query. Throws Error(invalid_argument) for another dimension.
Matrix<float> read_query_vectors(const std::filesystem::path& path, std::size_t dim,
                                 std::size_t max_rows = ~std::size_t{0});

// The same for queries that `index` can answer. Throws Error(invalid_argument) for values or rows
// that a search would refuse, by row and column.
Matrix<float> read_queries(const std::filesystem::path& path, const ClusteredIndex& index,
                           std::size_t max_rows = ~std::size_t{0});

}  // namespace cairn::cli

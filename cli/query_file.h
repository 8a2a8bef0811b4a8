#pragma once

#include <cstddef>
#include <filesystem>

#include <cairn/clustered_index.h>
#include <cairn/io.h>

namespace cairn::cli {

// Queries that `index` can answer, the first `max_rows` of a file. Throws Error(invalid_argument)
// for another dimension, and for values or rows that a search would refuse, by row and column.
Matrix<float> read_queries(const std::filesystem::path& path, const ClusteredIndex& index,
                           std::size_t max_rows = ~std::size_t{0});

}  // namespace cairn::cli

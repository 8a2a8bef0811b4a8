#pragma once

// What the vector stores check alike, and how they take their rows in.

#include <cstddef>
#include <cstdint>
#include <span>

#include "cairn/types.h"
#include "cairn/vector_store.h"

namespace cairn::storage {

// Throw Error(invalid_argument): dim 0 or above kMaxDim, rows above kMaxRows, no data for rows.
void check_shape(std::size_t rows, std::size_t dim);
void check_view(MatrixView vectors);

// Throws Error(invalid_argument) unless row < rows.
void check_row(std::size_t row, std::size_t rows);

// Rows that a producer is asked for at a time: about 4 MiB, at least one.
std::size_t rows_per_chunk(std::size_t dim) noexcept;

// VectorStore::read over a dense matrix.
void copy_rows(MatrixView from, std::span<const std::uint32_t> rows, float* out);

}  // namespace cairn::storage

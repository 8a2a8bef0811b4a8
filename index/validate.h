#pragma once

// Refuses values that no distance can be computed from, before any work is done on them.

#include <cstddef>
#include <limits>
#include <span>

#include "cairn/types.h"

namespace cairn::index {

// Squared norms above this are refused: the squared distance of two accepted vectors is at most
// four times as much, and that must stay finite.
inline constexpr float kMaxSquaredNorm = 1e37f;

// Squared norms below this are refused under cosine: the row is zero, or its squares underflow and
// its direction is lost.
inline constexpr float kMinSquaredNorm = std::numeric_limits<float>::min();

// Throws Error(invalid_argument) unless dim is 1 to kMaxDim, rows at most kMaxRows, every value is
// finite, every squared norm at most kMaxSquaredNorm and, under cosine, at least kMinSquaredNorm.
// The message begins with `what` ("base vectors") and names the first offending row, whatever the
// number of threads (0: all cores): "base vectors: row 17, column 3 is nan; expected finite
// values".
void validate_rows(MatrixView vectors, Metric metric, const char* what, unsigned threads);

// Its parts: the shape of all rows, that there is data if there are rows, and the values of some,
// of which the first is row `first_row` to the reader of the message.
void validate_shape(std::size_t rows, std::size_t dim, const char* what);
void validate_data(MatrixView vectors, const char* what);
void validate_values(MatrixView block, std::size_t first_row, Metric metric, const char* what,
                     unsigned threads);

// The same of one query, whose dimension must be `dim`.
void validate_query(std::span<const float> query, std::size_t dim, Metric metric);

// Throws Error(invalid_argument) unless ids and distances of `queries` times `k` results can exist.
void check_result_size(std::size_t queries, std::size_t k);

}  // namespace cairn::index

#include "storage/vector_shape.h"

#include <algorithm>
#include <string>

#include "cairn/error.h"

namespace cairn::storage {
namespace {
constexpr std::size_t kChunkBytes = std::size_t{4} << 20;
}  // namespace

void check_shape(std::size_t rows, std::size_t dim) {
  if (dim == 0 || dim > kMaxDim) {
    throw Error(ErrorCode::invalid_argument, "vectors: dim is " + std::to_string(dim) +
                                                 ", expected 1 to " + std::to_string(kMaxDim));
  }
  if (rows > kMaxRows) {
    throw Error(
        ErrorCode::invalid_argument,
        "vectors: " + std::to_string(rows) + " rows, expected at most " + std::to_string(kMaxRows));
  }
}

void check_view(MatrixView vectors) {
  check_shape(vectors.rows, vectors.dim);
  if (vectors.data == nullptr && vectors.rows > 0) {
    throw Error(ErrorCode::invalid_argument,
                "vectors: data is null, expected " + std::to_string(vectors.rows) + " rows");
  }
}

void check_row(std::size_t row, std::size_t rows) {
  if (row >= rows) {
    throw Error(ErrorCode::invalid_argument, "vectors: row is " + std::to_string(row) +
                                                 ", expected less than " + std::to_string(rows));
  }
}

std::size_t rows_per_chunk(std::size_t dim) noexcept {
  return std::max<std::size_t>(1, kChunkBytes / (dim * sizeof(float)));
}

void copy_rows(MatrixView from, std::span<const std::uint32_t> rows, float* out) {
  for (const std::uint32_t row : rows) check_row(row, from.rows);
  // copy_n of floats is a memmove: a NaN keeps its payload.
  for (const std::uint32_t row : rows) out = std::copy_n(from.row(row), from.dim, out);
}

}  // namespace cairn::storage

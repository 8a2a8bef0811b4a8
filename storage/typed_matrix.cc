#include "cairn/typed_matrix.h"

#include <bit>
#include <cstring>
#include <string>

#include "cairn/error.h"

#include "base/checked.h"
#include "storage/float_bits.h"
#include "storage/vector_shape.h"

namespace cairn {
namespace {

// `convert` takes a value's own type; memcpy, since data need not be aligned.
template <typename Value, typename Convert>
void convert_values(const std::byte* from, std::size_t count, float* out, Convert&& convert) {
  for (std::size_t i = 0; i < count; ++i) {
    Value value;
    std::memcpy(&value, from + i * sizeof value, sizeof value);
    out[i] = convert(value);
  }
}

void convert_row(ValueType type, const std::byte* from, std::size_t dim, float* out) {
  switch (type) {
    case ValueType::f32:
      std::memcpy(out, from, dim * sizeof(float));
      return;
    case ValueType::f16:
      convert_values<std::uint16_t>(from, dim, out, storage::from_half);
      return;
    case ValueType::bf16:
      convert_values<std::uint16_t>(from, dim, out, [](std::uint16_t bits) {
        return std::bit_cast<float>(std::uint32_t{bits} << 16);
      });
      return;
    case ValueType::u8:
      convert_values<std::uint8_t>(from, dim, out,
                                   [](std::uint8_t v) { return static_cast<float>(v); });
      return;
    case ValueType::i8:
      convert_values<std::int8_t>(from, dim, out,
                                  [](std::int8_t v) { return static_cast<float>(v); });
      return;
  }
}

std::size_t stride_of(const TypedMatrixView& matrix) {
  return matrix.stride_bytes != 0 ? matrix.stride_bytes : matrix.dim * value_bytes(matrix.type);
}

void check(const TypedMatrixView& matrix) {
  const auto refuse = [](const std::string& message) {
    throw Error(ErrorCode::invalid_argument, "matrix: " + message);
  };
  if (value_bytes(matrix.type) == 0) {
    refuse("unknown type " + std::to_string(static_cast<unsigned>(matrix.type)));
  }
  storage::check_shape(matrix.rows, matrix.dim);
  if (matrix.rows > 0 && matrix.data == nullptr) {
    refuse(std::to_string(matrix.rows) + " rows, but no data");
  }
  const std::size_t row_bytes = matrix.dim * value_bytes(matrix.type);
  if (stride_of(matrix) < row_bytes) {
    refuse("stride_bytes: expected at least " + std::to_string(row_bytes) + ", the " +
           std::to_string(matrix.dim) + " values of a row of " + to_string(matrix.type) +
           ", found " + std::to_string(matrix.stride_bytes));
  }
  if (base::is_beyond_memory(matrix.rows, stride_of(matrix))) {
    refuse("stride_bytes: expected so many that " + std::to_string(matrix.rows) +
           " rows fit into memory, found " + std::to_string(matrix.stride_bytes));
  }
}

void convert_rows(const TypedMatrixView& matrix, std::size_t first, std::size_t count, float* out) {
  const auto* const data = static_cast<const std::byte*>(matrix.data);
  const std::size_t stride = stride_of(matrix);
  for (std::size_t i = 0; i < count; ++i) {
    convert_row(matrix.type, data + (first + i) * stride, matrix.dim, out + i * matrix.dim);
  }
}

}  // namespace

const char* to_string(ValueType type) noexcept {
  switch (type) {
    case ValueType::f32:
      return "f32";
    case ValueType::f16:
      return "f16";
    case ValueType::bf16:
      return "bf16";
    case ValueType::u8:
      return "u8";
    case ValueType::i8:
      return "i8";
  }
  return "unknown";
}

std::size_t value_bytes(ValueType type) noexcept {
  switch (type) {
    case ValueType::f32:
      return 4;
    case ValueType::f16:
    case ValueType::bf16:
      return 2;
    case ValueType::u8:
    case ValueType::i8:
      return 1;
  }
  return 0;
}

Matrix<float> to_float(const TypedMatrixView& matrix) {
  check(matrix);
  Matrix<float> result;
  result.rows = matrix.rows;
  result.dim = matrix.dim;
  result.values.resize(matrix.rows * matrix.dim);
  convert_rows(matrix, 0, matrix.rows, result.values.data());
  return result;
}

TypedVectorSource::TypedVectorSource(const TypedMatrixView& vectors) : vectors_(vectors) {
  check(vectors);
}

std::size_t TypedVectorSource::rows() const noexcept { return vectors_.rows; }
std::size_t TypedVectorSource::dim() const noexcept { return vectors_.dim; }

const float* TypedVectorSource::contiguous() const noexcept {
  const bool is_dense = stride_of(vectors_) == vectors_.dim * sizeof(float);
  const bool is_aligned = reinterpret_cast<std::uintptr_t>(vectors_.data) % alignof(float) == 0;
  if (vectors_.type != ValueType::f32 || !is_dense || !is_aligned) return nullptr;
  return static_cast<const float*>(vectors_.data);
}

void TypedVectorSource::read(std::size_t first, std::size_t count, float* out) {
  convert_rows(vectors_, first, count, out);
}

}  // namespace cairn

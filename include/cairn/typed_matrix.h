#pragma once

// Vectors of other types than float32, and rows that do not lie next to each other: views that are
// converted once, where they enter.

#include <cstddef>
#include <cstdint>

#include "cairn/export.h"
#include "cairn/io.h"
#include "cairn/types.h"
#include "cairn/vector_source.h"

namespace cairn {

/// Type of a value in memory, native byte order.
enum class ValueType : std::uint8_t {
  f32 = 0,   ///< float
  f16 = 1,   ///< IEEE half precision: _Float16, Eigen::half, numpy.float16
  bf16 = 2,  ///< bfloat16: the upper 16 bits of a float
  u8 = 3,
  i8 = 4,
};

/// "f32", "f16", "bf16", "u8", "i8".
CAIRN_EXPORT const char* to_string(ValueType type) noexcept;
/// Bytes of one value.
CAIRN_EXPORT std::size_t value_bytes(ValueType type) noexcept;

/// A row-major [rows, dim] matrix of any of these types, borrowed from the caller. All of them
/// convert to float32 exactly. Data needs no alignment.
struct TypedMatrixView {
  ValueType type = ValueType::f32;
  const void* data = nullptr;
  std::size_t rows = 0;
  std::size_t dim = 0;
  std::size_t stride_bytes = 0;  ///< from the begin of a row to that of the next; 0: dense rows
};

/// The values as float32.
/// @throws Error invalid_argument: unknown type, rows without data, a stride below a row's bytes,
///   dim 0 or above kMaxDim, rows above kMaxRows.
CAIRN_EXPORT Matrix<float> to_float(const TypedMatrixView& matrix);

/// The rows of a typed view for ClusteredIndex::build_file(), converted a block at a time, each
/// time they are read. The view's data is borrowed for the life of the source. One thread.
class CAIRN_EXPORT TypedVectorSource final : public VectorSource {
 public:
  /// @throws Error as to_float() does.
  explicit TypedVectorSource(const TypedMatrixView& vectors);

  std::size_t rows() const noexcept override;
  std::size_t dim() const noexcept override;
  /// Not null only if the view is dense, aligned float32 already.
  const float* contiguous() const noexcept override;
  void read(std::size_t first, std::size_t count, float* out) override;

 private:
  TypedMatrixView vectors_;
};

}  // namespace cairn

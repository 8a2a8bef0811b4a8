#pragma once

// Eigen matrices as vectors, without copying them: for those who have Eigen. cairn.h does not
// include this header, and nothing else of Cairn needs Eigen to be used.
//
//   Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> rows(n, dim);
//   auto index = cairn::ClusteredIndex::build(cairn::rows_of(rows));
//   Eigen::MatrixXf columns(dim, n);
//   auto same = cairn::ClusteredIndex::build(cairn::columns_of(columns));
//   Eigen::VectorXf query(dim);
//   auto hits = index.search(cairn::query_of(query));

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include <Eigen/Core>

#include "cairn/typed_matrix.h"

namespace cairn {

/// The ValueType of a scalar: float, Eigen::half, Eigen::bfloat16, std::uint8_t or std::int8_t.
template <typename Scalar>
constexpr ValueType value_type_of() {
  if constexpr (std::is_same_v<Scalar, float>) {
    return ValueType::f32;
  } else if constexpr (std::is_same_v<Scalar, Eigen::half>) {
    return ValueType::f16;
  } else if constexpr (std::is_same_v<Scalar, Eigen::bfloat16>) {
    return ValueType::bf16;
  } else if constexpr (std::is_same_v<Scalar, std::uint8_t>) {
    return ValueType::u8;
  } else {
    static_assert(std::is_same_v<Scalar, std::int8_t>,
                  "expected float, Eigen::half, Eigen::bfloat16, std::uint8_t or std::int8_t");
    return ValueType::i8;
  }
}

/// Each row a vector: a row-major matrix, map or block, whose data is borrowed.
template <typename Derived>
TypedMatrixView rows_of(const Eigen::DenseBase<Derived>& matrix) {
  static_assert(Derived::IsRowMajor, "rows_of: expected a row-major matrix; see columns_of");
  static_assert(
      (int(Derived::Flags) & Eigen::DirectAccessBit) != 0 && Derived::InnerStrideAtCompileTime == 1,
      "expected a matrix with data of its own, the values of a vector side by side");
  return {.type = value_type_of<typename Derived::Scalar>(),
          .data = matrix.derived().data(),
          .rows = static_cast<std::size_t>(matrix.rows()),
          .dim = static_cast<std::size_t>(matrix.cols()),
          .stride_bytes = static_cast<std::size_t>(matrix.derived().outerStride()) *
                          sizeof(typename Derived::Scalar)};
}

/// Each column a vector: a column-major matrix (Eigen's default), map or block, borrowed.
template <typename Derived>
TypedMatrixView columns_of(const Eigen::DenseBase<Derived>& matrix) {
  static_assert(!Derived::IsRowMajor, "columns_of: expected a column-major matrix; see rows_of");
  static_assert(
      (int(Derived::Flags) & Eigen::DirectAccessBit) != 0 && Derived::InnerStrideAtCompileTime == 1,
      "expected a matrix with data of its own, the values of a vector side by side");
  return {.type = value_type_of<typename Derived::Scalar>(),
          .data = matrix.derived().data(),
          .rows = static_cast<std::size_t>(matrix.cols()),
          .dim = static_cast<std::size_t>(matrix.rows()),
          .stride_bytes = static_cast<std::size_t>(matrix.derived().outerStride()) *
                          sizeof(typename Derived::Scalar)};
}

/// One float vector, row or column, borrowed: what ClusteredIndex::search() takes.
template <typename Derived>
std::span<const float> query_of(const Eigen::DenseBase<Derived>& vector) {
  static_assert(Derived::IsVectorAtCompileTime, "query_of: expected a vector");
  static_assert(std::is_same_v<typename Derived::Scalar, float>, "query_of: expected float");
  static_assert(
      (int(Derived::Flags) & Eigen::DirectAccessBit) != 0 && Derived::InnerStrideAtCompileTime == 1,
      "expected a vector with data of its own, its values side by side");
  return {vector.derived().data(), static_cast<std::size_t>(vector.size())};
}

}  // namespace cairn

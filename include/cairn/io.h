#pragma once

// Reading and writing the vector file formats of the field:
//   .fbin .f16bin .u8bin .i8bin .ibin
//                        uint32 n, uint32 d, then n * d float32 / float16 / uint8 / int8 / int32,
//                        little endian
//   .fvecs .bvecs .ivecs per row: int32 d, then d float32 / uint8 / int32
//   .npy                 NumPy 1.0-3.0, 1-d or 2-d, <f2 <f4 <f8 |b1 |u1 |i1 <i4 <u4 <i8 <u8; in
//                        Fortran order read by blocks of rows
//   .u64bin              uint32 n, uint32 k, then n * k uint64: ids
// The format is told by the file name's extension. Every length is checked against the file's size
// before anything is allocated.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include "cairn/export.h"
#include "cairn/types.h"

namespace cairn {

/// A row-major [rows, dim] matrix that owns its values.
template <typename T>
struct Matrix {
  std::vector<T> values;
  std::size_t rows = 0;
  std::size_t dim = 0;

  const T* row(std::size_t i) const noexcept { return values.data() + i * dim; }
};

/// Element type of a vector file.
enum class ElementType : std::uint8_t { f32, f64, u8, i8, i32, u32, i64, u64, f16 };

/// What a vector file says of itself, without reading its rows.
struct VectorFileInfo {
  std::size_t rows = 0;
  std::size_t dim = 0;
  ElementType type = ElementType::f32;
  std::uint64_t file_bytes = 0;
  bool is_list = false;  ///< a .npy of one dimension: `rows` values in one column
};

/// @throws Error not_found, io, corrupt, invalid_argument (unknown extension).
CAIRN_EXPORT VectorFileInfo read_vector_file_info(const std::filesystem::path& path);

/// Rows of any of the formats as float32 (integers converted exactly where float32 can hold them,
/// else refused; float64 rounded, and refused beyond float32's range). At most `max_rows` of them.
/// @throws Error not_found, io, corrupt (size and header disagree: expected and found),
///   invalid_argument (unknown extension).
CAIRN_EXPORT Matrix<float> read_vectors(const std::filesystem::path& path,
                                        std::size_t max_rows = ~std::size_t{0});

/// Integer matrices: ground truth (.ibin, .ivecs, .npy of integers).
CAIRN_EXPORT Matrix<std::int32_t> read_int_matrix(const std::filesystem::path& path);

/// Ids in rows of several: ground truth and results of searches, in any integer format. What is
/// negative in a signed format, and all ones in one of 64 bits, is kNoId.
CAIRN_EXPORT Matrix<VectorId> read_id_matrix(const std::filesystem::path& path);

/// Ids: .u64bin, .ibin or .ivecs with one column, or a 1-d / one-column .npy of integers.
CAIRN_EXPORT std::vector<VectorId> read_ids(const std::filesystem::path& path);

/// Writes .fbin, .fvecs, .npy as float32, or .u8bin, .bvecs if every value is an integer 0..255
/// (else refused, naming row and column). Written under a temporary name and renamed when complete.
CAIRN_EXPORT void write_vectors(const std::filesystem::path& path, MatrixView vectors);

/// Writes .ibin, .ivecs or .npy (int32). Written under a temporary name and renamed when complete.
CAIRN_EXPORT void write_int_matrix(const std::filesystem::path& path, const std::int32_t* values,
                                   std::size_t rows, std::size_t dim);

/// Writes .u64bin or .npy (uint64).
CAIRN_EXPORT void write_ids(const std::filesystem::path& path, const std::vector<VectorId>& ids);

struct BatchResult;

/// Writes the ids of `result`, a row for each query, as .u64bin or .npy (uint64), or as .ibin or
/// .ivecs if int32 holds all of them (else refused, naming row and column). kNoId is -1 in these.
/// `distances` gets the distances, as write_vectors() does, unless empty. Both files or none.
CAIRN_EXPORT void write_result(const std::filesystem::path& ids,
                               const std::filesystem::path& distances, const BatchResult& result);

/// Writes `text` as it is. Like all of these, under a temporary name that is renamed when complete;
/// see docs/files.md for what may be written over.
CAIRN_EXPORT void write_text(const std::filesystem::path& path, std::string_view text);

}  // namespace cairn

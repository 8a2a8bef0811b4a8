#pragma once

// Where the values of a vector file lie, whatever its format: what the readers behind cairn/io.h go
// by. The formats themselves are described there.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <type_traits>

#include "cairn/error.h"
#include "cairn/io.h"

#include "storage/file.h"
#include "storage/float_bits.h"

namespace cairn::storage {

enum class VectorFormat : std::uint8_t { bin, vecs, npy };

// What a file name's extension promises.
struct VectorFileType {
  VectorFormat format = VectorFormat::bin;
  ElementType element = ElementType::f32;  // of .npy: told by the header, f32 here
};

struct VectorLayout {
  ElementType element = ElementType::f32;
  std::uint64_t rows = 0;
  std::uint64_t dim = 0;
  std::uint64_t first_value = 0;  // offset of the first row's first value
  std::uint64_t row_gap = 0;      // bytes between one row's last value and the next row's first
  bool is_column_major = false;   // a column's values lie side by side, without gaps
  bool is_list = false;           // a .npy of one dimension
};

// A half-precision value of a file.
struct Half {
  std::uint16_t bits;

  explicit operator float() const noexcept { return from_half(bits); }
  explicit operator double() const noexcept { return static_cast<double>(from_half(bits)); }
};

// "vectors.fbin: " + `problem` as an Error.
[[noreturn]] void fail_vector_file(ErrorCode code, const std::filesystem::path& path,
                                   const std::string& problem);

// Throws Error(invalid_argument) for an unknown extension; case does not matter.
VectorFileType vector_file_type(const std::filesystem::path& path);

// Reads the header and holds it against the file's size. A layout that this returns has at least
// one row and one column, and all of its values lie inside the file. Throws Error: corrupt, io,
// invalid_argument (kinds of .npy that are not read).
VectorLayout read_vector_layout(const File& file, VectorFileType type);

std::size_t element_bytes(ElementType type) noexcept;
// "float32", "uint8", ...
const char* element_name(ElementType type) noexcept;

// A value for a message: integers in full, others to 9 digits.
template <typename T>
std::string format_value(T value) {
  if constexpr (std::is_integral_v<T>) {
    return std::to_string(value);
  } else {
    char text[32];
    std::snprintf(text, sizeof text, "%.9g", static_cast<double>(value));
    return text;
  }
}

// Calls visit(std::type_identity<T>{}) with the C++ type of `type`.
template <typename Visit>
auto visit_element_type(ElementType type, Visit&& visit) {
  switch (type) {
    case ElementType::f32:
      return visit(std::type_identity<float>{});
    case ElementType::f64:
      return visit(std::type_identity<double>{});
    case ElementType::u8:
      return visit(std::type_identity<std::uint8_t>{});
    case ElementType::i8:
      return visit(std::type_identity<std::int8_t>{});
    case ElementType::i32:
      return visit(std::type_identity<std::int32_t>{});
    case ElementType::u32:
      return visit(std::type_identity<std::uint32_t>{});
    case ElementType::i64:
      return visit(std::type_identity<std::int64_t>{});
    case ElementType::f16:
      return visit(std::type_identity<Half>{});
    case ElementType::u64:
      break;
  }
  return visit(std::type_identity<std::uint64_t>{});
}

}  // namespace cairn::storage

#include "storage/vector_file_layout.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cctype>
#include <cstring>
#include <span>

#include "storage/vector_file_npy.h"

namespace cairn::storage {
namespace {

static_assert(std::endian::native == std::endian::little, "vector files are little-endian");

struct Extension {
  const char* name;
  VectorFileType type;
};

constexpr std::array<Extension, 10> kExtensions{{
    {".fbin", {VectorFormat::bin, ElementType::f32}},
    {".f16bin", {VectorFormat::bin, ElementType::f16}},
    {".u8bin", {VectorFormat::bin, ElementType::u8}},
    {".i8bin", {VectorFormat::bin, ElementType::i8}},
    {".ibin", {VectorFormat::bin, ElementType::i32}},
    {".u64bin", {VectorFormat::bin, ElementType::u64}},
    {".fvecs", {VectorFormat::vecs, ElementType::f32}},
    {".bvecs", {VectorFormat::vecs, ElementType::u8}},
    {".ivecs", {VectorFormat::vecs, ElementType::i32}},
    {".npy", {VectorFormat::npy, ElementType::f32}},
}};

// Formats that people have and this library does not read, and what to do.
struct ForeignExtension {
  const char* name;
  const char* advice;
};

constexpr const char* kHdf5Advice =
    "HDF5 is not read; numpy.save('vectors.npy', h5py.File(...)['train'][:]) converts a data set "
    "of it";
constexpr std::array<ForeignExtension, 7> kForeignExtensions{{
    {".bin",
     "the name does not tell the type of values; rename it to .fbin (float32), .f16bin, "
     ".u8bin, .i8bin or .ibin (int32), whose header of two uint32 is the same"},
    {".npz",
     "an archive of arrays is not read; numpy.save('vectors.npy', numpy.load(...)['name']) "
     "takes one out"},
    {".hdf5", kHdf5Advice},
    {".h5", kHdf5Advice},
    {".parquet",
     "Parquet is not read; numpy.save('vectors.npy', numpy.stack(column)) converts a "
     "column of vectors"},
    {".csv",
     "text is not read; numpy.save('vectors.npy', numpy.loadtxt(..., delimiter=',')) "
     "converts it"},
    {".txt", "text is not read; numpy.save('vectors.npy', numpy.loadtxt(...)) converts it"},
}};

std::string describe(const VectorLayout& layout) {
  return std::to_string(layout.rows) + " x " + std::to_string(layout.dim) + " values of " +
         element_name(layout.element);
}

template <std::size_t N>
std::array<std::uint32_t, N> read_words(const File& file) {
  if (file.size() < sizeof(std::uint32_t) * N) {
    fail_vector_file(ErrorCode::corrupt, file.path(),
                     "expected a header of " + std::to_string(sizeof(std::uint32_t) * N) +
                         " bytes; the file has " + std::to_string(file.size()));
  }
  std::array<std::uint32_t, N> words;
  file.read_at(0, std::as_writable_bytes(std::span(words)));
  return words;
}

void require_values(const File& file, const VectorLayout& layout) {
  if (layout.rows == 0 || layout.dim == 0) {
    fail_vector_file(
        ErrorCode::corrupt, file.path(),
        "the header says " + describe(layout) + "; expected at least one row and one column");
  }
}

// For formats whose values are dense and end with the file.
void require_exact_size(const File& file, const VectorLayout& layout) {
  std::uint64_t bytes = 0;
  const bool overflows =
      __builtin_mul_overflow(layout.rows, layout.dim, &bytes) ||
      __builtin_mul_overflow(bytes, std::uint64_t{element_bytes(layout.element)}, &bytes) ||
      __builtin_add_overflow(bytes, layout.first_value, &bytes);
  if (overflows || bytes != file.size()) {
    fail_vector_file(
        ErrorCode::corrupt, file.path(),
        "the header says " + describe(layout) + ", so expected " +
            (overflows ? "more bytes than a file can have" : std::to_string(bytes) + " bytes") +
            "; the file has " + std::to_string(file.size()));
  }
}

VectorLayout read_bin_layout(const File& file, ElementType element) {
  const auto [rows, dim] = read_words<2>(file);
  VectorLayout layout;
  layout.element = element;
  layout.rows = rows;
  layout.dim = dim;
  layout.first_value = 2 * sizeof(std::uint32_t);
  require_values(file, layout);
  require_exact_size(file, layout);
  return layout;
}

VectorLayout read_vecs_layout(const File& file, ElementType element) {
  constexpr std::uint64_t kPrefix = sizeof(std::int32_t);
  const auto dim = static_cast<std::int32_t>(read_words<1>(file)[0]);
  if (dim <= 0) {
    fail_vector_file(ErrorCode::corrupt, file.path(),
                     "row 0 has dimension " + std::to_string(dim) + "; expected at least 1");
  }
  const std::uint64_t row_bytes =
      kPrefix + static_cast<std::uint64_t>(dim) * element_bytes(element);
  if (file.size() % row_bytes != 0) {
    fail_vector_file(ErrorCode::corrupt, file.path(),
                     "row 0 has dimension " + std::to_string(dim) + ", so expected a multiple of " +
                         std::to_string(row_bytes) + " bytes; the file has " +
                         std::to_string(file.size()));
  }
  VectorLayout layout;
  layout.element = element;
  layout.rows = file.size() / row_bytes;
  layout.dim = static_cast<std::uint64_t>(dim);
  layout.first_value = kPrefix;
  layout.row_gap = kPrefix;
  return layout;
}

}  // namespace

void fail_vector_file(ErrorCode code, const std::filesystem::path& path,
                      const std::string& problem) {
  throw Error(code, path.string() + ": " + problem);
}

VectorFileType vector_file_type(const std::filesystem::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(), [](char c) {
    return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  });
  std::string known;
  for (const Extension& candidate : kExtensions) {
    if (extension == candidate.name) return candidate.type;
    known += (known.empty() ? "" : ", ") + std::string(candidate.name);
  }
  std::string problem = "unknown extension '" + extension + "'";
  for (const ForeignExtension& foreign : kForeignExtensions) {
    if (extension == foreign.name) problem += std::string(" (") + foreign.advice + ")";
  }
  fail_vector_file(ErrorCode::invalid_argument, path, problem + "; expected one of " + known);
}

VectorLayout read_vector_layout(const File& file, VectorFileType type) {
  switch (type.format) {
    case VectorFormat::bin:
      return read_bin_layout(file, type.element);
    case VectorFormat::vecs:
      return read_vecs_layout(file, type.element);
    case VectorFormat::npy:
      break;
  }
  const VectorLayout layout = read_npy_layout(file);
  require_values(file, layout);
  require_exact_size(file, layout);
  return layout;
}

std::size_t element_bytes(ElementType type) noexcept {
  return visit_element_type(type, []<typename T>(std::type_identity<T>) { return sizeof(T); });
}

const char* element_name(ElementType type) noexcept {
  switch (type) {
    case ElementType::f32:
      return "float32";
    case ElementType::f64:
      return "float64";
    case ElementType::u8:
      return "uint8";
    case ElementType::i8:
      return "int8";
    case ElementType::i32:
      return "int32";
    case ElementType::u32:
      return "uint32";
    case ElementType::i64:
      return "int64";
    case ElementType::u64:
      return "uint64";
    case ElementType::f16:
      return "float16";
  }
  return "unknown";
}

}  // namespace cairn::storage

// The writing half of cairn/io.h.

#include <algorithm>
#include <array>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "cairn/clustered_index.h"
#include "cairn/error.h"
#include "cairn/io.h"

#include "base/checked.h"
#include "storage/atomic_file.h"
#include "storage/vector_file_layout.h"
#include "storage/vector_file_npy.h"

namespace cairn {
namespace {

using storage::fail_vector_file;
using storage::VectorFileType;
using storage::VectorFormat;

constexpr std::size_t kWriteBytes = std::size_t{1} << 20;

// Appends to a file through a buffer.
class Appender {
 public:
  explicit Appender(storage::File& file) : file_(file) { buffer_.reserve(kWriteBytes); }

  void append(std::span<const std::byte> bytes) {
    if (buffer_.size() + bytes.size() > kWriteBytes) flush();
    if (bytes.size() >= kWriteBytes) {
      write(bytes);
    } else {
      buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
    }
  }

  template <typename T>
  void append_value(const T& value) {
    append(std::as_bytes(std::span(&value, 1)));
  }

  void flush() {
    write(buffer_);
    buffer_.clear();
  }

 private:
  void write(std::span<const std::byte> bytes) {
    file_.write_at(offset_, bytes);
    offset_ += bytes.size();
  }

  storage::File& file_;
  std::uint64_t offset_ = 0;
  std::vector<std::byte> buffer_;
};

template <typename T>
struct Source {
  const T* values;
  std::size_t rows;
  std::size_t dim;
};

void check_shape(const std::filesystem::path& path, VectorFileType type, std::size_t rows,
                 std::size_t dim) {
  const std::size_t max_rows = type.format == VectorFormat::bin
                                   ? std::numeric_limits<std::uint32_t>::max()
                                   : std::numeric_limits<std::size_t>::max();
  const std::size_t max_dim = type.format == VectorFormat::vecs
                                  ? std::numeric_limits<std::int32_t>::max()
                                  : std::numeric_limits<std::uint32_t>::max();
  if (rows < 1 || dim < 1 || rows > max_rows || dim > max_dim) {
    fail_vector_file(ErrorCode::invalid_argument, path,
                     "cannot write " + std::to_string(rows) + " x " + std::to_string(dim) +
                         " values; expected 1 to " + std::to_string(max_rows) + " rows and 1 to " +
                         std::to_string(max_dim) + " columns");
  }
  // Eight bytes is what the largest element takes.
  if (base::is_beyond_memory(rows, dim, sizeof(std::uint64_t))) {
    fail_vector_file(ErrorCode::invalid_argument, path,
                     "cannot write " + std::to_string(rows) + " x " + std::to_string(dim) +
                         " values; no memory holds so many");
  }
}

void check_result(const std::filesystem::path& path, const BatchResult& result,
                  bool has_distances) {
  const bool fits = !base::is_beyond_memory(result.queries, result.k, sizeof(VectorId));
  const std::size_t results = fits ? result.queries * result.k : 0;
  if (!fits || result.ids.size() != results ||
      (has_distances && result.distances.size() != results)) {
    fail_vector_file(ErrorCode::invalid_argument, path,
                     "the result has " + std::to_string(result.ids.size()) + " ids and " +
                         std::to_string(result.distances.size()) + " distances; expected " +
                         std::to_string(result.queries) + " times " + std::to_string(result.k));
  }
}

// The row as bytes of a file whose elements are uint8.
void narrow_row(const std::filesystem::path& path, const float* values, std::size_t row,
                std::span<std::uint8_t> out) {
  for (std::size_t column = 0; column < out.size(); ++column) {
    const float value = values[column];
    if (!(value >= 0 && value <= 255) ||
        static_cast<float>(static_cast<std::uint8_t>(value)) != value) {
      fail_vector_file(ErrorCode::invalid_argument, path,
                       "row " + std::to_string(row) + ", column " + std::to_string(column) +
                           " is " + storage::format_value(value) +
                           "; uint8 holds integers 0 to 255");
    }
    out[column] = static_cast<std::uint8_t>(value);
  }
}

template <typename T>
void append_header(Appender& out, VectorFileType type, const Source<T>& source, bool is_list) {
  if (type.format == VectorFormat::bin) {
    out.append_value(static_cast<std::uint32_t>(source.rows));
    out.append_value(static_cast<std::uint32_t>(source.dim));
  } else if (type.format == VectorFormat::npy) {
    const std::string header =
        storage::make_npy_header(type.element, source.rows, is_list ? 0 : source.dim);
    out.append(std::as_bytes(std::span(header)));
  }
}

template <typename T>
void append_matrix(storage::AtomicFile& target, const std::filesystem::path& path,
                   VectorFileType type, const Source<T>& source, bool is_list) {
  Appender out(target.file());
  append_header(out, type, source, is_list);
  std::vector<std::uint8_t> narrow;
  for (std::size_t row = 0; row < source.rows; ++row) {
    if (type.format == VectorFormat::vecs) {
      out.append_value(static_cast<std::int32_t>(source.dim));
    }
    const T* const values = source.values + row * source.dim;
    if constexpr (std::is_same_v<T, float>) {
      if (type.element == ElementType::u8) {
        narrow.resize(source.dim);
        narrow_row(path, values, row, narrow);
        out.append(std::as_bytes(std::span(narrow)));
        continue;
      }
    }
    out.append(std::as_bytes(std::span(values, source.dim)));
  }
  out.flush();
}

template <typename T>
void write_matrix(const std::filesystem::path& path, VectorFileType type, const Source<T>& source,
                  bool is_list = false) {
  check_shape(path, type, source.rows, source.dim);
  storage::AtomicFile target(path);
  append_matrix(target, path, type, source, is_list);
  target.commit();
}

[[noreturn]] void refuse_extension(const std::filesystem::path& path, const char* what,
                                   const char* expected) {
  fail_vector_file(ErrorCode::invalid_argument, path,
                   std::string("cannot hold ") + what + "; expected " + expected);
}

VectorFileType float_type(const std::filesystem::path& path) {
  const VectorFileType type = storage::vector_file_type(path);
  if (type.element != ElementType::f32 && type.element != ElementType::u8) {
    refuse_extension(path, "vectors", ".fbin, .fvecs, .npy, .u8bin or .bvecs");
  }
  return type;
}

// Ids as int32, -1 where there is none.
std::vector<std::int32_t> narrow_ids(const std::filesystem::path& path,
                                     const Source<VectorId>& ids) {
  std::vector<std::int32_t> narrow(ids.rows * ids.dim, -1);
  for (std::size_t i = 0; i < narrow.size(); ++i) {
    const VectorId id = ids.values[i];
    if (id == kNoId) continue;
    if (!std::in_range<std::int32_t>(id)) {
      fail_vector_file(ErrorCode::invalid_argument, path,
                       "id " + std::to_string(id) + " in row " + std::to_string(i / ids.dim) +
                           ", column " + std::to_string(i % ids.dim) +
                           " does not fit int32, which the format holds; .u64bin and .npy hold all "
                           "ids");
    }
    narrow[i] = static_cast<std::int32_t>(id);
  }
  return narrow;
}

void append_ids(storage::AtomicFile& target, const std::filesystem::path& path,
                const Source<VectorId>& ids) {
  VectorFileType type = storage::vector_file_type(path);
  if (type.format == VectorFormat::npy) type.element = ElementType::u64;
  check_shape(path, type, ids.rows, ids.dim);
  if (type.element == ElementType::i32) {
    const std::vector<std::int32_t> narrow = narrow_ids(path, ids);
    append_matrix<std::int32_t>(target, path, type, {narrow.data(), ids.rows, ids.dim}, false);
  } else if (type.element == ElementType::u64) {
    append_matrix(target, path, type, ids, false);
  } else {
    refuse_extension(path, "ids of several columns", ".u64bin, .npy, .ibin or .ivecs");
  }
}

}  // namespace

void write_vectors(const std::filesystem::path& path, MatrixView vectors) {
  write_matrix<float>(path, float_type(path), {vectors.data, vectors.rows, vectors.dim});
}

void write_int_matrix(const std::filesystem::path& path, const std::int32_t* values,
                      std::size_t rows, std::size_t dim) {
  VectorFileType type = storage::vector_file_type(path);
  if (type.format == VectorFormat::npy) type.element = ElementType::i32;
  if (type.element != ElementType::i32) {
    refuse_extension(path, "integers", ".ibin, .ivecs or .npy");
  }
  write_matrix<std::int32_t>(path, type, {values, rows, dim});
}

void write_ids(const std::filesystem::path& path, const std::vector<VectorId>& ids) {
  VectorFileType type = storage::vector_file_type(path);
  if (type.format == VectorFormat::npy) type.element = ElementType::u64;
  if (type.element != ElementType::u64) refuse_extension(path, "ids", ".u64bin or .npy");
  write_matrix<VectorId>(path, type, {ids.data(), ids.size(), 1}, true);
}

void write_result(const std::filesystem::path& ids, const std::filesystem::path& distances,
                  const BatchResult& result) {
  check_result(ids, result, !distances.empty());
  storage::AtomicFile ids_file(ids);
  append_ids(ids_file, ids, {result.ids.data(), result.queries, result.k});
  if (distances.empty()) return ids_file.commit();
  const VectorFileType type = float_type(distances);
  if (storage::resolve_target(ids) == storage::resolve_target(distances)) {
    fail_vector_file(ErrorCode::invalid_argument, ids, "ids and distances need a file each");
  }
  storage::AtomicFile distances_file(distances);
  append_matrix<float>(distances_file, distances, type,
                       {result.distances.data(), result.queries, result.k}, false);
  commit_both(ids_file, distances_file);
}

void write_text(const std::filesystem::path& path, std::string_view text) {
  storage::AtomicFile file(path);
  file.file().write_at(0, std::as_bytes(std::span(text)));
  file.commit();
}

}  // namespace cairn

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include "cairn/error.h"
#include "cairn/io.h"
#include "cairn/vector_source.h"

#include "storage/file.h"
#include "storage/vector_file_layout.h"

namespace cairn {
namespace {

using storage::fail_vector_file;
using storage::File;
using storage::VectorLayout;

constexpr std::size_t kReadBytes = std::size_t{1} << 20;

// An integer that its float32 equals exactly: no more than 24 bits between the first one and the
// last.
template <typename Source>
bool fits_float32(Source value) noexcept {
  auto magnitude = static_cast<std::uint64_t>(value);
  if (std::is_signed_v<Source> && value < 0) magnitude = 0 - magnitude;
  constexpr int kMantissaBits = std::numeric_limits<float>::digits;
  return magnitude == 0 || std::bit_width(magnitude) - std::countr_zero(magnitude) <= kMantissaBits;
}

template <typename Target, typename Source>
bool is_convertible(Source value) noexcept {
  if constexpr (std::is_same_v<Source, float> || std::is_same_v<Source, storage::Half>) {
    return true;
  } else if constexpr (std::is_same_v<Source, double>) {
    return !std::isfinite(value) || std::isfinite(static_cast<float>(value));
  } else if constexpr (std::is_same_v<Target, float>) {
    return sizeof(Source) == 1 || fits_float32(value);
  } else {
    return std::in_range<Target>(value);
  }
}

template <typename Target>
const char* target_name() noexcept {
  if (std::is_same_v<Target, float>) return "float32";
  if (std::is_same_v<Target, std::int64_t>) return "int64";
  return std::is_same_v<Target, std::int32_t> ? "int32" : "an id";
}

template <typename Target, typename Source>
void convert(const File& file, const VectorLayout& layout, const std::byte* bytes,
             std::uint64_t first, std::uint64_t count, Target* out) {
  for (std::uint64_t i = 0; i < count; ++i) {
    Source value;
    std::memcpy(&value, bytes + i * sizeof(Source), sizeof(Source));
    if (!is_convertible<Target>(value)) {
      fail_vector_file(ErrorCode::invalid_argument, file.path(),
                       "row " + std::to_string((first + i) / layout.dim) + ", column " +
                           std::to_string((first + i) % layout.dim) + " is " +
                           storage::format_value(value) + ", which " + target_name<Target>() +
                           " cannot hold");
    }
    out[i] = static_cast<Target>(value);
  }
}

// Values [first, first + count), counted over all rows.
template <typename Target, typename Source>
void read_dense(const File& file, const VectorLayout& layout, std::uint64_t first,
                std::uint64_t count, Target* out) {
  if constexpr (std::is_same_v<Target, Source>) {
    file.read_at(layout.first_value + first * sizeof(Source),
                 std::as_writable_bytes(std::span(out, count)));
  } else {
    std::vector<std::byte> buffer(std::min<std::uint64_t>(kReadBytes, count * sizeof(Source)));
    const std::uint64_t capacity = kReadBytes / sizeof(Source);
    for (std::uint64_t done = 0; done < count; done += capacity) {
      const std::uint64_t n = std::min(capacity, count - done);
      const std::span<std::byte> bytes = std::span(buffer).first(n * sizeof(Source));
      file.read_at(layout.first_value + (first + done) * sizeof(Source), bytes);
      convert<Target, Source>(file, layout, bytes.data(), first + done, n, out + done);
    }
  }
}

// Rows [first, first + count) that each repeat the dimension.
template <typename Target, typename Source>
void read_prefixed(const File& file, const VectorLayout& layout, std::uint64_t first,
                   std::uint64_t count, Target* out) {
  const std::uint64_t row_bytes = layout.row_gap + layout.dim * sizeof(Source);
  const std::uint64_t capacity = std::max<std::uint64_t>(1, kReadBytes / row_bytes);
  std::vector<std::byte> buffer(std::min(capacity, count) * row_bytes);
  for (std::uint64_t done = 0; done < count; done += capacity) {
    const std::uint64_t n = std::min(capacity, count - done);
    file.read_at((first + done) * row_bytes, std::span(buffer).first(n * row_bytes));
    for (std::uint64_t i = 0; i < n; ++i) {
      const std::byte* const row = buffer.data() + i * row_bytes;
      std::int32_t dim;
      std::memcpy(&dim, row, sizeof dim);
      if (static_cast<std::uint64_t>(dim) != layout.dim) {
        fail_vector_file(ErrorCode::corrupt, file.path(),
                         "row " + std::to_string(first + done + i) + " has dimension " +
                             std::to_string(dim) + "; expected " + std::to_string(layout.dim) +
                             " as in row 0");
      }
      convert<Target, Source>(file, layout, row + layout.row_gap, (first + done + i) * layout.dim,
                              layout.dim, out + (done + i) * layout.dim);
    }
  }
}

// How many rows are read together from a file of columns: few enough for memory, enough for long
// reads.
std::uint64_t column_block_rows(const VectorLayout& layout) {
  constexpr std::uint64_t kBlockBytes = std::uint64_t{8} << 20;
  return std::max<std::uint64_t>(1, kBlockBytes / (layout.dim * sizeof(float)));
}

// Rows [first, first + count) of a file that holds one column after the other: a block of rows is
// read column by column and turned around in tiles, whose rows share the lines of the cache.
template <typename Target, typename Source>
void read_columns(const File& file, const VectorLayout& layout, std::uint64_t first,
                  std::uint64_t count, Target* out) {
  constexpr std::uint64_t kTileRows = 16;
  const std::uint64_t capacity = std::min(count, column_block_rows(layout));
  std::vector<std::byte> buffer(capacity * layout.dim * sizeof(Source));
  for (std::uint64_t done = 0; done < count; done += capacity) {
    const std::uint64_t n = std::min(capacity, count - done);
    const std::uint64_t column_bytes = n * sizeof(Source);
    for (std::uint64_t column = 0; column < layout.dim; ++column) {
      file.read_at(layout.first_value + (column * layout.rows + first + done) * sizeof(Source),
                   std::span(buffer).subspan(column * column_bytes, column_bytes));
    }
    for (std::uint64_t tile = 0; tile < n; tile += kTileRows) {
      for (std::uint64_t column = 0; column < layout.dim; ++column) {
        for (std::uint64_t row = tile; row < std::min(tile + kTileRows, n); ++row) {
          const std::byte* const from =
              buffer.data() + column * column_bytes + row * sizeof(Source);
          convert<Target, Source>(file, layout, from, (first + done + row) * layout.dim + column, 1,
                                  out + (done + row) * layout.dim + column);
        }
      }
    }
  }
}

template <typename Target>
void read_rows(const File& file, const VectorLayout& layout, std::uint64_t first,
               std::uint64_t count, Target* out) {
  storage::visit_element_type(layout.element, [&]<typename Source>(std::type_identity<Source>) {
    if constexpr (std::is_integral_v<Target> && !std::is_integral_v<Source>) {
      fail_vector_file(ErrorCode::invalid_argument, file.path(),
                       std::string("holds ") + storage::element_name(layout.element) +
                           " values; expected integers");
    } else if (layout.is_column_major) {
      read_columns<Target, Source>(file, layout, first, count, out);
    } else if (layout.row_gap == 0) {
      read_dense<Target, Source>(file, layout, first * layout.dim, count * layout.dim, out);
    } else {
      read_prefixed<Target, Source>(file, layout, first, count, out);
    }
  });
}

template <typename Target>
Matrix<Target> read_matrix(const File& file, const VectorLayout& layout, std::uint64_t max_rows) {
  Matrix<Target> matrix;
  matrix.rows = std::min(layout.rows, max_rows);
  matrix.dim = layout.dim;
  matrix.values.resize(matrix.rows * matrix.dim);
  read_rows<Target>(file, layout, 0, matrix.rows, matrix.values.data());
  return matrix;
}

struct OpenVectorFile {
  File file;
  VectorLayout layout;
};

OpenVectorFile open_vector_file(const std::filesystem::path& path) {
  const storage::VectorFileType type = storage::vector_file_type(path);
  File file = File::open_for_reading(path);
  const VectorLayout layout = read_vector_layout(file, type);
  return {std::move(file), layout};
}

}  // namespace

struct FileVectorSource::Impl {
  OpenVectorFile open;
  // Of a file of columns, whose single rows are dear: the rows around those asked for last.
  Matrix<float> block = {};
  std::uint64_t block_first = 0;

  const float* row_of_columns(std::uint64_t row) {
    if (row < block_first || row >= block_first + block.rows) {
      const std::uint64_t rows = column_block_rows(open.layout);
      block.rows = 0;
      block_first = row / rows * rows;
      const std::uint64_t count = std::min(rows, open.layout.rows - block_first);
      block.dim = open.layout.dim;
      block.values.resize(count * block.dim);
      read_rows<float>(open.file, open.layout, block_first, count, block.values.data());
      block.rows = count;
    }
    return block.row(row - block_first);
  }
};

FileVectorSource::FileVectorSource(const std::filesystem::path& path)
    : impl_(std::make_unique<Impl>(Impl{open_vector_file(path)})) {}

FileVectorSource::~FileVectorSource() = default;

std::size_t FileVectorSource::rows() const noexcept { return impl_->open.layout.rows; }
std::size_t FileVectorSource::dim() const noexcept { return impl_->open.layout.dim; }

void FileVectorSource::read(std::size_t first, std::size_t count, float* out) {
  if (impl_->open.layout.is_column_major) {
    for (std::size_t i = 0; i < count; ++i) {
      std::copy_n(impl_->row_of_columns(first + i), dim(), out + i * dim());
    }
    return;
  }
  read_rows<float>(impl_->open.file, impl_->open.layout, first, count, out);
}

bool FileVectorSource::reads_from(const std::filesystem::path& path) const {
  return impl_->open.file.is_at(path);
}

VectorFileInfo read_vector_file_info(const std::filesystem::path& path) {
  const auto [file, layout] = open_vector_file(path);
  return {layout.rows, layout.dim, layout.element, file.size(), layout.is_list};
}

Matrix<float> read_vectors(const std::filesystem::path& path, std::size_t max_rows) {
  const auto [file, layout] = open_vector_file(path);
  return read_matrix<float>(file, layout, max_rows);
}

Matrix<std::int32_t> read_int_matrix(const std::filesystem::path& path) {
  const auto [file, layout] = open_vector_file(path);
  return read_matrix<std::int32_t>(file, layout, layout.rows);
}

Matrix<VectorId> read_id_matrix(const std::filesystem::path& path) {
  const auto [file, layout] = open_vector_file(path);
  const bool is_signed = layout.element == ElementType::i8 || layout.element == ElementType::i32 ||
                         layout.element == ElementType::i64;
  if (!is_signed) return read_matrix<VectorId>(file, layout, layout.rows);
  const Matrix<std::int64_t> found = read_matrix<std::int64_t>(file, layout, layout.rows);
  Matrix<VectorId> ids{{}, found.rows, found.dim};
  ids.values.reserve(found.values.size());
  for (const std::int64_t id : found.values) {
    ids.values.push_back(id < 0 ? kNoId : static_cast<VectorId>(id));
  }
  return ids;
}

std::vector<VectorId> read_ids(const std::filesystem::path& path) {
  const auto [file, layout] = open_vector_file(path);
  if (layout.dim != 1) {
    fail_vector_file(ErrorCode::invalid_argument, path,
                     std::to_string(layout.dim) + " columns; ids are one column");
  }
  return std::move(read_matrix<VectorId>(file, layout, layout.rows).values);
}

}  // namespace cairn

#include "cli/query_file.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>

#include <unistd.h>

#include <cairn/error.h>

namespace cairn::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kStandardInput = "standard input";

[[noreturn]] void refuse(const std::string& name, const std::string& problem) {
  throw Error(ErrorCode::invalid_argument, name + ": " + problem);
}

std::string read_standard_input() {
  std::string bytes;
  std::array<char, 1 << 16> buffer;
  while (const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), stdin)) {
    bytes.append(buffer.data(), count);
  }
  if (std::ferror(stdin) != 0) throw Error(ErrorCode::io, "cannot read standard input");
  if (bytes.empty()) refuse(kStandardInput, "is empty; expected queries");
  return bytes;
}

// A file of these bytes under a name with this extension, for as long as the object lives.
class TemporaryFile {
 public:
  TemporaryFile(const std::string& bytes, const std::string& extension) {
    std::string pattern = (fs::temp_directory_path() / "cairn-stdin-XXXXXX").string() + extension;
    const int descriptor = ::mkstemps(pattern.data(), static_cast<int>(extension.size()));
    if (descriptor < 0) throw Error(ErrorCode::io, "cannot create " + pattern);
    ::close(descriptor);
    path_ = pattern;
    write_text(path_, bytes);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    std::error_code ignored;
    fs::remove(path_, ignored);
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

// Numbers separated by spaces, commas or semicolons, a query a line; empty lines are passed over.
Matrix<float> parse_lines(const std::string& text) {
  Matrix<float> matrix;
  std::istringstream lines(text);
  std::size_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    std::size_t columns = 0;
    const char* at = line.c_str();
    while (*(at += std::strspn(at, " \t\r,;[]")) != '\0') {
      char* end = nullptr;
      const float value = std::strtof(at, &end);
      if (end == at) {
        refuse(kStandardInput, "line " + std::to_string(number) + ", value " +
                                   std::to_string(columns) + " is no number");
      }
      at = end;
      matrix.values.push_back(value);
      ++columns;
    }
    if (columns == 0) continue;
    if (matrix.rows > 0 && columns != matrix.dim) {
      refuse(kStandardInput, "line " + std::to_string(number) + " has " + std::to_string(columns) +
                                 " numbers; expected " + std::to_string(matrix.dim) + " as before");
    }
    matrix.dim = columns;
    ++matrix.rows;
  }
  if (matrix.rows == 0) refuse(kStandardInput, "holds no numbers");
  return matrix;
}

bool is_text(const std::string& bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char c) {
    return (c >= ' ' && c <= '~') || c == '\n' || c == '\t' || c == '\r';
  });
}

struct Queries {
  Matrix<float> vectors;
  bool is_list = false;
};

Queries read_file(const fs::path& path, std::size_t max_rows) {
  const bool is_list = read_vector_file_info(path).is_list;
  return {read_vectors(path, is_list ? ~std::size_t{0} : max_rows), is_list};
}

Queries read_standard_input_as_queries(std::size_t max_rows) {
  const std::string bytes = read_standard_input();
  if (is_text(bytes)) return {parse_lines(bytes), false};
  const bool is_npy = std::string_view(bytes).starts_with("\x93NUMPY");
  const TemporaryFile file(bytes, is_npy ? ".npy" : ".fbin");
  try {
    return read_file(file.path(), max_rows);
  } catch (const Error& error) {
    const std::string message = error.what();
    const std::string name = file.path().string();
    const std::size_t at = message.find(name);
    throw Error(error.code(), at == std::string::npos
                                  ? message
                                  : std::string(message).replace(at, name.size(), kStandardInput));
  }
}

void cut(Matrix<float>& matrix, std::size_t max_rows) {
  matrix.rows = std::min(matrix.rows, max_rows);
  matrix.values.resize(matrix.rows * matrix.dim);
}

}  // namespace

Matrix<float> read_query_vectors(const fs::path& path, std::size_t dim, std::size_t max_rows) {
  Queries queries =
      path == "-" ? read_standard_input_as_queries(max_rows) : read_file(path, max_rows);
  Matrix<float>& vectors = queries.vectors;
  const bool is_one_query = queries.is_list && vectors.rows == dim;
  if (is_one_query) std::swap(vectors.rows, vectors.dim);
  if (vectors.dim != dim) {
    refuse(path == "-" ? kStandardInput : path.string(),
           queries.is_list ? "one query of " + std::to_string(vectors.rows) + " values; expected " +
                                 std::to_string(dim)
                           : "queries have dimension " + std::to_string(vectors.dim) +
                                 "; expected that of the index, " + std::to_string(dim));
  }
  cut(vectors, max_rows);
  return std::move(vectors);
}

Matrix<float> read_queries(const fs::path& path, const ClusteredIndex& index,
                           std::size_t max_rows) {
  Matrix<float> queries = read_query_vectors(path, index.dim(), max_rows);
  const std::string name = path == "-" ? kStandardInput : path.string();
  for (std::size_t row = 0; row < queries.rows; ++row) {
    const float* const begin = queries.row(row);
    const float* const end = begin + queries.dim;
    const float* const bad = std::find_if_not(begin, end, [](float x) { return std::isfinite(x); });
    if (bad != end) {
      refuse(name, "row " + std::to_string(row) + ", column " + std::to_string(bad - begin) +
                       " is " + std::to_string(*bad) + "; expected finite values");
    }
    if (index.metric() == Metric::cosine &&
        std::all_of(begin, end, [](float x) { return x == 0; })) {
      refuse(name, "row " + std::to_string(row) + " is zero; the cosine metric needs a direction");
    }
  }
  return queries;
}

}  // namespace cairn::cli

#include "index/validate.h"

#include <atomic>
#include <cmath>
#include <cstdio>
#include <string>

#include "cairn/error.h"

#include "base/checked.h"
#include "base/parallel.h"
#include "index/metric_distance.h"

namespace cairn::index {
namespace {

constexpr std::size_t kRowsPerTask = 1024;

[[noreturn]] void refuse(const std::string& message) {
  throw Error(ErrorCode::invalid_argument, message);
}

std::string format_float(float value) {
  if (std::isnan(value)) return "nan";
  char text[32];
  std::snprintf(text, sizeof text, "%g", static_cast<double>(value));
  return text;
}

// A finite squared norm means finite values, so one pass of the dot kernel decides for most rows.
bool is_acceptable(float norm2, Metric metric) noexcept {
  return norm2 <= kMaxSquaredNorm && (metric != Metric::cosine || norm2 >= kMinSquaredNorm);
}

// Says what is wrong with a row that is not acceptable; `where` is "base vectors: row 17" or
// "query".
[[noreturn]] void refuse_row(const float* row, std::size_t dim, const std::string& where,
                             const char* column_separator) {
  for (std::size_t column = 0; column < dim; ++column) {
    if (!std::isfinite(row[column])) {
      refuse(where + column_separator + std::to_string(column) + " is " +
             format_float(row[column]) + "; expected finite values");
    }
  }
  const float norm2 = squared_norm(row, dim);
  if (!(norm2 <= kMaxSquaredNorm)) {
    refuse(where + " has squared norm " + format_float(norm2) + "; expected at most " +
           format_float(kMaxSquaredNorm));
  }
  if (norm2 == 0) refuse(where + " is zero; the cosine metric needs a direction");
  refuse(where + " has squared norm " + format_float(norm2) + "; expected at least " +
         format_float(kMinSquaredNorm) + " under the cosine metric");
}

}  // namespace

void validate_rows(MatrixView vectors, Metric metric, const char* what, unsigned threads) {
  validate_shape(vectors.rows, vectors.dim, what);
  validate_data(vectors, what);
  validate_values(vectors, 0, metric, what, threads);
}

void validate_data(MatrixView vectors, const char* what) {
  if (vectors.rows > 0 && vectors.data == nullptr) {
    refuse(std::string(what) + ": no data for " + std::to_string(vectors.rows) + " rows");
  }
}

void validate_shape(std::size_t rows, std::size_t dim, const char* what) {
  const std::string name = what;
  if (dim < 1 || dim > kMaxDim) {
    refuse(name + ": dimension is " + std::to_string(dim) + "; expected 1 to " +
           std::to_string(kMaxDim));
  }
  if (rows > kMaxRows) {
    refuse(name + ": " + std::to_string(rows) + " rows; expected at most " +
           std::to_string(kMaxRows));
  }
}

void validate_values(MatrixView block, std::size_t first_row, Metric metric, const char* what,
                     unsigned threads) {
  std::atomic<std::size_t> first_bad{block.rows};
  base::parallel_chunks(block.rows, kRowsPerTask, base::resolve_threads(threads),
                        [&](std::size_t begin, std::size_t end, unsigned) {
                          if (begin > first_bad.load(std::memory_order_relaxed)) return;
                          for (std::size_t row = begin; row < end; ++row) {
                            if (is_acceptable(squared_norm(block.row(row), block.dim), metric))
                              continue;
                            std::size_t seen = first_bad.load(std::memory_order_relaxed);
                            while (row < seen && !first_bad.compare_exchange_weak(seen, row)) {
                            }
                            return;
                          }
                        });
  const std::size_t row = first_bad.load();
  if (row < block.rows) {
    refuse_row(block.row(row), block.dim,
               std::string(what) + ": row " + std::to_string(first_row + row), ", column ");
  }
}

void check_result_size(std::size_t queries, std::size_t k) {
  if (!base::is_beyond_memory(queries, k, sizeof(VectorId))) return;
  refuse("k: expected so many that the results of " + std::to_string(queries) +
         " queries fit into memory, found " + std::to_string(k));
}

void validate_query(std::span<const float> query, std::size_t dim, Metric metric) {
  if (query.size() != dim) {
    refuse("query: dimension is " + std::to_string(query.size()) + "; expected " +
           std::to_string(dim));
  }
  if (is_acceptable(squared_norm(query.data(), dim), metric)) return;
  refuse_row(query.data(), dim, "query", ": column ");
}

}  // namespace cairn::index

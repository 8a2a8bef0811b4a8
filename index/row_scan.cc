#include "index/row_scan.h"

#include <algorithm>
#include <cmath>

#include "base/parallel.h"
#include "index/lifted_rows.h"
#include "index/metric_distance.h"
#include "index/validate.h"
#include "quantize/frame.h"

namespace cairn::index {
namespace {

// Sums of a block are made piece by piece, then added up in order.
constexpr std::size_t kPiece = 1024;

// Adds the lifted rows of a block, without what inner product appends, to `total` [dim].
void add_rows(MatrixView rows, Metric metric, unsigned threads, std::vector<double>& total) {
  const std::size_t dim = rows.dim;
  const std::size_t pieces = (rows.rows + kPiece - 1) / kPiece;
  std::vector<double> sums(pieces * dim, 0.0);
  base::parallel_chunks(rows.rows, kPiece, threads,
                        [&](std::size_t begin, std::size_t end, unsigned) {
                          double* sum = sums.data() + begin / kPiece * dim;
                          for (std::size_t i = begin; i < end; ++i) {
                            const float* row = rows.row(i);
                            double scale = 1;
                            if (metric == Metric::cosine) {
                              scale /= std::sqrt(static_cast<double>(squared_norm(row, dim)));
                            }
                            for (std::size_t j = 0; j < dim; ++j) {
                              sum[j] += scale * static_cast<double>(row[j]);
                            }
                          }
                        });
  for (std::size_t piece = 0; piece < pieces; ++piece) {
    for (std::size_t j = 0; j < dim; ++j) total[j] += sums[piece * dim + j];
  }
}

// Of rows whose squares would underflow: the power of two that brings the largest value near 1, and
// all squared norms after that. Reads all rows twice more.
float rescale(VectorSource& source, std::vector<float>& squared_norms) {
  float largest = 0;
  for_each_block(source, [&](std::size_t, MatrixView rows) {
    for (std::size_t i = 0; i < rows.rows * rows.dim; ++i) {
      largest = std::max(largest, std::abs(rows.data[i]));
    }
  });
  if (largest == 0) return 1;
  const float scale = std::ldexp(1.0f, std::min(-std::ilogb(largest), 126));
  std::vector<float> scaled(source.dim());
  for_each_block(source, [&](std::size_t first, MatrixView rows) {
    for (std::size_t i = 0; i < rows.rows; ++i) {
      for (std::size_t j = 0; j < rows.dim; ++j) scaled[j] = rows.row(i)[j] * scale;
      squared_norms[first + i] = squared_norm(scaled.data(), rows.dim);
    }
  });
  return scale;
}

}  // namespace

RowScan scan_rows(VectorSource& source, Metric metric, unsigned threads, Progress& progress) {
  const std::size_t dim = source.dim();
  validate_shape(source.rows(), dim, "vectors");
  progress.start_phase("validate", source.rows());
  std::vector<double> total(dim, 0.0);
  std::vector<float> squared_norms;  // of all rows, under inner product
  for_each_block(source, [&](std::size_t first, MatrixView rows) {
    validate_values(rows, first, metric, "vectors", threads);
    add_rows(rows, metric, threads, total);
    if (metric == Metric::inner_product) {
      for (std::size_t i = 0; i < rows.rows; ++i) {
        squared_norms.push_back(squared_norm(rows.row(i), dim));
      }
    }
    progress.advance(rows.rows);
  });
  RowScan scan;
  const double inverse = 1.0 / static_cast<double>(std::max<std::size_t>(source.rows(), 1));
  float largest = 0;
  if (metric == Metric::inner_product && source.rows() != 0) {
    constexpr float kLeastSquaredNorm = 1e-24f;
    largest = *std::max_element(squared_norms.begin(), squared_norms.end());
    if (largest < kLeastSquaredNorm) {
      scan.scale = rescale(source, squared_norms);
      largest = *std::max_element(squared_norms.begin(), squared_norms.end());
    }
  }
  for (const double sum : total) {
    scan.mean.push_back(static_cast<float>(sum * inverse * static_cast<double>(scan.scale)));
  }
  if (metric == Metric::inner_product) {
    scan.max_norm = std::sqrt(largest);
    double lifts = 0;
    for (const float norm : squared_norms) {
      lifts += std::sqrt(std::max(0.0, static_cast<double>(largest) - static_cast<double>(norm)));
    }
    scan.mean.push_back(static_cast<float>(lifts * inverse));
  }
  return scan;
}

}  // namespace cairn::index

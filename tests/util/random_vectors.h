#pragma once

// Reproducible test data.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "cairn/types.h"

#include "base/random.h"

namespace cairn::test {

inline float gaussian(base::Random& random) {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - random.uniform()));
  return static_cast<float>(radius * std::cos(6.283185307179586 * random.uniform()));
}

// A matrix that owns its values and knows its shape.
struct Vectors {
  std::vector<float> values;
  std::size_t rows = 0;
  std::size_t dim = 0;

  MatrixView view() const { return {values.data(), rows, dim}; }
  const float* row(std::size_t i) const { return values.data() + i * dim; }
  float* row(std::size_t i) { return values.data() + i * dim; }
};

// Gaussian rows around `clusters` Gaussian centres that share a mean away from the origin; later
// dimensions vary less, as in real embeddings.
inline Vectors clustered_vectors(std::size_t rows, std::size_t dim, std::size_t clusters,
                                 std::uint64_t seed) {
  base::Random random(seed);
  std::vector<float> centres(clusters * dim);
  for (float& value : centres) value = 1.0f + gaussian(random);
  Vectors vectors{std::vector<float>(rows * dim), rows, dim};
  for (std::size_t i = 0; i < rows; ++i) {
    const float* centre = centres.data() + random.below(clusters) * dim;
    for (std::size_t j = 0; j < dim; ++j) {
      const float spread = 0.8f / (1.0f + 2.0f * static_cast<float>(j) / static_cast<float>(dim));
      vectors.row(i)[j] = centre[j] + spread * gaussian(random);
    }
  }
  return vectors;
}

// Takes the last rows off: queries of the same kind as the rows that stay.
inline Vectors split_off(Vectors& vectors, std::size_t count) {
  const auto begin = vectors.values.end() - static_cast<std::ptrdiff_t>(count * vectors.dim);
  Vectors last{{begin, vectors.values.end()}, count, vectors.dim};
  vectors.values.erase(begin, vectors.values.end());
  vectors.rows -= count;
  return last;
}

}  // namespace cairn::test

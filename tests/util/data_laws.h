#pragma once

// Rows that indexes find hard: neighbours near one another beside the spread of all rows, equal
// rows, long rows, columns of other scales. Each law is drawn from a seed.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"
#include "tests/util/random_vectors.h"

namespace cairn::test {

// Shapes of rows before they are moved and scaled.
enum class Shape : std::uint8_t {
  gaussian,
  clusters,        // ten balls, far apart by a random ratio
  two_groups,      // at +-s in every column
  category,        // one column of a few large values
  near_pairs,      // each row is another one and a little noise
  duplicates,      // few distinct rows
  integers,        // small, many at equal distances
  long_rows,       // a few rows are very long
  common_offset,   // the same large number in most columns
  scaled_columns,  // columns from tiny to large
  line,            // all on a line, and a little off it
  places,          // two or three coordinates in metres
};
inline constexpr std::size_t kNumShapes = 12;

struct DataLaw {
  Shape shape;
  std::size_t dim;
  double ratio = 1;  // of the shape's large lengths to its small ones
  double scale = 1;  // of all values
  std::uint64_t seed = 1;

  std::string name() const {
    static constexpr const char* kNames[kNumShapes] = {
        "gaussian", "clusters",  "two groups",    "category",       "near pairs", "duplicates",
        "integers", "long rows", "common offset", "scaled columns", "line",       "places"};
    return std::string(kNames[static_cast<std::size_t>(shape)]) + ", dim " + std::to_string(dim) +
           ", ratio " + std::to_string(ratio) + ", scale " + std::to_string(scale) + ", seed " +
           std::to_string(seed);
  }
};

// A random law; the seed's remainder decides the shape, so that consecutive seeds have all of them.
inline DataLaw random_law(std::uint64_t seed) {
  base::Random random(seed * 7919 + 13);
  DataLaw law{.shape = static_cast<Shape>(seed % kNumShapes), .dim = 2 + random.below(47)};
  law.ratio = std::pow(10.0, 7 * random.uniform());
  law.scale = random.below(3) == 0 ? std::pow(10.0, 20 * random.uniform() - 10) : 1;
  law.seed = seed;
  if (law.shape == Shape::places) law.dim = 2 + random.below(2);
  return law;
}

class LawRows {
 public:
  LawRows(const DataLaw& law, std::size_t rows) : law_(law), random_(law.seed) {
    vectors_ = {std::vector<float>(rows * law.dim), rows, law.dim};
    centres_.resize(10 * law.dim);
    for (double& value : centres_) value = law.ratio * normal();
    for (std::size_t i = 0; i < rows; ++i) fill(i);
    for (float& value : vectors_.values) {
      value = static_cast<float>(static_cast<double>(value) * law.scale);
    }
  }
  Vectors take() { return std::move(vectors_); }

 private:
  double normal() { return static_cast<double>(gaussian(random_)); }
  void set(std::size_t i, std::size_t j, double value) {
    vectors_.row(i)[j] = static_cast<float>(value);
  }
  void copy(std::size_t i, std::size_t from, double noise) {
    for (std::size_t j = 0; j < law_.dim; ++j) {
      set(i, j, static_cast<double>(vectors_.row(from)[j]) + (noise != 0 ? noise * normal() : 0));
    }
  }

  void fill(std::size_t i) {
    const std::size_t group = random_.below(10);
    if (law_.shape == Shape::near_pairs && i >= vectors_.rows / 20) {
      return copy(i, random_.below(vectors_.rows / 20), 1 / law_.ratio);
    }
    if (law_.shape == Shape::duplicates && i >= vectors_.rows / 50) {
      return copy(i, random_.below(vectors_.rows / 50), 0);
    }
    const double along = normal();
    const bool is_long = random_.below(1000) == 0;
    for (std::size_t j = 0; j < law_.dim; ++j) set(i, j, value(group, along, is_long, j));
  }

  double value(std::size_t group, double along, bool is_long, std::size_t j) {
    const double part = static_cast<double>(j) / static_cast<double>(law_.dim);
    switch (law_.shape) {
      case Shape::clusters:
        return centres_[group * law_.dim + j] + normal();
      case Shape::two_groups:
        return normal() + (group % 2 == 0 ? law_.ratio : -law_.ratio);
      case Shape::category:
        return j == 0 ? static_cast<double>(group % 7) * law_.ratio : normal();
      case Shape::integers:
        return static_cast<double>(random_.below(4));
      case Shape::long_rows:
        return normal() * (is_long ? law_.ratio : 1);
      case Shape::common_offset:
        return normal() + (j % 4 == 3 ? 0 : law_.ratio);
      case Shape::scaled_columns:
        return normal() * std::pow(law_.ratio, part);
      case Shape::line:
        return along * law_.ratio * std::cos(static_cast<double>(j)) + normal();
      case Shape::places:
        return 5e5 + 4e6 * part + centres_[group * law_.dim + j] + 30 * normal();
      default:
        return normal();
    }
  }

  DataLaw law_;
  base::Random random_;
  std::vector<double> centres_;
  Vectors vectors_;
};

inline Vectors rows_of(const DataLaw& law, std::size_t rows) { return LawRows(law, rows).take(); }

}  // namespace cairn::test

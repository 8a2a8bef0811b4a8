#pragma once

// Rows that one encoding is made for, and no smaller one holds.

#include <bit>
#include <cmath>
#include <functional>
#include <vector>

#include "cairn/compression.h"

#include "base/random.h"
#include "storage/float_bits.h"
#include "tests/util/random_vectors.h"

namespace cairn::test {

struct EncodableVectors {
  VectorEncoding encoding;
  std::function<Vectors(std::size_t rows, std::size_t dim)> make;
};

// Each value from value(random, row), a row's number being there for what belongs to a row.
template <typename Value>
Vectors make_vectors(std::size_t rows, std::size_t dim, Value&& value) {
  base::Random random(rows + dim);
  Vectors vectors{std::vector<float>(rows * dim), rows, dim};
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t j = 0; j < dim; ++j) vectors.row(i)[j] = value(random, i);
  }
  return vectors;
}

// For sets of at least `rows` rows, with enough values in them to tell the encodings apart.
inline std::vector<EncodableVectors> encodable_vectors(std::size_t rows) {
  using base::Random;
  std::vector<EncodableVectors> sets;
  const auto add = [&sets](VectorEncoding encoding, auto value) {
    sets.push_back({encoding, [value](std::size_t count, std::size_t dim) {
                      return make_vectors(count, dim, value);
                    }});
  };
  add(VectorEncoding::constant, [](Random&, std::size_t) { return -0.1f; });
  add(VectorEncoding::int8,
      [](Random& random, std::size_t) { return static_cast<float>(random.below(256)); });
  add(VectorEncoding::int8,
      [](Random& random, std::size_t) { return static_cast<float>(random.below(256)) - 128.0f; });
  add(VectorEncoding::int8, [](Random& random, std::size_t) {
    return static_cast<float>(random.below(256)) - 16'000'000.0f;
  });
  add(VectorEncoding::int16, [rows](Random& random, std::size_t row) {
    return row == rows / 2 ? 40'000.0f : static_cast<float>(random.below(60'000)) - 20'000.0f;
  });
  add(VectorEncoding::half, [](Random& random, std::size_t) {
    return storage::from_half(storage::to_half(gaussian(random)));
  });
  add(VectorEncoding::bfloat16, [](Random& random, std::size_t) {
    const auto bits = static_cast<std::uint32_t>(random.next()) & 0xFFFF0000;
    return std::bit_cast<float>(bits);
  });
  add(VectorEncoding::scaled_half, [](Random& random, std::size_t row) {
    return storage::from_half(storage::to_half(gaussian(random))) /
           (3.3f + 0.37f * static_cast<float>(row));
  });
  add(VectorEncoding::decimal, [](Random& random, std::size_t) {
    return static_cast<float>(static_cast<std::int32_t>(random.below(199'999)) - 99'999) / 1e5f;
  });
  add(VectorEncoding::exponent, [](Random& random, std::size_t) { return gaussian(random); });
  add(VectorEncoding::float32, [](Random& random, std::size_t) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(random.next()));
  });
  return sets;
}

}  // namespace cairn::test

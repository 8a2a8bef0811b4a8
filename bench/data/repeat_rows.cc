// Makes a large vector file of a small one, to measure time and memory of builds, not recall: its
// rows again and again, cut to `dim` columns, each value moved by up to `noise` times the mean
// absolute value.
//
//   repeat_rows INPUT ROWS DIM NOISE OUTPUT.fbin

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <cairn/io.h>

namespace {

// splitmix64 (Vigna, public domain).
std::uint64_t next_random(std::uint64_t& state) {
  state += 0x9E3779B97F4A7C15ull;
  std::uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

void repeat_rows(const std::string& input, std::size_t rows, std::size_t dim, float noise,
                 const std::string& output) {
  const cairn::Matrix<float> base = cairn::read_vectors(input);
  if (rows == 0 || dim == 0 || dim > base.dim) {
    throw std::runtime_error(input + ": expected 1 row or more and 1 to " +
                             std::to_string(base.dim) + " columns, found " + std::to_string(rows) +
                             " and " + std::to_string(dim));
  }
  double total = 0;
  for (const float value : base.values) total += static_cast<double>(std::abs(value));
  const float step =
      noise * static_cast<float>(total / static_cast<double>(base.values.size())) / 32768.0f;

  std::ofstream out(output, std::ios::binary);
  const std::uint32_t header[2] = {static_cast<std::uint32_t>(rows),
                                   static_cast<std::uint32_t>(dim)};
  out.write(reinterpret_cast<const char*>(header), sizeof header);
  std::vector<float> row(dim);
  std::uint64_t state = 1;
  for (std::size_t i = 0; i < rows; ++i) {
    const float* from = base.row(i % base.rows);
    std::uint64_t bits = 0;
    for (std::size_t j = 0; j < dim; ++j) {
      if (j % 4 == 0) bits = next_random(state);
      row[j] = from[j] + step * static_cast<float>(static_cast<std::int16_t>(bits >> (j % 4 * 16)));
    }
    out.write(reinterpret_cast<const char*>(row.data()),
              static_cast<std::streamsize>(dim * sizeof(float)));
  }
  out.close();
  if (!out) throw std::runtime_error("cannot write " + output);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: repeat_rows INPUT ROWS DIM NOISE OUTPUT.fbin\n");
    return 2;
  }
  try {
    repeat_rows(argv[1], std::strtoull(argv[2], nullptr, 10), std::strtoull(argv[3], nullptr, 10),
                std::strtof(argv[4], nullptr), argv[5]);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "repeat_rows: %s\n", error.what());
    return 1;
  }
}

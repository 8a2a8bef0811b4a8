#include <cmath>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include "tests/util/each_isa.h"
#include "tests/util/scalar_kernels.h"

namespace cairn::kernels {
namespace {

class EncodeKernels : public EachIsa {};
CAIRN_TEST_EACH_ISA(EncodeKernels);

// Random values with zeros of both signs among them.
std::vector<float> residual_of(std::size_t dim, base::Random& random) {
  std::vector<float> residual = scalar::random_floats(dim, random);
  residual[1] = 0.0f;
  residual[dim - 2] = -0.0f;
  return residual;
}

constexpr std::size_t kDims[] = {64, 128, 832, 1024, 1088, 65536};

TEST_P(EncodeKernels, SignsAreThoseOfTheResidual) {
  for (const std::size_t dim : kDims) {
    base::Random random(dim);
    const std::vector<float> residual = residual_of(dim, random);
    const std::vector<float> centre = scalar::random_floats(dim, random);
    std::vector<std::uint8_t> bits(dim / 8 + 1, 0xA5);
    const SignSums sums = kernels().encode_signs(residual.data(), centre.data(), dim, bits.data());
    EXPECT_EQ(bits.back(), 0xA5) << "written past the end";
    double squares = 0;
    double magnitudes = 0;
    double along = 0;
    for (std::size_t i = 0; i < dim; ++i) {
      const double r = residual[i];
      ASSERT_EQ(bits[i / 8] >> i % 8 & 1, r >= 0 ? 1 : 0) << dim << " " << i;
      squares += r * r;
      magnitudes += std::abs(r);
      along += r >= 0 ? static_cast<double>(centre[i]) : -static_cast<double>(centre[i]);
    }
    const auto terms = static_cast<double>(dim);
    EXPECT_NEAR(sums.squares, squares, 1e-6 * squares) << dim;
    EXPECT_NEAR(sums.magnitudes, magnitudes, 1e-6 * magnitudes) << dim;
    EXPECT_NEAR(sums.along, along, 1e-6 * terms) << dim;
  }
}

TEST_P(EncodeKernels, LevelsAreThoseOfAUniformQuantiser) {
  for (const std::size_t dim : kDims) {
    base::Random random(dim);
    const std::vector<float> residual = residual_of(dim, random);
    const std::vector<float> centre = scalar::random_floats(dim, random);
    for (unsigned bits = 2; bits <= 9; ++bits) {
      const int half = 1 << (bits - 1);
      // Some values lie beyond the last level.
      const float inverse_width = 1.3f * static_cast<float>(half);
      std::vector<std::uint16_t> values(dim + 1, 0xA5A5);
      const LevelSums sums = kernels().encode_levels(residual.data(), centre.data(), dim,
                                                     inverse_width, bits, values.data());
      EXPECT_EQ(values.back(), 0xA5A5) << "written past the end";
      double along_residual = 0;
      double along_centre = 0;
      double squares = 0;
      double size = 0;
      for (std::size_t i = 0; i < dim; ++i) {
        const float scaled = std::abs(residual[i]) * inverse_width;
        const int level = static_cast<int>(std::min(scaled, static_cast<float>(half - 1)));
        const double u = residual[i] >= 0 ? level + 0.5 : -level - 0.5;
        ASSERT_EQ(values[i] - half + 0.5, u) << dim << " " << bits << " " << i;
        along_residual += u * static_cast<double>(residual[i]);
        along_centre += u * static_cast<double>(centre[i]);
        squares += u * u;
        size += std::abs(u * static_cast<double>(centre[i]));
      }
      EXPECT_NEAR(sums.along_residual, along_residual, 1e-6 * along_residual) << dim << " " << bits;
      EXPECT_NEAR(sums.along_centre, along_centre, 1e-6 * size) << dim << " " << bits;
      EXPECT_NEAR(sums.squares, squares, 1e-6 * squares) << dim << " " << bits;
    }
  }
}

TEST_P(EncodeKernels, RowsAddUpInTheirOrder) {
  for (const std::size_t dim : {1u, 7u, 16u, 100u, 784u}) {
    base::Random random(dim);
    const std::vector<float> rows = scalar::random_floats(20 * dim, random);
    const std::vector<std::uint32_t> members = {3, 19, 0, 3, 11};
    std::vector<double> sums(dim + 1, 0.25);
    std::vector<double> expected = sums;
    kernels().add_rows(rows.data(), members.data(), members.size(), dim, sums.data());
    for (const std::uint32_t row : members) {
      for (std::size_t j = 0; j < dim; ++j) {
        expected[j] += static_cast<double>(rows[row * dim + j]);
      }
    }
    EXPECT_EQ(sums, expected) << dim;
    kernels().add_rows(rows.data(), members.data(), 0, dim, sums.data());
    EXPECT_EQ(sums, expected) << dim;
  }
}

}  // namespace
}  // namespace cairn::kernels

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "tests/util/each_isa.h"
#include "tests/util/scalar_kernels.h"

namespace cairn::kernels {
namespace {

class RotateKernels : public EachIsa {};
CAIRN_TEST_EACH_ISA(RotateKernels);

TEST_P(RotateKernels, HadamardAgreesWithScalarTwin) {
  for (std::size_t n = 64; n <= 65536; n *= 2) {
    base::Random random(n);
    const auto x = scalar::random_floats(n, random);
    const float scale = 1 / std::sqrt(static_cast<float>(n));
    const auto expected = scalar::hadamard(x, scale);
    std::vector<float> y = x;
    kernels().hadamard(y.data(), n, scale);
    // log2(n) roundings, relative to the norm of x that each output is a part of.
    const double tolerance = 17 * 0x1.0p-24 * std::sqrt(scalar::dot(x.data(), x.data(), n));
    for (std::size_t i = 0; i < n; ++i) ASSERT_NEAR(y[i], expected[i], tolerance) << n << " " << i;
  }
}

TEST_P(RotateKernels, HadamardTwiceIsTheIdentityTimesN) {
  for (std::size_t n = 64; n <= 65536; n *= 2) {
    base::Random random(n);
    std::vector<float> x(n);
    // Small integers: every intermediate sum is exact.
    for (float& value : x) value = static_cast<float>(random.below(15)) - 7;
    std::vector<float> y = x;
    kernels().hadamard(y.data(), n, 1);
    kernels().hadamard(y.data(), n, 1 / static_cast<float>(n));
    EXPECT_EQ(x, y) << n;
  }
}

TEST_P(RotateKernels, RotationIsBitIdenticalToBaseline) {
  for (const std::size_t n : {64u, 128u, 256u, 512u, 1024u, 2048u, 8192u}) {
    base::Random random(n);
    const auto x = scalar::random_floats(n, random);
    std::vector<float> ours = x;
    std::vector<float> baseline = x;
    kernels().hadamard(ours.data(), n, 0.3f);
    kBaseline.hadamard(baseline.data(), n, 0.3f);
    EXPECT_EQ(ours, baseline) << n;
    kernels().kac_step(ours.data(), n);
    kBaseline.kac_step(baseline.data(), n);
    EXPECT_EQ(ours, baseline) << n;
  }
}

TEST_P(RotateKernels, KernelsTakeUnalignedInput) {
  base::Random random(3);
  const auto x = scalar::random_floats(513, random);
  std::vector<float> ours = x;
  std::vector<float> baseline = x;
  kernels().hadamard(ours.data() + 1, 512, 1);
  kBaseline.hadamard(baseline.data() + 1, 512, 1);
  EXPECT_EQ(ours, baseline);
}

TEST_P(RotateKernels, FlipsExactlyTheSignsAsked) {
  for (const std::size_t n : {64u, 128u, 832u, 1536u}) {
    base::Random random(n);
    const auto x = scalar::random_floats(n, random);
    std::vector<std::uint8_t> signs(n / 8);
    for (auto& byte : signs) byte = static_cast<std::uint8_t>(random.next());
    std::vector<float> y = x;
    kernels().flip_signs(signs.data(), n, y.data());
    for (std::size_t i = 0; i < n; ++i) {
      EXPECT_EQ(y[i], ((signs[i / 8] >> (i % 8)) & 1) != 0 ? -x[i] : x[i]) << i;
    }
  }
}

TEST_P(RotateKernels, KacStepMixesHalves) {
  for (const std::size_t n : {64u, 192u, 832u}) {
    base::Random random(n);
    const auto x = scalar::random_floats(n, random);
    std::vector<float> y = x;
    kernels().kac_step(y.data(), n);
    for (std::size_t i = 0; i < n / 2; ++i) {
      EXPECT_EQ(y[i], x[i] + x[i + n / 2]);
      EXPECT_EQ(y[i + n / 2], x[i] - x[i + n / 2]);
    }
  }
}

}  // namespace
}  // namespace cairn::kernels

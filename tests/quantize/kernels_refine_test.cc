#include <vector>

#include <gtest/gtest.h>

#include "tests/util/each_isa.h"
#include "tests/util/scalar_kernels.h"

namespace cairn::kernels {
namespace {

constexpr std::size_t kPaddedDims[] = {64, 128, 192, 832, 1024, 1088, 1536, 4096};

class RefineKernels : public EachIsa {};
CAIRN_TEST_EACH_ISA(RefineKernels);

struct Query {
  std::vector<std::int8_t> high, low;

  explicit Query(std::size_t dim) : high(dim), low(dim) {
    base::Random random(dim);
    for (auto& value : high)
      value = static_cast<std::int8_t>(static_cast<int>(random.below(255)) - 127);
    for (auto& value : low)
      value = static_cast<std::int8_t>(static_cast<int>(random.below(129)) - 64);
  }
};

TEST_P(RefineKernels, DotsAreExactForEveryWidth) {
  for (unsigned bits = 2; bits <= 9; ++bits) {
    for (const std::size_t dim : kPaddedDims) {
      const Query query(dim);
      base::Random random(bits * 100000 + dim);
      const std::size_t num_rows = 6;
      // An odd stride: rows are unaligned.
      const std::size_t stride = refine_code_bytes(dim, bits) + 9;
      std::vector<std::uint8_t> codes(num_rows * stride);
      std::vector<float> expected(num_rows);
      for (std::size_t r = 0; r < num_rows; ++r) {
        std::vector<std::uint16_t> values(dim);
        for (auto& value : values) value = static_cast<std::uint16_t>(random.below(1u << bits));
        const auto packed = scalar::pack_refine(values, bits);
        ASSERT_EQ(packed.size(), refine_code_bytes(dim, bits));
        std::copy(packed.begin(), packed.end(),
                  codes.begin() + static_cast<std::ptrdiff_t>(r * stride));
        expected[r] =
            static_cast<float>(scalar::refine_dot(values, query.high.data(), query.low.data()));
      }
      const std::vector<std::uint32_t> rows = {5, 0, 3, 3, 1, 2, 4};
      for (std::size_t n = 0; n <= rows.size(); ++n) {
        std::vector<float> out(n + 1, -7);
        kernels().refine_dots(codes.data(), stride, rows.data(), n, bits, query.high.data(),
                              query.low.data(), dim, out.data());
        for (std::size_t i = 0; i < n; ++i)
          EXPECT_EQ(out[i], expected[rows[i]]) << bits << " " << dim;
        EXPECT_EQ(out[n], -7);
      }
    }
  }
}

TEST_P(RefineKernels, LargestSumsDoNotOverflow) {
  const std::size_t dim = 65536;
  for (unsigned bits = 2; bits <= 9; ++bits) {
    const std::vector<std::uint16_t> values(dim, static_cast<std::uint16_t>((1u << bits) - 1));
    const auto codes = scalar::pack_refine(values, bits);
    for (const int sign : {1, -1}) {
      const std::vector<std::int8_t> high(dim, static_cast<std::int8_t>(127 * sign));
      const std::vector<std::int8_t> low(dim, static_cast<std::int8_t>(64 * sign));
      const std::uint32_t row = 0;
      float out = 0;
      kernels().refine_dots(codes.data(), codes.size(), &row, 1, bits, high.data(), low.data(), dim,
                            &out);
      EXPECT_EQ(out, static_cast<float>(scalar::refine_dot(values, high.data(), low.data())))
          << bits;
    }
  }
}

TEST_P(RefineKernels, EachBitLandsInItsPlace) {
  const std::size_t dim = 128;
  for (unsigned bits = 2; bits <= 9; ++bits) {
    for (std::size_t d = 0; d < dim; ++d) {
      for (unsigned bit = 0; bit < bits; ++bit) {
        std::vector<std::uint16_t> values(dim, 0);
        values[d] = static_cast<std::uint16_t>(1u << bit);
        const auto codes = scalar::pack_refine(values, bits);
        std::vector<std::int8_t> high(dim, 0), low(dim, 0);
        for (std::size_t i = 0; i < dim; ++i) low[i] = static_cast<std::int8_t>(i % 61 + 1);
        const std::uint32_t row = 0;
        float out = 0;
        kernels().refine_dots(codes.data(), codes.size(), &row, 1, bits, high.data(), low.data(),
                              dim, &out);
        ASSERT_EQ(out, static_cast<float>((1u << bit) * (d % 61 + 1))) << bits << " " << d;
      }
    }
  }
}

}  // namespace
}  // namespace cairn::kernels

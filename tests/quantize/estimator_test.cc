// Properties of the distance estimates from binary and refine codes (quantize/query_code.h).

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "quantize/frame.h"
#include "quantize/kernels/kernels.h"
#include "quantize/list_code.h"
#include "quantize/query_code.h"
#include "tests/util/random_vectors.h"

namespace cairn::quantize {
namespace {

struct Moments {
  double count = 0;
  double mean = 0;
  double deviation = 0;
  double below_bound = 0;  // share of true distances below the bound at kEps deviations
};

constexpr double kEps = 1.9;
constexpr double kExpectedBelow = 0.0287;  // of a Gaussian

// (estimate - true) / sigma over all pairs of a few queries with the children of one list, for
// several rotations. bits = 1: binary codes. Only the part of the query's offset from the centre
// that is orthogonal to the residual causes errors. The index takes all of it, since in many
// dimensions and with centres of clusters that is nearly the same and otherwise errs on the safe
// side; here each error is measured against the exact deviation.
class Errors {
 public:
  Errors(std::size_t dim, unsigned bits) : dim_(dim), bits_(bits) {}

  void add_rotation(std::uint64_t seed, std::size_t children, std::size_t queries) {
    const test::Vectors rows = test::clustered_vectors(children + queries + 1, dim_, 5, seed);
    const std::size_t padded_dim = Frame::padded_dim(Metric::l2, dim_);
    std::vector<std::uint8_t> signs(Rotation::sign_bytes(padded_dim));
    Rotation::draw_signs(seed, signs);
    const std::vector<float> mean(dim_, 0.9f);
    const Frame frame(Metric::l2, dim_, {}, mean, signs);
    std::vector<float> lifted(dim_);
    std::vector<float> centre(padded_dim);
    std::vector<float> child(padded_dim);
    std::vector<float> residual(padded_dim);
    frame.lift(rows.row(0), lifted.data());
    frame.rotate(lifted.data(), centre.data());
    std::vector<QueryCode> codes(queries);
    for (std::size_t q = 0; q < queries; ++q) {
      codes[q].prepare(frame, rows.row(1 + q), bits_ == 1 ? 0 : bits_);
    }
    for (std::size_t c = 0; c < children; ++c) {
      const float* row = rows.row(1 + queries + c);
      frame.lift(row, lifted.data());
      frame.rotate(lifted.data(), child.data());
      for (std::size_t i = 0; i < padded_dim; ++i) residual[i] = child[i] - centre[i];
      const std::vector<double> x = products(residual, centre, codes);
      for (std::size_t q = 0; q < queries; ++q) {
        add_pair(rows.row(0), row, rows.row(1 + q), x[q]);
      }
    }
  }

  Moments moments() const {
    Moments m;
    m.count = static_cast<double>(z_.size());
    for (const double z : z_) m.mean += z / m.count;
    for (const double z : z_) m.deviation += (z - m.mean) * (z - m.mean) / m.count;
    m.deviation = std::sqrt(m.deviation);
    for (const double z : z_) m.below_bound += z > kEps ? 1 / m.count : 0;
    return m;
  }
  double largest_relative_error() const { return largest_relative_error_; }

 private:
  // Encodes one residual and returns the x of query_code.h for each query.
  std::vector<double> products(const std::vector<float>& residual, const std::vector<float>& centre,
                               const std::vector<QueryCode>& codes) {
    const kernels::Kernels& k = kernels::active();
    const std::size_t padded_dim = residual.size();
    std::vector<double> x;
    if (bits_ == 1) {
      std::vector<std::uint8_t> bits(padded_dim / 8);
      factors_ = encode_binary(residual.data(), centre.data(), padded_dim, bits.data());
      base::AlignedArray<std::uint8_t> block(kernels::block_bytes(padded_dim));
      put_into_block(bits.data(), factors_, padded_dim, 13, block.data());
      for (const QueryCode& code : codes) {
        std::uint32_t sums[32];
        k.scan_sums(block.data(), code.table.data(), padded_dim, sums);
        x.push_back(static_cast<double>(code.table_step) * sums[13] +
                    static_cast<double>(code.scan_offset));
      }
      return x;
    }
    std::vector<std::uint16_t> values(padded_dim);
    std::vector<std::uint8_t> row(refine_row_bytes(padded_dim, bits_));
    factors_ = encode_refine(residual.data(), centre.data(), padded_dim, bits_, values.data(),
                             row.data() + kernels::kRefineFactorBytes);
    // With factors 0 and 1 a bound without spread is x itself.
    const float unit[2] = {0, 1};
    std::memcpy(row.data(), unit, sizeof(unit));
    for (const QueryCode& code : codes) {
      const std::uint32_t first = 0;
      const float zero = 0;
      std::uint32_t found[17];
      float lower[17];
      float upper[17];
      k.refine_rows(row.data(), row.size(), &first, 1, bits_, code.refine_query(), padded_dim,
                    &zero, &zero, std::numeric_limits<float>::infinity(), found, lower, upper);
      x.push_back(static_cast<double>(lower[0]));
    }
    return x;
  }

  void add_pair(const float* centre, const float* row, const float* query, double x) {
    double q2 = 0;
    double g2 = 0;
    double l2 = 0;
    double cross = 0;
    double distance = 0;
    for (std::size_t j = 0; j < dim_; ++j) {
      const double g = static_cast<double>(query[j]) - static_cast<double>(centre[j]);
      const double r = static_cast<double>(row[j]) - static_cast<double>(centre[j]);
      q2 += static_cast<double>(query[j]) * static_cast<double>(query[j]);
      g2 += g * g;
      l2 += r * r;
      cross += g * r;
      distance += (g - r) * (g - r);
    }
    const double estimate =
        g2 + static_cast<double>(factors_.add) + static_cast<double>(factors_.scale) * x;
    largest_relative_error_ =
        std::max(largest_relative_error_, std::abs(estimate - distance) / (q2 + g2 + l2));
    const double sine = std::sqrt(std::max(0.0, 1 - cross * cross / (g2 * l2)));
    const double sigma = std::abs(static_cast<double>(factors_.scale)) * std::sqrt(g2) *
                         static_cast<double>(factors_.sigma) * sine;
    // Where nothing is left of the deviation, what remains is the rounding of the table.
    if (sine > 0.2) z_.push_back((estimate - distance) / sigma);
  }

  std::size_t dim_;
  unsigned bits_;
  CodeFactors factors_;
  std::vector<double> z_;
  double largest_relative_error_ = 0;
};

struct Case {
  std::size_t dim;
  unsigned bits;
};

void PrintTo(const Case& c, std::ostream* out) { *out << "d" << c.dim << "_bits" << c.bits; }

class Estimator : public testing::TestWithParam<Case> {};

TEST_P(Estimator, IsUnbiasedWithTheStatedDeviation) {
  const auto [dim, bits] = GetParam();
  Errors errors(dim, bits);
  const std::size_t rotations = dim <= 2 ? 600 : 40;
  for (std::size_t seed = 1; seed <= rotations; ++seed) {
    errors.add_rotation(seed, dim <= 2 ? 10 : 40, 10);
  }
  if (dim == 1) {  // query, centre and child are on one line: only the table's rounding is left
    EXPECT_LT(errors.largest_relative_error(), bits == 1 ? 0.08 : 0.02);
    return;
  }
  const Moments m = errors.moments();
  ASSERT_GT(m.count, 5000);
  EXPECT_NEAR(m.mean, 0, 0.05);
  EXPECT_GT(m.deviation, 0.95);
  EXPECT_LT(m.deviation, 1.05);
  // In a plane the error is a sum of few terms, not a Gaussian.
  if (dim > 2) {
    EXPECT_NEAR(m.below_bound, kExpectedBelow, 0.009);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Dimensions, Estimator,
    testing::Values(Case{1, 1}, Case{2, 1}, Case{63, 1}, Case{64, 1}, Case{65, 1}, Case{100, 1},
                    Case{128, 1}, Case{768, 1}, Case{1000, 1}, Case{1536, 1}, Case{4096, 1},
                    Case{1, 5}, Case{2, 5}, Case{63, 5}, Case{65, 5}, Case{100, 5}, Case{128, 5},
                    Case{768, 5}, Case{1536, 5}, Case{4096, 5}, Case{128, 2}, Case{128, 3},
                    Case{128, 4}, Case{128, 6}, Case{128, 7}, Case{128, 8}, Case{128, 9},
                    Case{1000, 2}, Case{1000, 9}),
    [](const auto& test) {
      return "d" + std::to_string(test.param.dim) + "_bits" + std::to_string(test.param.bits);
    });

TEST(Estimator, ErrorHalvesWithEachBit) {
  double last = 1;
  for (unsigned bits = 1; bits <= 8; ++bits) {
    Errors errors(256, bits);
    errors.add_rotation(1, 50, 10);
    EXPECT_LT(errors.largest_relative_error(), 0.7 * last) << bits << " bits";
    last = errors.largest_relative_error();
  }
}

TEST(ListCode, ZeroResidualIsExact) {
  const std::vector<float> zero(64, 0.0f);
  const std::vector<float> centre(64, 2.0f);
  std::vector<std::uint8_t> bits(8);
  std::vector<std::uint16_t> values(64);
  std::vector<std::uint8_t> packed(kernels::refine_code_bytes(64, 5));
  const CodeFactors binary = encode_binary(zero.data(), centre.data(), 64, bits.data());
  const CodeFactors refined =
      encode_refine(zero.data(), centre.data(), 64, 5, values.data(), packed.data());
  for (const CodeFactors& f : {binary, refined}) {
    EXPECT_EQ(f.add, 0);
    EXPECT_EQ(f.scale, 0);
    EXPECT_EQ(f.sigma, 0);
  }
}

TEST(ListCode, ScanFindsEachLaneOfABlock) {
  constexpr std::size_t kDim = 192;
  base::Random random(3);
  std::vector<float> query(kDim);
  for (float& value : query) value = test::gaussian(random);
  base::AlignedArray<std::uint8_t> block(kernels::block_bytes(kDim));
  std::vector<std::vector<std::uint8_t>> bits(32, std::vector<std::uint8_t>(kDim / 8));
  for (std::size_t lane = 0; lane < 32; ++lane) {
    for (std::uint8_t& byte : bits[lane]) byte = static_cast<std::uint8_t>(random.next());
    const auto number = static_cast<float>(lane);
    put_into_block(bits[lane].data(), {number, 100 + number, 0}, kDim, lane, block.data());
  }
  for (const kernels::Kernels* k : kernels::available()) {
    std::vector<std::uint8_t> table(kDim * 4);
    const kernels::TableScale scale = k->build_table(query.data(), kDim, table.data());
    std::uint32_t sums[32];
    k->scan_sums(block.data(), table.data(), kDim, sums);
    for (std::size_t lane = 0; lane < 32; ++lane) {
      double expected = 0;
      for (std::size_t i = 0; i < kDim; ++i) {
        if ((bits[lane][i / 8] >> i % 8 & 1) != 0) expected += static_cast<double>(query[i]);
      }
      const double found =
          static_cast<double>(scale.step) * sums[lane] + static_cast<double>(scale.low);
      EXPECT_NEAR(found, expected, 0.5 * static_cast<double>(scale.step) * kDim / 4)
          << k->isa << " lane " << lane;
    }
  }
}

TEST(Rotation, KeepsDistancesAndSpreadsOneCoordinate) {
  for (const std::size_t dim : {64, 128, 192, 832, 1024, 4096, 65536}) {
    std::vector<std::uint8_t> signs(Rotation::sign_bytes(dim));
    Rotation::draw_signs(7, signs);
    const Rotation rotation(dim, signs);
    std::vector<float> x(dim, 0.0f);
    x[dim / 3] = 3.0f;
    rotation.apply(x.data());
    double norm = 0;
    double largest = 0;
    for (const float value : x) {
      norm += static_cast<double>(value) * static_cast<double>(value);
      largest = std::max(largest, std::abs(static_cast<double>(value)));
    }
    EXPECT_NEAR(norm, 9.0, 1e-4) << dim;
    EXPECT_LT(largest, 3.0 * 6.5 / std::sqrt(static_cast<double>(dim))) << dim;
  }
}

TEST(Frame, SquaredDistanceOrdersAsTheMetricDoes) {
  constexpr std::size_t kDim = 37;
  const test::Vectors rows = test::clustered_vectors(50, kDim, 3, 11);
  float max_norm = 0;
  for (std::size_t i = 0; i < rows.rows; ++i) {
    float norm = 0;
    for (std::size_t j = 0; j < kDim; ++j) norm += rows.row(i)[j] * rows.row(i)[j];
    max_norm = std::max(max_norm, std::sqrt(norm));
  }
  for (const Metric metric : {Metric::l2, Metric::inner_product, Metric::cosine}) {
    const std::size_t padded_dim = Frame::padded_dim(metric, kDim);
    std::vector<std::uint8_t> signs(Rotation::sign_bytes(padded_dim));
    Rotation::draw_signs(5, signs);
    const std::vector<float> mean(Frame::lifted_dim(metric, kDim), 0.3f);
    const Frame frame(metric, kDim, {max_norm}, mean, signs);
    std::vector<float> lifted(frame.lifted_dim());
    std::vector<float> row(padded_dim);
    std::vector<float> query(padded_dim);
    const Frame::DistanceMap map = frame.rotate_query(rows.row(0), query.data());
    for (std::size_t i = 1; i < rows.rows; ++i) {
      frame.lift(rows.row(i), lifted.data());
      frame.rotate(lifted.data(), row.data());
      double squared = 0;
      for (std::size_t j = 0; j < padded_dim; ++j) {
        squared += std::pow(static_cast<double>(row[j]) - static_cast<double>(query[j]), 2);
      }
      double l2 = 0;
      double dot = 0;
      double qq = 0;
      double xx = 0;
      for (std::size_t j = 0; j < kDim; ++j) {
        const double q = rows.row(0)[j];
        const double x = rows.row(i)[j];
        l2 += (q - x) * (q - x);
        dot += q * x;
        qq += q * q;
        xx += x * x;
      }
      const double distance = metric == Metric::l2              ? l2
                              : metric == Metric::inner_product ? -dot
                                                                : 1 - dot / std::sqrt(qq * xx);
      const auto expected = static_cast<double>(map.to_frame(static_cast<float>(distance)));
      EXPECT_NEAR(squared, expected, 1e-4 * (1 + expected)) << to_string(metric) << " row " << i;
    }
  }
}

TEST(QueryCode, ZeroQueryIsFinite) {
  const std::vector<float> mean(8, 0.0f);
  std::vector<std::uint8_t> signs(Rotation::sign_bytes(64));
  const Frame frame(Metric::inner_product, 7, {}, mean, signs);
  const std::vector<float> zero(7, 0.0f);
  QueryCode code;
  code.prepare(frame, zero.data(), 5);
  EXPECT_EQ(code.squared_norm, 0);
  EXPECT_TRUE(std::isfinite(code.scan_offset));
  EXPECT_TRUE(std::isfinite(code.refine_offset));
}

}  // namespace
}  // namespace cairn::quantize

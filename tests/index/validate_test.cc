#include "index/validate.h"

#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cairn/error.h"

namespace cairn::index {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

// What validate_rows says of a [5000, 3] matrix of ones after `change`; "" if nothing.
template <typename Change>
std::string verdict(Metric metric, unsigned threads, Change&& change) {
  std::vector<float> values(5000 * 3, 1.0f);
  change(values);
  try {
    validate_rows({values.data(), 5000, 3}, metric, "base vectors", threads);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    return error.what();
  }
  return {};
}

std::string query_verdict(std::vector<float> query, std::size_t dim, Metric metric) {
  try {
    validate_query(query, dim, metric);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    return error.what();
  }
  return {};
}

TEST(Validate, AcceptsFiniteRows) {
  EXPECT_EQ(verdict(Metric::l2, 2, [](auto&) {}), "");
  EXPECT_EQ(verdict(Metric::cosine, 2, [](auto&) {}), "");
  EXPECT_EQ(verdict(Metric::l2, 2, [](auto& v) { v[0] = v[1] = v[2] = 0; }), "");
  EXPECT_EQ(verdict(Metric::l2, 2, [](auto& v) { v[0] = 3e18f; }), "");
}

TEST(Validate, NamesTheFirstBadValueWhateverTheThreads) {
  for (const unsigned threads : {1u, 2u, 5u, 0u}) {
    for (int repeat = 0; repeat < 20; ++repeat) {
      EXPECT_EQ(verdict(Metric::l2, threads,
                        [](auto& v) {
                          v[4999 * 3] = kInf;
                          v[1025 * 3 + 2] = kInf;
                          v[1024 * 3 + 2] = -kInf;
                          v[1024 * 3 + 1] = kNan;
                          v[3000 * 3] = 1e30f;
                        }),
                "base vectors: row 1024, column 1 is nan; expected finite values");
    }
  }
  EXPECT_EQ(verdict(Metric::l2, 2, [](auto& v) { v[51] = -kInf; }),
            "base vectors: row 17, column 0 is -inf; expected finite values");
}

TEST(Validate, RefusesOverflowingNorms) {
  EXPECT_EQ(verdict(Metric::l2, 2, [](auto& v) { v[51] = 1e19f; }),
            "base vectors: row 17 has squared norm 1e+38; expected at most 1e+37");
  EXPECT_EQ(verdict(Metric::inner_product, 2, [](auto& v) { v[51] = -1e20f; }),
            "base vectors: row 17 has squared norm inf; expected at most 1e+37");
}

TEST(Validate, RefusesRowsWithoutDirectionUnderCosine) {
  EXPECT_EQ(verdict(Metric::cosine, 2, [](auto& v) { v[51] = v[52] = v[53] = 0; }),
            "base vectors: row 17 is zero; the cosine metric needs a direction");
  const std::string tiny =
      verdict(Metric::cosine, 2, [](auto& v) { v[51] = 1e-20f, v[52] = v[53] = 0; });
  EXPECT_NE(tiny.find("row 17 has squared norm 9.9"), std::string::npos) << tiny;
}

TEST(Validate, RefusesWrongShapes) {
  const float value = 1;
  EXPECT_THROW(validate_rows({&value, 1, 0}, Metric::l2, "base vectors", 1), Error);
  EXPECT_THROW(validate_rows({&value, 1, kMaxDim + 1}, Metric::l2, "base vectors", 1), Error);
  EXPECT_THROW(validate_rows({nullptr, 1, 1}, Metric::l2, "base vectors", 1), Error);
  EXPECT_NO_THROW(validate_rows({nullptr, 0, 1}, Metric::l2, "base vectors", 1));
}

TEST(Validate, ChecksQueries) {
  EXPECT_EQ(query_verdict({1, 2}, 2, Metric::cosine), "");
  EXPECT_EQ(query_verdict({1, 2}, 3, Metric::l2), "query: dimension is 2; expected 3");
  EXPECT_EQ(query_verdict({1, kNan}, 2, Metric::l2),
            "query: column 1 is nan; expected finite values");
  EXPECT_EQ(query_verdict({0, 0}, 2, Metric::cosine),
            "query is zero; the cosine metric needs a direction");
  EXPECT_EQ(query_verdict({0, 0}, 2, Metric::l2), "");
}

}  // namespace
}  // namespace cairn::index

#include "cairn/exact_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "cairn/error.h"

#include "base/random.h"
#include "index/metric_distance.h"

namespace cairn {
namespace {

constexpr Metric kMetrics[] = {Metric::l2, Metric::inner_product, Metric::cosine};

struct Rows {
  std::vector<float> values;
  std::size_t dim;

  MatrixView view() const { return {values.data(), values.size() / dim, dim}; }
};

Rows random_rows(std::size_t rows, std::size_t dim, std::uint64_t seed) {
  base::Random random(seed);
  Rows result{std::vector<float>(rows * dim), dim};
  for (float& value : result.values) value = static_cast<float>(random.uniform() * 2 - 1);
  return result;
}

// Few distinct values, so that many distances are equal.
Rows coarse_rows(std::size_t rows, std::size_t dim, std::uint64_t seed) {
  base::Random random(seed);
  Rows result{std::vector<float>(rows * dim), dim};
  for (float& value : result.values) value = static_cast<float>(1 + random.below(2));
  return result;
}

// All distances of one query by the rerank's own function, sorted.
std::vector<Neighbor> sorted_by_rerank(MatrixView base, const float* query, Metric metric) {
  std::vector<float> distances(base.rows);
  const double norm2 = index::precise_squared_norm(query, base.dim);
  index::metric_distances(metric, query, norm2, base.data, base.dim, nullptr, base.rows, base.dim,
                          distances.data());
  std::vector<Neighbor> all;
  for (std::size_t row = 0; row < base.rows; ++row) all.push_back({row, distances[row]});
  std::sort(all.begin(), all.end());
  return all;
}

double distance_in_double(const float* q, const float* x, std::size_t dim, Metric metric) {
  double dot = 0, qq = 0, xx = 0, l2 = 0;
  for (std::size_t d = 0; d < dim; ++d) {
    const double a = q[d], b = x[d];
    dot += a * b;
    qq += a * a;
    xx += b * b;
    l2 += (a - b) * (a - b);
  }
  switch (metric) {
    case Metric::l2:
      return l2;
    case Metric::inner_product:
      return -dot;
    case Metric::cosine:
      return 1 - dot / std::sqrt(qq * xx);
  }
  return 0;
}

void expect_same(const BatchResult& a, const BatchResult& b) {
  EXPECT_EQ(a.ids, b.ids);
  EXPECT_EQ(a.distances, b.distances);
}

template <typename Call>
std::string message_of(Call&& call, ErrorCode expected) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(to_string(error.code()), std::string(to_string(expected)));
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

TEST(ExactSearch, AgreesWithRerankBitForBit) {
  for (const std::size_t dim : {1u, 3u, 64u, 100u}) {
    const Rows base = random_rows(2500, dim, 1);
    const Rows queries = random_rows(70, dim, 2);
    for (const Metric metric : kMetrics) {
      const BatchResult result = exact_search(base.view(), queries.view(), 12, metric, 2);
      for (std::size_t q = 0; q < queries.view().rows; ++q) {
        const auto expected = sorted_by_rerank(base.view(), queries.view().row(q), metric);
        for (std::size_t rank = 0; rank < 12; ++rank) {
          ASSERT_EQ(result.ids[q * 12 + rank], expected[rank].id);
          ASSERT_EQ(result.distances[q * 12 + rank], expected[rank].distance);
        }
      }
    }
  }
}

TEST(ExactSearch, DistancesAreThoseOfDoublePrecision) {
  const Rows base = random_rows(300, 37, 3);
  const Rows queries = random_rows(5, 37, 4);
  for (const Metric metric : kMetrics) {
    const BatchResult result = exact_search(base.view(), queries.view(), 300, metric, 1);
    for (std::size_t i = 0; i < result.ids.size(); ++i) {
      const double expected = distance_in_double(queries.view().row(i / 300),
                                                 base.view().row(result.ids[i]), 37, metric);
      ASSERT_NEAR(result.distances[i], expected, 1e-5 * std::max(1.0, std::abs(expected)));
    }
  }
}

TEST(ExactSearch, ResultsDoNotDependOnThreads) {
  const Rows base = random_rows(9000, 24, 5);
  for (const std::size_t num_queries : {1u, 3u, 200u}) {
    const Rows queries = random_rows(num_queries, 24, 6);
    for (const Metric metric : kMetrics) {
      const BatchResult one = exact_search(base.view(), queries.view(), 20, metric, 1);
      expect_same(one, exact_search(base.view(), queries.view(), 20, metric, 2));
      expect_same(one, exact_search(base.view(), queries.view(), 20, metric, 7));
    }
  }
}

TEST(ExactSearch, EqualDistancesComeByAscendingId) {
  const Rows base = coarse_rows(5000, 4, 7);
  const Rows queries = coarse_rows(10, 4, 8);
  for (const unsigned threads : {1u, 3u}) {
    const BatchResult result = exact_search(base.view(), queries.view(), 400, Metric::l2, threads);
    for (std::size_t q = 0; q < 10; ++q) {
      const auto expected = sorted_by_rerank(base.view(), queries.view().row(q), Metric::l2);
      for (std::size_t rank = 0; rank < 400; ++rank) {
        ASSERT_EQ(result.ids[q * 400 + rank], expected[rank].id);
      }
    }
  }
}

TEST(ExactSearch, PadsRowsWithFewerThanK) {
  const Rows base = random_rows(3, 8, 9);
  const BatchResult result = exact_search(base.view(), base.view(), 5, Metric::l2);
  ASSERT_EQ(result.ids.size(), 15u);
  for (std::size_t q = 0; q < 3; ++q) {
    EXPECT_EQ(result.ids[q * 5], q);
    EXPECT_EQ(result.distances[q * 5], 0);
    EXPECT_EQ(result.ids[q * 5 + 3], kNoId);
    EXPECT_EQ(result.distances[q * 5 + 4], std::numeric_limits<float>::infinity());
  }
}

TEST(ExactSearch, TakesNoBaseAndNoQueries) {
  const Rows rows = random_rows(2, 8, 10);
  const MatrixView none{nullptr, 0, 8};
  EXPECT_EQ(exact_search(rows.view(), none, 3, Metric::l2).queries, 0u);
  EXPECT_EQ(exact_search(none, rows.view(), 1, Metric::l2).ids,
            (std::vector<VectorId>{kNoId, kNoId}));
}

TEST(ExactSearch, CosineStaysInRangeForTinyAndHugeRows) {
  const Rows base{{1e-18f, 0, 3e18f, 0, -3e18f, 0}, 2};
  const Rows queries{{2e18f, 0, 2e-18f, 0}, 2};
  const BatchResult result = exact_search(base.view(), queries.view(), 3, Metric::cosine);
  for (std::size_t q = 0; q < 2; ++q) {
    EXPECT_NEAR(result.distances[q * 3], 0, 1e-6);
    EXPECT_NEAR(result.distances[q * 3 + 1], 0, 1e-6);
    EXPECT_NEAR(result.distances[q * 3 + 2], 2, 1e-6);
    EXPECT_LE(result.distances[q * 3 + 2], 2.0f);
  }
}

TEST(ExactSearch, RefusesWrongArguments) {
  const Rows rows = random_rows(4, 8, 11);
  const Rows other = random_rows(4, 9, 12);
  EXPECT_EQ(message_of([&] { exact_search(rows.view(), other.view(), 1, Metric::l2); },
                       ErrorCode::invalid_argument),
            "exact search: queries have dimension 9; expected that of the base, 8");
  message_of([&] { exact_search(rows.view(), rows.view(), 0, Metric::l2); },
             ErrorCode::invalid_argument);
  Rows damaged = rows;
  damaged.values[2 * 8 + 5] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(message_of([&] { exact_search(rows.view(), damaged.view(), 1, Metric::l2); },
                       ErrorCode::invalid_argument),
            "queries: row 2, column 5 is nan; expected finite values");
}

TEST(ExactSearch, ReportsProgressAndStopsWhenTold) {
  const Rows base = random_rows(4000, 64, 13);
  const Rows queries = random_rows(100, 64, 14);
  std::size_t last = 0;
  exact_search(base.view(), queries.view(), 5, Metric::l2, 2, [&](std::size_t done) {
    EXPECT_LE(last, done);
    last = done;
    return true;
  });
  EXPECT_EQ(last, 100u);
  message_of(
      [&] {
        exact_search(base.view(), queries.view(), 5, Metric::l2, 2,
                     [](std::size_t) { return false; });
      },
      ErrorCode::cancelled);
}

BatchResult result_of(std::size_t k, std::vector<VectorId> ids, std::vector<float> distances = {}) {
  return {ids.size() / k, k, ids, distances};
}

TEST(RecallAtK, CountsTrueNeighbours) {
  const BatchResult truth = result_of(2, {1, 2, 3, 4});
  EXPECT_EQ(recall_at_k(result_of(2, {2, 1, 4, 9}), truth, 2), 0.75);
  EXPECT_EQ(recall_at_k(result_of(2, {1, 9, 3, 9}), truth, 1), 1.0);
  EXPECT_EQ(recall_at_k(result_of(3, {7, 8, 1, 7, 8, 3}), truth, 2), 0.0);
}

TEST(RecallAtK, CountsTiesAtTheLastRank) {
  const BatchResult truth = result_of(3, {1, 2, 3}, {0.5f, 1.0f, 1.0f});
  EXPECT_EQ(recall_at_k(result_of(2, {1, 3}), truth, 2), 1.0);
  EXPECT_EQ(recall_at_k(result_of(2, {1, 8}, {0.5f, 1.0f}), truth, 2), 1.0);
  EXPECT_EQ(recall_at_k(result_of(2, {1, 8}, {0.5f, 1.5f}), truth, 2), 0.5);
  EXPECT_EQ(recall_at_k(result_of(2, {1, 3}), result_of(3, {1, 2, 3}), 2), 0.5);
}

TEST(RecallAtK, CountsARepeatedIdOnce) {
  EXPECT_EQ(recall_at_k(result_of(2, {1, 1}), result_of(2, {1, 2}), 2), 0.5);
}

TEST(RecallAtK, LooksForNoMoreThanThereIs) {
  const float inf = std::numeric_limits<float>::infinity();
  const BatchResult truth = result_of(3, {1, 2, kNoId}, {1, 2, inf});
  EXPECT_EQ(recall_at_k(result_of(3, {2, 1, kNoId}, {1, 2, inf}), truth, 3), 1.0);
  EXPECT_EQ(recall_at_k(result_of(3, {2, kNoId, kNoId}, {2, inf, inf}), truth, 3), 0.5);
}

TEST(RecallAtK, RefusesOtherShapes) {
  const BatchResult two = result_of(2, {1, 2});
  message_of([&] { recall_at_k(two, two, 3); }, ErrorCode::invalid_argument);
  message_of([&] { recall_at_k(two, two, 0); }, ErrorCode::invalid_argument);
  message_of([&] { recall_at_k(two, result_of(2, {1, 2, 3, 4}), 2); }, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace cairn

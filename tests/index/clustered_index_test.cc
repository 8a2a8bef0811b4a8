// include/cairn/clustered_index.h: building and searching, right results and refused input.

#include "cairn/clustered_index.h"

#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cairn/error.h"
#include "cairn/exact_search.h"

#include "tests/util/random_vectors.h"

namespace cairn {
namespace {

using test::clustered_vectors;
using test::Vectors;

constexpr std::size_t kAll = 1u << 20;  // more probes than any index here has leaves

// Everything scanned and everything reranked: exact search.
SearchOptions exhaustive(std::size_t k) { return {.k = k, .probes = kAll, .rerank_factor = 1e9f}; }

std::string message_of(ErrorCode expected, const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(to_string(error.code()), std::string(to_string(expected))) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no Error was thrown";
  return "";
}

void expect_equal(const std::vector<Neighbor>& found, const BatchResult& truth, std::size_t q) {
  ASSERT_EQ(found.size(), truth.k);
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].id, truth.ids[q * truth.k + i]) << "query " << q << " place " << i;
    EXPECT_EQ(found[i].distance, truth.distances[q * truth.k + i]);
  }
}

class EachMetric : public testing::TestWithParam<Metric> {};

INSTANTIATE_TEST_SUITE_P(Metrics, EachMetric,
                         testing::Values(Metric::l2, Metric::inner_product, Metric::cosine),
                         [](const auto& test) { return std::string(to_string(test.param)); });

TEST_P(EachMetric, ExhaustiveSearchEqualsBruteForce) {
  for (const std::size_t dim : {1, 2, 63, 64, 65, 300}) {
    const Vectors rows = clustered_vectors(700, dim, 20, dim);
    const Vectors queries = clustered_vectors(20, dim, 20, dim + 1);
    const BatchResult truth = exact_search(rows.view(), queries.view(), 10, GetParam());
    for (const unsigned refine_bits : {0u, 4u}) {
      const ClusteredIndex index = ClusteredIndex::build(
          rows.view(), {.metric = GetParam(), .max_leaf_size = 60, .refine_bits = refine_bits});
      for (std::size_t q = 0; q < queries.rows; ++q) {
        expect_equal(index.search({queries.row(q), dim}, exhaustive(10)), truth, q);
      }
    }
  }
}

TEST_P(EachMetric, BoundsLoseLittle) {
  Vectors rows = clustered_vectors(6400, 96, 60, 1);
  const Vectors queries = split_off(rows, 400);
  const BatchResult truth = exact_search(rows.view(), queries.view(), 10, GetParam());
  for (const unsigned refine_bits : {0u, 1u, 4u, 8u}) {
    const ClusteredIndex index =
        ClusteredIndex::build(rows.view(), {.metric = GetParam(), .refine_bits = refine_bits});
    const BatchResult all = index.search_batch(queries.view(), {.k = 10, .probes = kAll});
    EXPECT_GE(recall_at_k(all, truth, 10), 0.985) << refine_bits << " refine bits";
    const BatchResult some = index.search_batch(queries.view(), {.k = 10, .target_recall = 0.9f});
    EXPECT_GE(recall_at_k(some, truth, 10), 0.87) << refine_bits << " refine bits";
  }
}

TEST(ClusteredIndex, InnerProductWithUnequalNorms) {
  Vectors rows = clustered_vectors(3100, 48, 30, 5);
  const Vectors queries = test::split_off(rows, 100);
  base::Random random(9);
  for (std::size_t i = 0; i < rows.rows; ++i) {
    const auto factor = static_cast<float>(std::pow(100.0, random.uniform()));
    for (std::size_t j = 0; j < rows.dim; ++j) rows.row(i)[j] *= factor;
  }
  const BatchResult truth = exact_search(rows.view(), queries.view(), 10, Metric::inner_product);
  const ClusteredIndex index =
      ClusteredIndex::build(rows.view(), {.metric = Metric::inner_product});
  const BatchResult found = index.search_batch(queries.view(), {.k = 10, .probes = kAll});
  EXPECT_GE(recall_at_k(found, truth, 10), 0.98);
  const BatchResult some = index.search_batch(queries.view(), {.k = 10, .target_recall = 0.95f});
  EXPECT_GE(recall_at_k(some, truth, 10), 0.92);
}

TEST(ClusteredIndex, SmallSizes) {
  for (const std::size_t n : {0, 1, 2, 5, 31, 32, 33, 64, 65}) {
    const Vectors rows = clustered_vectors(n, 10, 3, n);
    const Vectors query = clustered_vectors(1, 10, 3, 77);
    const ClusteredIndex index = ClusteredIndex::build(rows.view());
    EXPECT_EQ(index.size(), n);
    const std::vector<Neighbor> found = index.search(query.values, exhaustive(10));
    ASSERT_EQ(found.size(), std::min<std::size_t>(n, 10));
    if (n > 0) {
      const BatchResult truth =
          exact_search(rows.view(), query.view(), std::min<std::size_t>(n, 10), Metric::l2);
      expect_equal(found, truth, 0);
      EXPECT_EQ(index.search(query.values, {.k = 10}).size(), found.size());
    }
    const BatchResult batch = index.search_batch(query.view(), {.k = 10, .probes = kAll});
    ASSERT_EQ(batch.ids.size(), 10u);
    for (std::size_t i = found.size(); i < 10; ++i) {
      EXPECT_EQ(batch.ids[i], kNoId);
      EXPECT_TRUE(std::isinf(batch.distances[i]));
    }
  }
}

TEST(ClusteredIndex, LargerKThanSizeReturnsAll) {
  const Vectors rows = clustered_vectors(500, 20, 5, 1);
  const ClusteredIndex index = ClusteredIndex::build(rows.view(), {.max_leaf_size = 50});
  std::set<VectorId> ids;
  for (const Neighbor& n : index.search({rows.row(0), 20}, {.k = 1000, .probes = kAll})) {
    ids.insert(n.id);
  }
  EXPECT_EQ(ids.size(), 500u);
}

TEST(ClusteredIndex, EqualVectors) {
  const Vectors rows{std::vector<float>(3000 * 16, 1.5f), 3000, 16};
  for (const unsigned refine_bits : {0u, 4u}) {
    const ClusteredIndex index =
        ClusteredIndex::build(rows.view(), {.max_leaf_size = 100, .refine_bits = refine_bits});
    EXPECT_LE(index.stats().leaf_size_max, 100u);
    const std::vector<Neighbor> found = index.search({rows.row(0), 16}, exhaustive(10));
    ASSERT_EQ(found.size(), 10u);
    for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(found[i], (Neighbor{i, 0.0f}));
    EXPECT_EQ(index.search({rows.row(0), 16}, {.k = 10, .probes = 1}).size(), 10u);
    EXPECT_EQ(index.search({rows.row(0), 16}, {.k = 10}).size(), 10u);
  }
}

TEST(ClusteredIndex, ExactDuplicatesAreAllFound) {
  Vectors rows = clustered_vectors(2000, 24, 10, 4);
  for (std::size_t i = 0; i < 12; ++i) {
    std::copy_n(rows.row(100), 24, rows.row(1000 + 50 * i));
  }
  const ClusteredIndex index = ClusteredIndex::build(rows.view());
  const std::vector<Neighbor> found = index.search({rows.row(100), 24}, {.k = 13, .probes = kAll});
  std::set<VectorId> ids;
  for (const Neighbor& n : found) {
    EXPECT_EQ(n.distance, 0.0f);
    ids.insert(n.id);
  }
  EXPECT_EQ(ids.size(), 13u);
  EXPECT_TRUE(ids.contains(100));
}

TEST(ClusteredIndex, HighDimension) {
  const Vectors rows = clustered_vectors(400, 4096, 8, 2);
  const Vectors query = clustered_vectors(3, 4096, 8, 3);
  const ClusteredIndex index = ClusteredIndex::build(rows.view());
  const BatchResult truth = exact_search(rows.view(), query.view(), 10, Metric::l2);
  EXPECT_EQ(recall_at_k(index.search_batch(query.view(), {.k = 10, .probes = kAll}), truth, 10), 1);
}

TEST(ClusteredIndex, DeepTreesFindEverything) {
  const Vectors rows = clustered_vectors(3000, 32, 40, 8);
  const Vectors queries = clustered_vectors(30, 32, 40, 8);
  const BatchResult truth = exact_search(rows.view(), queries.view(), 10, Metric::l2);
  for (const std::size_t branching : {2, 3, 8}) {
    const ClusteredIndex index =
        ClusteredIndex::build(rows.view(), {.branching_factor = branching, .max_leaf_size = 40});
    EXPECT_GT(index.stats().levels, 3u);
    EXPECT_LE(index.stats().leaf_size_max, 40u);
    for (std::size_t q = 0; q < queries.rows; ++q) {
      expect_equal(index.search({queries.row(q), 32}, exhaustive(10)), truth, q);
    }
    const BatchResult some = index.search_batch(queries.view(), {.k = 10, .probes = 40});
    EXPECT_GE(recall_at_k(some, truth, 10), 0.9) << branching;
  }
}

TEST(ClusteredIndex, UserIdsAndVectors) {
  const Vectors rows = clustered_vectors(300, 12, 4, 3);
  std::vector<VectorId> ids(300);
  for (std::size_t i = 0; i < 300; ++i) ids[i] = (std::uint64_t{1} << 40) - 7 * i;
  const ClusteredIndex index = ClusteredIndex::build(rows.view(), {}, ids);
  const std::vector<Neighbor> found = index.search({rows.row(42), 12}, {.k = 1});
  EXPECT_EQ(found[0].id, ids[42]);
  for (std::size_t i = 0; i < 300; ++i) {
    const auto vector = index.vector(ids[i]);
    ASSERT_TRUE(vector.has_value());
    EXPECT_TRUE(std::equal(vector->begin(), vector->end(), rows.row(i)));
    EXPECT_EQ(index.id_of(*index.row_of(ids[i])), ids[i]);
  }
  EXPECT_FALSE(index.contains(17));
  EXPECT_FALSE(index.vector(17).has_value());
  EXPECT_FALSE(index.row_of(kNoId).has_value());
}

TEST(ClusteredIndex, RefusesBadInput) {
  Vectors rows = clustered_vectors(50, 8, 2, 1);
  const auto build = [&](const BuildOptions& options = {}, std::span<const VectorId> ids = {}) {
    return message_of(ErrorCode::invalid_argument,
                      [&] { ClusteredIndex::build(rows.view(), options, ids); });
  };
  rows.row(17)[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(build(),
              testing::AllOf(testing::HasSubstr("row 17"), testing::HasSubstr("column 3")));
  rows.row(17)[3] = std::numeric_limits<float>::infinity();
  EXPECT_THAT(build(),
              testing::AllOf(testing::HasSubstr("row 17"), testing::HasSubstr("column 3")));
  std::fill_n(rows.row(17), 8, 0.0f);
  EXPECT_THAT(build({.metric = Metric::cosine}), testing::HasSubstr("row 17"));
  std::vector<VectorId> ids(50);
  std::iota(ids.begin(), ids.end(), 0u);
  ids[40] = 7;
  EXPECT_THAT(build({}, ids), testing::AllOf(testing::HasSubstr("7"), testing::HasSubstr("40")));
  ids[40] = kNoId;
  EXPECT_THAT(build({}, ids), testing::HasSubstr("row 40"));
  ids.pop_back();
  EXPECT_THAT(build({}, ids), testing::HasSubstr("49"));
  EXPECT_THAT(build({.branching_factor = 1}), testing::HasSubstr("branching_factor"));
  EXPECT_THAT(build({.refine_bits = 9}), testing::HasSubstr("refine_bits"));
  message_of(ErrorCode::invalid_argument, [&] {
    ClusteredIndex::build({rows.values.data(), 50, 0});
  });
  message_of(ErrorCode::invalid_argument, [&] { ClusteredIndex::build({nullptr, 50, 8}); });
}

TEST(ClusteredIndex, RefusesBadQueries) {
  const Vectors rows = clustered_vectors(50, 8, 2, 1);
  const ClusteredIndex index = ClusteredIndex::build(rows.view(), {.metric = Metric::cosine});
  std::vector<float> query(rows.row(0), rows.row(0) + 8);
  const auto search = [&](const SearchOptions& options) {
    return message_of(ErrorCode::invalid_argument, [&] { index.search(query, options); });
  };
  EXPECT_THAT(search({.k = 0}), testing::HasSubstr("k"));
  EXPECT_THAT(search({.target_recall = 1.5f}), testing::HasSubstr("target_recall"));
  EXPECT_THAT(search({.rerank_factor = -1}), testing::HasSubstr("rerank_factor"));
  EXPECT_THAT(search({.rerank_factor = std::nanf("")}), testing::HasSubstr("rerank_factor"));
  query[5] = std::nanf("");
  EXPECT_THAT(search({}), testing::HasSubstr("5"));
  query.assign(8, 0.0f);
  search({});
  query.assign(7, 1.0f);
  EXPECT_THAT(search({}), testing::AllOf(testing::HasSubstr("8"), testing::HasSubstr("7")));
  std::vector<Neighbor> out(3);
  message_of(ErrorCode::invalid_argument, [&] { index.search({rows.row(0), 8}, {.k = 10}, out); });
}

TEST(ClusteredIndex, ProgressIsReportedAndCancels) {
  const Vectors rows = clustered_vectors(4000, 32, 20, 1);
  std::set<std::string> phases;
  BuildOptions options;
  options.on_progress = [&](const BuildProgress& progress) {
    phases.insert(progress.phase);
    EXPECT_GE(progress.seconds, 0);
    return true;
  };
  ClusteredIndex::build(rows.view(), options);
  EXPECT_GE(phases.size(), 4u);
  for (const std::string& last : phases) {
    options.on_progress = [&](const BuildProgress& progress) { return progress.phase != last; };
    message_of(ErrorCode::cancelled, [&] { ClusteredIndex::build(rows.view(), options); });
  }
}

TEST(ClusteredIndex, StatsCountWhatASearchDid) {
  const Vectors rows = clustered_vectors(5000, 64, 50, 1);
  const ClusteredIndex index = ClusteredIndex::build(rows.view());
  std::vector<Neighbor> out(10);
  SearchStats stats;
  index.search({rows.row(0), 64}, {.k = 10, .probes = 5}, out, &stats);
  EXPECT_EQ(stats.leaves_scanned, 5u);
  EXPECT_EQ(stats.stop_reason, StopReason::budget);
  EXPECT_GE(stats.codes_scanned, 5u);
  EXPECT_LE(stats.codes_scanned, 5 * index.stats().leaf_size_max);
  EXPECT_GE(stats.codes_refined, 10u);
  EXPECT_GE(stats.vectors_read, 10u);
  EXPECT_LE(stats.vectors_read, stats.codes_refined);
  EXPECT_EQ(stats.vector_bytes_read, stats.vectors_read * 64 * sizeof(float));
  index.search({rows.row(0), 64}, {.k = 10, .probes = kAll}, out, &stats);
  EXPECT_EQ(stats.codes_scanned, 5000u);
  EXPECT_EQ(stats.stop_reason, StopReason::exhausted);
  index.search({rows.row(0), 64}, {.k = 10, .probes = kAll, .rerank_factor = 3}, out, &stats);
  EXPECT_EQ(stats.vectors_read, 30u);
}

TEST(ClusteredIndex, LeavesAreBalancedAndCapped) {
  const Vectors rows = clustered_vectors(20000, 24, 200, 6);
  const IndexStats stats = ClusteredIndex::build(rows.view(), {.max_leaf_size = 128}).stats();
  EXPECT_LE(stats.leaf_size_max, 128u);
  EXPECT_LT(stats.leaf_size_stddev / stats.leaf_size_mean, 0.45);
  EXPECT_EQ(stats.rows, 20000u);
}

TEST(ClusteredIndex, CalibratedProbesRise) {
  const Vectors rows = clustered_vectors(8000, 48, 100, 6);
  const ClusteredIndex index = ClusteredIndex::build(rows.view());
  for (const std::size_t k : {1, 5, 10, 50, 100, 300}) {
    std::size_t last = 1;
    for (const float recall : {0.3f, 0.5f, 0.8f, 0.9f, 0.95f, 0.99f, 1.0f}) {
      const std::size_t probes = index.calibrated_probes(recall, k);
      EXPECT_GE(probes, last);
      last = probes;
    }
    EXPECT_EQ(last, index.stats().leaves);
  }
}

TEST(ClusteredIndex, ThreadsWithinOneQueryChangeNothing) {
  const Vectors rows = clustered_vectors(8000, 64, 50, 1);
  const Vectors queries = clustered_vectors(50, 64, 50, 2);
  for (const unsigned refine_bits : {0u, 4u}) {
    const ClusteredIndex index = ClusteredIndex::build(rows.view(), {.refine_bits = refine_bits});
    for (std::size_t q = 0; q < queries.rows; ++q) {
      SearchOptions options{.k = 20, .probes = 40};
      const std::vector<Neighbor> one = index.search({queries.row(q), 64}, options);
      options.threads = 3;
      EXPECT_EQ(index.search({queries.row(q), 64}, options), one);
      options.rerank_factor = 4;
      const std::vector<Neighbor> fixed = index.search({queries.row(q), 64}, options);
      options.threads = 1;
      EXPECT_EQ(index.search({queries.row(q), 64}, options), fixed);
    }
  }
}

TEST(ClusteredIndex, ConcurrentSearchesAgree) {
  const Vectors rows = clustered_vectors(5000, 40, 50, 1);
  const Vectors queries = clustered_vectors(100, 40, 50, 2);
  const ClusteredIndex index = ClusteredIndex::build(rows.view());
  const BatchResult expected = index.search_batch(queries.view(), {.k = 10, .threads = 1});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (std::size_t q = 0; q < queries.rows; ++q) {
        const std::vector<Neighbor> found = index.search({queries.row(q), 40}, {.k = 10});
        for (std::size_t i = 0; i < 10; ++i) {
          EXPECT_EQ(found[i].id, expected.ids[q * 10 + i]);
          EXPECT_EQ(found[i].distance, expected.distances[q * 10 + i]);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace cairn

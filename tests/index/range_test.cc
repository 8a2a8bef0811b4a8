// Range search, k with a greatest distance, deadlines, progress of batches.

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cairn/clustered_index.h"
#include "cairn/exact_search.h"

#include "tests/util/expect_error.h"
#include "tests/util/random_vectors.h"

namespace cairn {
namespace {

using test::clustered_vectors;
using test::Vectors;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

class RangeSearch : public testing::TestWithParam<Metric> {
 protected:
  Vectors rows_ = clustered_vectors(5040, 40, 50, 1);
  const Vectors queries_ = test::split_off(rows_, 40);
  const BatchResult truth_ = exact_search(rows_.view(), queries_.view(), 5000, GetParam());

  // All within the distance of one query, nearest first.
  std::vector<Neighbor> within(std::size_t q, float distance) const {
    std::vector<Neighbor> all;
    for (std::size_t i = q * truth_.k; truth_.distances[i] <= distance; ++i) {
      all.push_back({truth_.ids[i], truth_.distances[i]});
      if (i + 1 == (q + 1) * truth_.k) break;
    }
    return all;
  }
};

INSTANTIATE_TEST_SUITE_P(Metrics, RangeSearch,
                         testing::Values(Metric::l2, Metric::inner_product, Metric::cosine),
                         [](const auto& test) { return std::string(to_string(test.param)); });

TEST_P(RangeSearch, FindsWhatIsWithinTheDistance) {
  for (const unsigned refine_bits : {0u, 4u}) {
    const ClusteredIndex index = ClusteredIndex::build(
        rows_.view(), {.metric = GetParam(), .max_leaf_size = 64, .refine_bits = refine_bits});
    for (const std::size_t rank : {0, 5, 60, 800, 4999}) {
      std::size_t found_in_all = 0;
      std::size_t expected_in_all = 0;
      for (std::size_t q = 0; q < queries_.rows; ++q) {
        const float distance = truth_.distances[q * truth_.k + rank];
        const std::vector<Neighbor> expected = within(q, distance);
        const std::vector<Neighbor> found = index.range_search({queries_.row(q), 40}, distance);
        EXPECT_TRUE(std::is_sorted(found.begin(), found.end()));
        // Nothing that is not there, each with its exact distance.
        EXPECT_TRUE(std::includes(expected.begin(), expected.end(), found.begin(), found.end()));
        found_in_all += found.size();
        expected_in_all += expected.size();
      }
      EXPECT_GE(static_cast<double>(found_in_all + 3), 0.98 * static_cast<double>(expected_in_all))
          << "up to rank " << rank << ", " << refine_bits << " refine bits";
    }
  }
}

TEST_P(RangeSearch, GivesTheNearestIfThereAreMoreThanTheLimit) {
  const ClusteredIndex index =
      ClusteredIndex::build(rows_.view(), {.metric = GetParam(), .max_leaf_size = 64});
  for (std::size_t q = 0; q < 10; ++q) {
    const float distance = truth_.distances[q * truth_.k + 100];
    const std::vector<Neighbor> all =
        index.range_search({queries_.row(q), 40}, distance, {.target_recall = 1});
    for (const std::size_t limit :
         {std::size_t{1}, std::size_t{30}, all.size(), std::size_t{9999}}) {
      const std::vector<Neighbor> some =
          index.range_search({queries_.row(q), 40}, distance, {.target_recall = 1, .limit = limit});
      const std::size_t count = std::min(limit, all.size());
      EXPECT_EQ(some, std::vector(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count)));
    }
  }
}

TEST_P(RangeSearch, TakesFilters) {
  const ClusteredIndex index =
      ClusteredIndex::build(rows_.view(), {.metric = GetParam(), .max_leaf_size = 64});
  for (const VectorId modulus : {2, 50, 2000}) {
    const auto allows = [modulus](VectorId id) { return id % modulus == 0; };
    const Filter filter = Filter::from_predicate(allows);
    const PreparedFilter prepared = index.prepare(filter);
    for (std::size_t q = 0; q < 10; ++q) {
      const float distance = truth_.distances[q * truth_.k + 1000];
      std::vector<Neighbor> expected = within(q, distance);
      std::erase_if(expected, [&](const Neighbor& hit) { return !allows(hit.id); });
      const std::vector<Neighbor> found =
          index.range_search({queries_.row(q), 40}, distance, {.prepared_filter = &prepared});
      EXPECT_TRUE(std::includes(expected.begin(), expected.end(), found.begin(), found.end()));
      EXPECT_GE(static_cast<double>(found.size()), 0.93 * static_cast<double>(expected.size()));
      EXPECT_EQ(index.range_search({queries_.row(q), 40}, distance, {.filter = &filter}), found);
    }
  }
}

TEST_P(RangeSearch, NothingMayBeNear) {
  const ClusteredIndex index = ClusteredIndex::build(rows_.view(), {.metric = GetParam()});
  const std::span<const float> query(queries_.row(0), 40);
  EXPECT_TRUE(index.range_search(query, -kInfinity).empty());
  EXPECT_TRUE(index.range_search(query, -1e30f).empty());
  EXPECT_EQ(index.range_search(query, kInfinity, {.target_recall = 1}).size(), rows_.rows);
  test::expect_error(ErrorCode::invalid_argument, "max_distance",
                     [&] { index.range_search(query, std::nanf("")); });
  test::expect_error(ErrorCode::invalid_argument, "target_recall",
                     [&] { index.range_search(query, 1, {.target_recall = 1.5f}); });
  test::expect_error(ErrorCode::invalid_argument, "dimension",
                     [&] { index.range_search(query.first(39), 1); });
}

TEST_P(RangeSearch, KNearestUpToADistance) {
  for (const unsigned refine_bits : {0u, 4u}) {
    const ClusteredIndex index = ClusteredIndex::build(
        rows_.view(), {.metric = GetParam(), .max_leaf_size = 64, .refine_bits = refine_bits});
    for (SearchOptions options : {SearchOptions{.k = 20, .probes = 5000, .rerank_factor = 1e9f},
                                  SearchOptions{.k = 20, .probes = 5000}}) {
      std::size_t found_in_all = 0;
      std::size_t expected_in_all = 0;
      for (std::size_t q = 0; q < queries_.rows; ++q) {
        for (const std::size_t rank : {0, 7, 19, 100}) {
          options.max_distance = truth_.distances[q * truth_.k + rank];
          std::vector<Neighbor> expected = within(q, options.max_distance);
          if (expected.size() > options.k) expected.resize(options.k);
          const std::vector<Neighbor> found = index.search({queries_.row(q), 40}, options);
          if (options.rerank_factor > 0) {
            EXPECT_EQ(found, expected) << rank;
          } else {
            found_in_all += found.size();
            expected_in_all += expected.size();
            for (const Neighbor& hit : found) EXPECT_LE(hit.distance, options.max_distance);
          }
        }
      }
      EXPECT_GE(static_cast<double>(found_in_all), 0.98 * static_cast<double>(expected_in_all));
      const BatchResult batch = index.search_batch(queries_.view(), options);
      for (std::size_t q = 0; q < queries_.rows; ++q) {
        const std::vector<Neighbor> found = index.search({queries_.row(q), 40}, options);
        for (std::size_t i = 0; i < options.k; ++i) {
          EXPECT_EQ(batch.ids[q * options.k + i], i < found.size() ? found[i].id : kNoId);
        }
      }
    }
  }
}

// The clock is read after the first leaves, when a microsecond is long over.
TEST(Deadline, GivesTheBestSoFarAndSaysSo) {
  const Vectors rows = clustered_vectors(6000, 32, 100, 1);
  const Filter half = Filter::from_predicate([](VectorId id) { return id % 2 == 0; });
  for (const unsigned refine_bits : {0u, 4u}) {
    const ClusteredIndex index =
        ClusteredIndex::build(rows.view(), {.max_leaf_size = 64, .refine_bits = refine_bits});
    const PreparedFilter filter = index.prepare(half);
    for (const unsigned threads : {1u, 3u}) {
      SearchOptions options{.k = 10, .probes = 30000};
      for (const PreparedFilter* prepared :
           {static_cast<const PreparedFilter*>(nullptr), &filter}) {
        options.threads = threads;
        options.prepared_filter = prepared;
        options.max_microseconds = 0;
        const std::vector<Neighbor> best = index.search({rows.row(6), 32}, options);
        options.max_microseconds = 1;
        std::vector<Neighbor> found(10);
        SearchStats stats;
        const std::size_t count = index.search({rows.row(6), 32}, options, found, &stats);
        EXPECT_EQ(stats.stop_reason, StopReason::deadline);
        ASSERT_GT(count, 0u);
        EXPECT_EQ(found[0], best[0]);  // the query itself, in the nearest leaf
        EXPECT_TRUE(
            std::is_sorted(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(count)));
        options.max_microseconds = ~std::uint64_t{0};
        EXPECT_EQ(index.search({rows.row(6), 32}, options), best);
      }
    }
  }
}

TEST(Deadline, IsOfEachQueryOfABatch) {
  const Vectors rows = clustered_vectors(5000, 32, 100, 1);
  const ClusteredIndex index = ClusteredIndex::build(rows.view(), {.max_leaf_size = 64});
  const MatrixView queries{rows.values.data(), 30, 32};
  const BatchResult plain = index.search_batch(queries, {.probes = 20000});
  EXPECT_TRUE(plain.is_cut_short.empty());
  const BatchResult cut = index.search_batch(queries, {.probes = 20000, .max_microseconds = 1});
  EXPECT_THAT(cut.is_cut_short, testing::ElementsAreArray(std::vector<std::uint8_t>(30, 1)));
  EXPECT_EQ(cut.ids[10], plain.ids[10]);
  const BatchResult whole =
      index.search_batch(queries, {.probes = 20000, .max_microseconds = 3'600'000'000});
  EXPECT_THAT(whole.is_cut_short, testing::ElementsAreArray(std::vector<std::uint8_t>(30, 0)));
  EXPECT_EQ(whole.ids, plain.ids);
}

TEST(BatchProgress, IsToldAndMayCancel) {
  const Vectors rows = clustered_vectors(3000, 16, 30, 1);
  const ClusteredIndex index = ClusteredIndex::build(rows.view());
  for (const unsigned threads : {1u, 2u}) {
    std::size_t last = 0;
    const BatchResult told =
        index.search_batch(rows.view(), {.threads = threads}, [&](std::size_t done) {
          EXPECT_GE(done, last);
          last = done;
          return true;
        });
    EXPECT_EQ(last, rows.rows);
    EXPECT_EQ(told.ids, index.search_batch(rows.view(), {.threads = threads}).ids);
    test::expect_error(ErrorCode::cancelled, "search", [&] {
      index.search_batch(rows.view(), {.threads = threads}, [](std::size_t) { return false; });
    });
  }
}

}  // namespace
}  // namespace cairn

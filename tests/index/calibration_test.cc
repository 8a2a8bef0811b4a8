#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cairn/clustered_index.h"
#include "cairn/error.h"
#include "cairn/exact_search.h"

#include "index/stop_rule.h"
#include "tests/util/random_vectors.h"
#include "tests/util/temp_dir.h"

namespace cairn {
namespace {

using test::clustered_vectors;
using test::Vectors;

constexpr std::size_t kDim = 32;

// Recall at k of each query, and its statistics.
struct Measured {
  std::vector<double> recall;
  std::vector<SearchStats> stats;

  double mean_recall() const {
    double sum = 0;
    for (const double value : recall) sum += value;
    return sum / static_cast<double>(recall.size());
  }
  double mean_leaves() const {
    double sum = 0;
    for (const SearchStats& query : stats) sum += static_cast<double>(query.leaves_scanned);
    return sum / static_cast<double>(stats.size());
  }
  double mean_estimate() const {
    double sum = 0;
    for (const SearchStats& query : stats) sum += static_cast<double>(query.estimated_recall);
    return sum / static_cast<double>(stats.size());
  }
  double unusual_share() const {
    const auto unusual = std::count_if(stats.begin(), stats.end(),
                                       [](const SearchStats& query) { return query.is_unusual; });
    return static_cast<double>(unusual) / static_cast<double>(stats.size());
  }
};

Measured measure(const ClusteredIndex& index, const Vectors& rows, const Vectors& queries,
                 const SearchOptions& options) {
  const BatchResult truth = exact_search(rows.view(), queries.view(), options.k, Metric::l2);
  Measured measured;
  std::vector<Neighbor> found(options.k);
  for (std::size_t q = 0; q < queries.rows; ++q) {
    SearchStats stats;
    index.search({queries.row(q), queries.dim}, options, found, &stats);
    const auto begin = truth.ids.begin() + static_cast<std::ptrdiff_t>(q * options.k);
    const auto hits = std::count_if(found.begin(), found.end(), [&](const Neighbor& neighbor) {
      return std::find(begin, begin + static_cast<std::ptrdiff_t>(options.k), neighbor.id) !=
             begin + static_cast<std::ptrdiff_t>(options.k);
    });
    measured.recall.push_back(static_cast<double>(hits) / static_cast<double>(options.k));
    measured.stats.push_back(stats);
  }
  return measured;
}

// Rows around centres that overlap, so that leaves cut through neighbourhoods.
class CalibrationTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    Vectors rows = clustered_vectors(20600, kDim, 12, 5);
    queries_ = new Vectors(test::split_off(rows, 600));
    rows_ = new Vectors(std::move(rows));
    index_ = new ClusteredIndex(ClusteredIndex::build(rows_->view()));
  }
  static void TearDownTestSuite() {
    delete index_;
    delete rows_;
    delete queries_;
  }

  // Rows plus noise: queries unlike any row.
  static Vectors noisy_queries(std::size_t count, std::uint64_t seed) {
    Vectors noisy = clustered_vectors(count, kDim, 12, seed);
    base::Random random(seed);
    for (std::size_t q = 0; q < count; ++q) {
      const float* row = rows_->row(random.below(rows_->rows));
      for (std::size_t j = 0; j < kDim; ++j) noisy.row(q)[j] = row[j] + 2 * test::gaussian(random);
    }
    return noisy;
  }

  static Vectors* rows_;
  static Vectors* queries_;
  static ClusteredIndex* index_;
};
Vectors* CalibrationTest::rows_ = nullptr;
Vectors* CalibrationTest::queries_ = nullptr;
ClusteredIndex* CalibrationTest::index_ = nullptr;

TEST(StopRule, ScoresRiseWithPlaceAndDistanceAndFallWithTheRadius) {
  const index::StopRule rule{.weight = 2, .limit = 3};
  EXPECT_FALSE(rule.is_open());
  EXPECT_TRUE(index::StopRule{}.is_open());
  EXPECT_FLOAT_EQ(rule.score(1, 0.0f, 1.0f), 0.0f);
  EXPECT_GT(rule.score(2, 0.0f, 1.0f), rule.score(1, 0.0f, 1.0f));
  EXPECT_GT(rule.score(1, 0.5f, 1.0f), rule.score(1, 0.2f, 1.0f));
  EXPECT_LT(rule.score(1, 0.5f, 4.0f), rule.score(1, 0.5f, 1.0f));
  // No radius yet: only the place counts. A radius of 0: nothing farther can be nearer.
  EXPECT_FLOAT_EQ(rule.score(1, 5.0f, std::numeric_limits<float>::infinity()), 0.0f);
  EXPECT_GT(rule.score(1, 5.0f, 0.0f), rule.limit);
  EXPECT_FLOAT_EQ(rule.score(1, 0.0f, 0.0f), 0.0f);
}

TEST_F(CalibrationTest, UnseenQueriesReachTheTarget) {
  for (const std::size_t k : {10u, 50u}) {
    for (const float target : {0.8f, 0.9f, 0.95f, 0.99f}) {
      const Measured found = measure(*index_, *rows_, *queries_, {.k = k, .target_recall = target});
      EXPECT_NEAR(found.mean_recall(), target, 0.03) << k << " " << target;
    }
  }
}

TEST_F(CalibrationTest, HardQueriesScanMore) {
  const Measured found = measure(*index_, *rows_, *queries_, {.target_recall = 0.95f});
  std::size_t least = rows_->rows;
  std::size_t most = 0;
  for (const SearchStats& query : found.stats) {
    least = std::min(least, query.leaves_scanned);
    most = std::max(most, query.leaves_scanned);
    if (query.leaves_scanned < index_->stats().leaves) {
      EXPECT_EQ(query.stop_reason, StopReason::recall);
    }
  }
  EXPECT_GE(most, 2 * least);
  EXPECT_NEAR(found.mean_leaves(), static_cast<double>(index_->calibrated_probes(0.95f, 10)),
              0.15 * found.mean_leaves() + 1);
}

TEST_F(CalibrationTest, EstimatesFollowWhatWasScanned) {
  double last = 0;
  for (const std::size_t probes : {2u, 8u, 32u}) {
    const Measured found = measure(*index_, *rows_, *queries_, {.probes = probes});
    EXPECT_GT(found.mean_estimate(), last);
    last = found.mean_estimate();
  }
  const Measured all = measure(*index_, *rows_, *queries_, {.probes = rows_->rows});
  for (const SearchStats& query : all.stats) EXPECT_EQ(query.estimated_recall, 1.0f);
  const Measured wanted = measure(*index_, *rows_, *queries_, {.target_recall = 0.9f});
  EXPECT_NEAR(wanted.mean_estimate(), 0.9, 0.05);
}

TEST_F(CalibrationTest, BatchesAndThreadsStopAlike) {
  for (const float target : {0.8f, 0.95f, 0.99f}) {
    SearchOptions options{.k = 10, .target_recall = target};
    const BatchResult batch = index_->search_batch(queries_->view(), options);
    for (std::size_t q = 0; q < queries_->rows; ++q) {
      options.threads = 1 + q % 2;
      const std::vector<Neighbor> found = index_->search({queries_->row(q), kDim}, options);
      ASSERT_EQ(found.size(), 10u);
      for (std::size_t i = 0; i < 10; ++i) {
        ASSERT_EQ(found[i].id, batch.ids[q * 10 + i]) << q;
        ASSERT_EQ(found[i].distance, batch.distances[q * 10 + i]) << q;
      }
    }
  }
}

TEST_F(CalibrationTest, StrangeQueriesAreNoticedAndCanBeCalibratedFor) {
  EXPECT_LT(measure(*index_, *rows_, *queries_, {}).unusual_share(), 0.05);
  const Vectors sample = noisy_queries(400, 1);
  const Vectors unseen = noisy_queries(400, 2);
  const SearchOptions options{.target_recall = 0.9f};
  const Measured before = measure(*index_, *rows_, unseen, options);
  EXPECT_GT(before.unusual_share(), 0.9);

  ClusteredIndex index = ClusteredIndex::build(rows_->view());
  index.calibrate(sample.view());
  const Measured after = measure(index, *rows_, unseen, options);
  EXPECT_LT(after.unusual_share(), 0.05);
  EXPECT_NEAR(after.mean_recall(), 0.9, 0.03);
  EXPECT_GT(measure(index, *rows_, *queries_, options).unusual_share(), 0.9);

  const test::TempDir directory;
  index.save(directory / "calibrated.cairn");
  const ClusteredIndex opened = ClusteredIndex::open(directory / "calibrated.cairn");
  for (const std::size_t k : {1u, 10u, 100u}) {
    EXPECT_EQ(opened.calibrated_probes(0.95f, k), index.calibrated_probes(0.95f, k));
  }
  EXPECT_EQ(opened.search({unseen.row(0), kDim}, options),
            index.search({unseen.row(0), kDim}, options));
}

TEST_F(CalibrationTest, ResultDoesNotDependOnThreads) {
  ClusteredIndex one = ClusteredIndex::build(rows_->view(), {.threads = 1});
  ClusteredIndex two = ClusteredIndex::build(rows_->view(), {.threads = 2});
  one.calibrate(queries_->view(), 1);
  two.calibrate(queries_->view(), 2);
  for (const float target : {0.8f, 0.9f, 0.99f}) {
    EXPECT_EQ(one.calibrated_probes(target, 10), two.calibrated_probes(target, 10));
  }
}

TEST_F(CalibrationTest, RefusesWhatIsNoQuery) {
  ClusteredIndex index = ClusteredIndex::build({rows_->row(0), 500, kDim});
  const std::size_t probes = index.calibrated_probes(0.95f, 10);
  const auto message = [&](MatrixView queries) -> std::string {
    try {
      index.calibrate(queries);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(message({nullptr, 0, kDim}), "queries: expected at least 1, found 0");
  EXPECT_EQ(message({rows_->row(0), 3, kDim - 1}), "queries: expected dimension 32, found 31");
  Vectors broken = *queries_;
  broken.row(7)[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_NE(message(broken.view()).find("row 7"), std::string::npos);
  EXPECT_EQ(index.calibrated_probes(0.95f, 10), probes);
}

// Without any structure, neighbours are in nearly all leaves: a calibration that looked at some of
// them only would promise what it did not see.
TEST(Calibration, LooksAsFarAsNeighboursAre) {
  Vectors rows = clustered_vectors(8300, 96, 1, 3);
  const Vectors queries = test::split_off(rows, 300);
  for (const unsigned bits : {0u, 4u}) {
    const ClusteredIndex index =
        ClusteredIndex::build(rows.view(), {.max_leaf_size = 60, .refine_bits = bits});
    ASSERT_GT(index.stats().leaves, 130u);
    for (const float target : {0.9f, 0.95f, 0.99f}) {
      const Measured found = measure(index, rows, queries, {.target_recall = target});
      EXPECT_GE(found.mean_recall(), target - 0.01) << bits << " " << target;
      EXPECT_LE(found.mean_recall(), target + 0.03) << bits << " " << target;
    }
  }
}

TEST(Calibration, SmallIndexesNeedNone) {
  const Vectors rows = clustered_vectors(3, 8, 1, 1);
  for (std::size_t n = 0; n <= 3; ++n) {
    ClusteredIndex index = ClusteredIndex::build({rows.row(0), n, 8});
    index.calibrate({rows.row(0), 1, 8});
    EXPECT_EQ(index.search({rows.row(0), 8}).size(), n);
  }
}

}  // namespace
}  // namespace cairn

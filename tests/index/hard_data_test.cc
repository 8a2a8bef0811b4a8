// Bounds that hold, whatever the rows are like: searches beside exact ones on rows whose neighbours
// are near one another beside the spread of all, equal, long, tiny, or in trees of many levels.

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cairn/clustered_index.h"
#include "cairn/exact_search.h"

#include "tests/util/data_laws.h"
#include "tests/util/expect_error.h"
#include "tests/util/random_vectors.h"

namespace cairn {
namespace {

using test::DataLaw;
using test::Shape;
using test::Vectors;

constexpr Metric kMetrics[] = {Metric::l2, Metric::inner_product, Metric::cosine};
constexpr std::size_t kK = 10;

Vectors make(std::size_t rows, std::size_t dim,
             const std::function<float(std::size_t, std::size_t)>& value) {
  Vectors vectors{std::vector<float>(rows * dim), rows, dim};
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t j = 0; j < dim; ++j) vectors.row(i)[j] = value(i, j);
  }
  return vectors;
}

// Distances of one query to all rows in double precision.
std::vector<double> precise_distances(const Vectors& rows, const float* query, Metric metric) {
  std::vector<double> distances(rows.rows);
  for (std::size_t i = 0; i < rows.rows; ++i) {
    double dot = 0, qq = 0, xx = 0, l2 = 0;
    for (std::size_t j = 0; j < rows.dim; ++j) {
      const auto q = static_cast<double>(query[j]);
      const auto x = static_cast<double>(rows.row(i)[j]);
      dot += q * x;
      qq += q * q;
      xx += x * x;
      l2 += (q - x) * (q - x);
    }
    distances[i] = metric == Metric::l2              ? l2
                   : metric == Metric::inner_product ? -dot
                                                     : 1 - dot / std::sqrt(qq * xx);
  }
  return distances;
}

// What searches of many queries gave at one target.
struct Outcome {
  double recall = 0;  // by distances in double precision; what float32 cannot tell apart counts
  double estimated = 0;
  double unusual = 0;  // share of the queries
  bool equals_exact = true;
};

Outcome measure(const ClusteredIndex& index, const Vectors& rows, const Vectors& queries,
                float target) {
  const Metric metric = index.stats().metric;
  const BatchResult truth = exact_search(rows.view(), queries.view(), kK, metric);
  Outcome outcome;
  const auto count = static_cast<double>(queries.rows);
  for (std::size_t q = 0; q < queries.rows; ++q) {
    std::vector<Neighbor> found(kK);
    SearchStats stats;
    found.resize(index.search({queries.row(q), queries.dim}, {.k = kK, .target_recall = target},
                              found, &stats));
    outcome.estimated += static_cast<double>(stats.estimated_recall) / count;
    outcome.unusual += stats.is_unusual ? 1 / count : 0;
    const std::vector<double> all = precise_distances(rows, queries.row(q), metric);
    std::vector<double> sorted = all;
    std::nth_element(sorted.begin(), sorted.begin() + kK - 1, sorted.end());
    double longest = 0;
    for (const double distance : all) longest = std::max(longest, std::fabs(distance));
    // Rounding of float32: of distances under l2 and cosine, of products under inner product.
    const double grain =
        metric == Metric::inner_product
            ? 1e-6 * longest
            : 1e-6 * std::fabs(sorted[kK - 1]) + (metric == Metric::l2 ? 1e-37 : 1e-15);
    std::size_t hits = 0;
    for (std::size_t i = 0; i < found.size(); ++i) {
      hits += all[found[i].id] <= sorted[kK - 1] + grain ? 1 : 0;
      outcome.equals_exact = outcome.equals_exact && found[i].id == truth.ids[q * kK + i] &&
                             found[i].distance == truth.distances[q * kK + i];
    }
    outcome.equals_exact = outcome.equals_exact && found.size() == kK;
    outcome.recall += static_cast<double>(hits) / static_cast<double>(kK) / count;
  }
  return outcome;
}

// Recall is as promised, or the search says that it is not. Room for chance: some hundred queries.
void expect_promise(const Outcome& outcome, float target, double room) {
  const auto wanted = static_cast<double>(target) - room;
  const bool is_doubted = outcome.estimated < outcome.recall + room || outcome.unusual > 0.25;
  EXPECT_TRUE(outcome.recall >= wanted || is_doubted)
      << "recall " << outcome.recall << " at target " << target << ", estimated "
      << outcome.estimated << ", unusual " << outcome.unusual;
}

struct Size {
  std::size_t rows;
  std::size_t queries;
};

// Every law from `first` on, with all metrics and three targets.
void check_laws(std::uint64_t first, std::uint64_t count, Size size) {
  double missing = 0;
  double measured = 0;
  // Three deviations of a mean of so many recalls.
  const double room = 0.02 + 1.0 / std::sqrt(static_cast<double>(size.queries));
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const DataLaw law = test::random_law(seed);
    for (const Metric metric : kMetrics) {
      SCOPED_TRACE(law.name() + ", " + to_string(metric));
      Vectors rows = test::rows_of(law, size.rows + size.queries);
      for (std::size_t i = 0; i < rows.rows && metric == Metric::cosine; ++i) {
        float* const row = rows.row(i);
        if (std::all_of(row, row + rows.dim, [](float x) { return x == 0; })) row[0] = 1;
      }
      const Vectors queries = test::split_off(rows, size.queries);
      const ClusteredIndex index =
          ClusteredIndex::build(rows.view(), {.metric = metric, .threads = 1});
      for (const float target : {0.8f, 0.95f}) {
        const Outcome outcome = measure(index, rows, queries, target);
        expect_promise(outcome, target, target < 0.9f ? room : 0.6 * room);
        missing += std::max(0.0, static_cast<double>(target) - outcome.recall);
        measured += 1;
      }
      const Outcome certain = measure(index, rows, queries, 1.0f);
      EXPECT_TRUE(certain.equals_exact);
      EXPECT_NEAR(certain.recall, 1, 1e-9);
      EXPECT_NEAR(certain.estimated, 1, 1e-6);
    }
  }
  // Chance that is against one law is for another.
  EXPECT_LE(missing / measured, 0.01 + 0.03 * room);
}

TEST(HardData, PromisesHoldForAllKindsOfRows) { check_laws(0, test::kNumShapes, {1000, 40}); }

class ManyLaws : public testing::TestWithParam<std::uint64_t> {};
INSTANTIATE_TEST_SUITE_P(Slow, ManyLaws, testing::Range<std::uint64_t>(1, 18));

TEST_P(ManyLaws, PromisesHold) {
  check_laws(GetParam() * test::kNumShapes, test::kNumShapes, {2000, 150});
}

// Without refine codes exact distances lower the threshold; with 9 bits codes tell nearly all.
TEST(HardData, AllLeavesGiveWhatExactSearchGivesAtAnyNumberOfBits) {
  for (const unsigned bits : {0u, 1u, 8u}) {
    for (std::uint64_t seed = 100; seed < 100 + test::kNumShapes; ++seed) {
      const DataLaw law = test::random_law(seed);
      SCOPED_TRACE(law.name());
      Vectors rows = test::rows_of(law, 1520);
      const Vectors queries = test::split_off(rows, 20);
      const ClusteredIndex index = ClusteredIndex::build(
          rows.view(), {.max_leaf_size = 40, .refine_bits = bits, .threads = 1});
      const BatchResult truth = exact_search(rows.view(), queries.view(), kK, Metric::l2);
      const BatchResult found =
          index.search_batch(queries.view(), {.k = kK, .probes = index.stats().leaves});
      EXPECT_EQ(found.ids, truth.ids);
      EXPECT_EQ(found.distances, truth.distances);
      EXPECT_EQ(index.search_batch(queries.view(), {.k = kK, .target_recall = 1, .threads = 2}).ids,
                truth.ids);
    }
  }
}

// A saved index with centroids of more precision and one whose rows are scaled are what they were.
TEST(HardData, SavedIndexesSearchAlike) {
  const std::string path = testing::TempDir() + "/hard_data.cairn";
  base::Random random(3);
  const Vectors groups = make(2000, 16, [&](std::size_t i, std::size_t) {
    return test::gaussian(random) + (i % 2 == 0 ? 1e5f : -1e5f);
  });
  const Vectors tiny =
      make(2000, 16, [&](std::size_t, std::size_t) { return 1e-30f * test::gaussian(random); });
  for (const Vectors* rows : {&groups, &tiny}) {
    const ClusteredIndex built =
        ClusteredIndex::build(rows->view(), {.metric = Metric::inner_product});
    built.save(path);
    const ClusteredIndex opened = ClusteredIndex::open(path, {.verify = true});
    const MatrixView queries{rows->values.data(), 50, rows->dim};
    const BatchResult expected = built.search_batch(queries, {.k = kK});
    const BatchResult found = opened.search_batch(queries, {.k = kK});
    EXPECT_EQ(found.ids, expected.ids);
    EXPECT_EQ(found.distances, expected.distances);
  }
}

struct HardCase {
  const char* name;
  Metric metric;
  std::size_t rows;
  std::size_t dim;
  std::function<float(base::Random&, std::size_t, std::size_t)> value;
};

void PrintTo(const HardCase& c, std::ostream* out) { *out << c.name; }

class HardCases : public testing::TestWithParam<HardCase> {};

INSTANTIATE_TEST_SUITE_P(
    Rows, HardCases,
    testing::Values(HardCase{"two_groups", Metric::l2, 5000, 16,
                             [](base::Random& random, std::size_t i, std::size_t) {
                               return test::gaussian(random) + (i % 2 == 0 ? 1e5f : -1e5f);
                             }},
                    HardCase{"category", Metric::l2, 5000, 16,
                             [](base::Random& random, std::size_t i, std::size_t j) {
                               return j == 0 ? static_cast<float>(i % 7) * 1e6f
                                             : test::gaussian(random);
                             }},
                    HardCase{"city", Metric::l2, 5000, 2,
                             [](base::Random& random, std::size_t, std::size_t j) {
                               return (j == 0 ? 5e5f : 5e6f) +
                                      1e4f * std::tanh(test::gaussian(random)) +
                                      3 * test::gaussian(random);
                             }},
                    HardCase{"one_long_row", Metric::inner_product, 5000, 32,
                             [](base::Random& random, std::size_t i, std::size_t) {
                               return test::gaussian(random) * (i == 777 ? 1e4f : 1);
                             }},
                    HardCase{"one_endless_row", Metric::inner_product, 5000, 16,
                             [](base::Random& random, std::size_t i, std::size_t) {
                               const float value = test::gaussian(random);
                               return i == 777 ? 1e8f : value;
                             }},
                    HardCase{"common_offset", Metric::inner_product, 5000, 32,
                             [](base::Random& random, std::size_t, std::size_t j) {
                               return test::gaussian(random) + (j % 8 == 7 ? 0 : 50.0f);
                             }},
                    HardCase{"underflowing", Metric::inner_product, 5000, 16,
                             [](base::Random& random, std::size_t i, std::size_t) {
                               return test::gaussian(random) * (i < 5000 ? 1e-30f : 1);
                             }},
                    HardCase{"small_angles", Metric::cosine, 5000, 32,
                             [](base::Random& random, std::size_t, std::size_t) {
                               return 1000 + test::gaussian(random);
                             }}),
    [](const auto& test) { return std::string(test.param.name); });

TEST_P(HardCases, ReachTheirTargets) {
  const HardCase& c = GetParam();
  base::Random random(11);
  Vectors rows = make(c.rows + 200, c.dim,
                      [&](std::size_t i, std::size_t j) { return c.value(random, i, j); });
  const Vectors queries = test::split_off(rows, 200);
  const ClusteredIndex index = ClusteredIndex::build(rows.view(), {.metric = c.metric});
  for (const float target : {0.9f, 0.95f}) {
    const Outcome outcome = measure(index, rows, queries, target);
    EXPECT_GE(outcome.recall, static_cast<double>(target) - 0.02);
    EXPECT_LE(outcome.estimated, outcome.recall + 0.08);
  }
  EXPECT_TRUE(measure(index, rows, queries, 1.0f).equals_exact);
}

TEST(HardData, QueriesThatUnderflowAreRanked) {
  base::Random random(5);
  const Vectors rows =
      make(3000, 16, [&](std::size_t, std::size_t) { return test::gaussian(random); });
  const Vectors queries =
      make(100, 16, [&](std::size_t, std::size_t) { return 1e-30f * test::gaussian(random); });
  const ClusteredIndex index =
      ClusteredIndex::build(rows.view(), {.metric = Metric::inner_product});
  EXPECT_GE(measure(index, rows, queries, 0.95f).recall, 0.93);
  EXPECT_TRUE(measure(index, rows, queries, 1.0f).equals_exact);
}

struct Tree {
  std::size_t rows;
  std::size_t dim;
  BuildOptions options;
};

TEST(HardData, DeepTreesAndTinyLeavesReachTheirTargets) {
  const Tree trees[] = {
      {3000, 8, {.branching_factor = 2, .max_leaf_size = 1}},
      {3000, 8, {.branching_factor = 8, .max_leaf_size = 1}},
      {3000, 8, {.max_leaf_size = 1}},
      {20000, 16, {.branching_factor = 16, .max_leaf_size = 16}},
      {20000, 16, {.branching_factor = 8, .max_leaf_size = 64}},
  };
  for (const Tree& tree : trees) {
    base::Random random(17);
    Vectors rows = make(tree.rows + 200, tree.dim,
                        [&](std::size_t, std::size_t) { return test::gaussian(random); });
    const Vectors queries = test::split_off(rows, 200);
    const ClusteredIndex index = ClusteredIndex::build(rows.view(), tree.options);
    SCOPED_TRACE(std::to_string(index.stats().levels) + " levels, " +
                 std::to_string(index.stats().leaves) + " leaves");
    for (const float target : {0.9f, 0.95f}) {
      EXPECT_GE(measure(index, rows, queries, target).recall, static_cast<double>(target) - 0.02);
    }
  }
}

TEST(HardData, BallsAreClosed) {
  const float row[] = {1, 2, 3, 4};
  const ClusteredIndex one = ClusteredIndex::build({row, 1, 4});
  EXPECT_EQ(one.range_search(row, 0).size(), 1u);
  EXPECT_EQ(one.search(row, {.k = 1, .max_distance = 0}).size(), 1u);

  const Vectors halves =
      make(500, 8, [](std::size_t i, std::size_t) { return i % 2 == 0 ? 10.0f : 20.0f; });
  EXPECT_EQ(ClusteredIndex::build(halves.view()).range_search({halves.row(0), 8}, 0).size(), 250u);

  base::Random random(23);
  Vectors copies =
      make(20000, 32, [&](std::size_t, std::size_t) { return test::gaussian(random); });
  for (std::size_t i = 0; i < 20000; i += 10) std::copy_n(copies.row(0), 32, copies.row(i));
  for (const Metric metric : {Metric::l2, Metric::cosine}) {
    const ClusteredIndex index =
        ClusteredIndex::build(copies.view(), {.metric = metric, .threads = 1});
    EXPECT_EQ(index.range_search({copies.row(0), 32}, 0).size(), 2000u);
  }
}

// Small integers have many pairs at any distance that one pair has.
TEST(HardData, BallsOfExactDistancesHoldWhatExactSearchSays) {
  for (const Metric metric : kMetrics) {
    for (std::uint64_t seed = 0; seed < 12; ++seed) {
      base::Random random(seed);
      const std::size_t dim = 2 + seed;
      const std::size_t least = metric == Metric::cosine ? 1 : 0;
      const auto value = [&](std::size_t, std::size_t) {
        return static_cast<float>(least + random.below(3));
      };
      const Vectors rows = make(800, dim, value);
      const Vectors queries = make(4, dim, value);
      const ClusteredIndex index = ClusteredIndex::build(
          rows.view(), {.metric = metric, .refine_bits = seed % 3 == 0 ? 0u : 4u, .threads = 1});
      const BatchResult truth = exact_search(rows.view(), queries.view(), 800, metric);
      for (std::size_t q = 0; q < queries.rows; ++q) {
        for (const std::size_t rank : {0, 3, 50, 400, 799}) {
          const auto first = truth.distances.begin() + static_cast<std::ptrdiff_t>(q * 800);
          const float radius = first[static_cast<std::ptrdiff_t>(rank)];
          const auto expected = std::upper_bound(first, first + 800, radius) - first;
          EXPECT_EQ(index.range_search({queries.row(q), dim}, radius, {.target_recall = 1}).size(),
                    static_cast<std::size_t>(expected))
              << to_string(metric) << ", dim " << dim << ", rank " << rank;
        }
      }
    }
  }
}

TEST(HardData, CosineResolvesSmallAngles) {
  base::Random random(29);
  for (const float noise : {1.0f, 1e-3f}) {
    const Vectors rows = make(1500, 32, [&](std::size_t, std::size_t j) {
      return 1000 + static_cast<float>(j) + noise * test::gaussian(random);
    });
    const MatrixView queries{rows.values.data(), 100, 32};
    const BatchResult truth = exact_search(rows.view(), queries, kK, Metric::cosine);
    std::size_t same = 0;
    for (std::size_t q = 0; q < 100; ++q) {
      EXPECT_EQ(truth.ids[q * kK], q);
      EXPECT_EQ(truth.distances[q * kK], 0);
      const std::vector<double> all = precise_distances(rows, rows.row(q), Metric::cosine);
      std::vector<std::size_t> order(all.size());
      std::iota(order.begin(), order.end(), 0u);
      std::partial_sort(order.begin(), order.begin() + kK, order.end(),
                        [&](std::size_t a, std::size_t b) { return all[a] < all[b]; });
      for (std::size_t i = 0; i < kK; ++i) {
        same +=
            std::count(truth.ids.begin() + static_cast<std::ptrdiff_t>(q * kK),
                       truth.ids.begin() + static_cast<std::ptrdiff_t>(q * kK + kK), order[i]) != 0
                ? 1u
                : 0u;
      }
    }
    EXPECT_GE(same, noise == 1 ? 1000u : 990u) << noise;
    const ClusteredIndex index = ClusteredIndex::build(rows.view(), {.metric = Metric::cosine});
    for (std::size_t q = 0; q < 100; ++q) {
      EXPECT_GE(index.range_search({rows.row(q), 32}, 0).size(), 1u);
    }
  }
}

TEST(HardData, SquaredNormsNearOverflowAreRefusedByName) {
  base::Random random(31);
  const Vectors rows =
      make(500, 16, [&](std::size_t, std::size_t) { return 4e17f * test::gaussian(random); });
  for (const Metric metric : kMetrics) {
    const ClusteredIndex index =
        ClusteredIndex::build(rows.view(), {.metric = metric, .threads = 1});
    const Vectors queries{{rows.values.begin(), rows.values.begin() + 160}, 10, 16};
    EXPECT_TRUE(measure(index, rows, queries, 1).equals_exact);
    const std::vector<float> large(16, 1e18f);
    test::expect_error(ErrorCode::invalid_argument, "squared norm 1.6e+37",
                       [&] { index.search(large); });
  }
}

}  // namespace
}  // namespace cairn

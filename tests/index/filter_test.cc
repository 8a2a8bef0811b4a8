// include/cairn/filter.h and searches with it.

#include "cairn/filter.h"

#include <algorithm>
#include <ostream>
#include <set>
#include <stdexcept>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cairn/clustered_index.h"
#include "cairn/exact_search.h"

#include "tests/util/expect_error.h"
#include "tests/util/random_vectors.h"
#include "tests/util/temp_dir.h"

namespace cairn {
namespace {

using test::clustered_vectors;
using test::Vectors;

std::vector<std::uint64_t> to_bitmap(const std::vector<VectorId>& ids) {
  std::vector<std::uint64_t> words;
  for (const VectorId id : ids) {
    if (id / 64 >= words.size()) words.resize(id / 64 + 1);
    words[id / 64] |= std::uint64_t{1} << id % 64;
  }
  return words;
}

// Each row with this chance.
std::vector<VectorId> random_ids(std::size_t rows, double share, std::uint64_t seed) {
  base::Random random(seed);
  std::vector<VectorId> ids;
  for (VectorId id = 0; id < rows; ++id) {
    if (random.uniform() < share) ids.push_back(id);
  }
  return ids;
}

// The nearest rows of one of them.
std::vector<VectorId> neighbourhood_ids(const Vectors& rows, Metric metric, std::size_t centre,
                                        std::size_t count) {
  std::vector<VectorId> ids =
      exact_search(rows.view(), {rows.row(centre), 1, rows.dim}, count, metric).ids;
  std::sort(ids.begin(), ids.end());
  return ids;
}

// Brute force among the allowed rows, in terms of all rows' ids.
BatchResult truth_among(const Vectors& rows, const std::vector<VectorId>& ids,
                        const Vectors& queries, std::size_t k, Metric metric) {
  Vectors allowed{{}, ids.size(), rows.dim};
  for (const VectorId id : ids) {
    allowed.values.insert(allowed.values.end(), rows.row(id), rows.row(id) + rows.dim);
  }
  BatchResult truth = exact_search(allowed.view(), queries.view(), k, metric);
  for (VectorId& id : truth.ids) id = id == kNoId ? kNoId : ids[id];
  return truth;
}

void expect_same(const BatchResult& a, const BatchResult& b) {
  EXPECT_EQ(a.ids, b.ids);
  EXPECT_EQ(a.distances, b.distances);
}

TEST(Filter, AllowsTheSameInEachForm) {
  std::vector<VectorId> ids = random_ids(500, 0.2, 3);
  const Filter by_bitmap = Filter::from_bitmap(to_bitmap(ids));
  const std::set<VectorId> expected(ids.begin(), ids.end());
  const Filter by_predicate =
      Filter::from_predicate([&](VectorId id) { return expected.count(id) != 0; });
  std::reverse(ids.begin(), ids.end());
  ids.push_back(ids[3]);
  const Filter by_ids = Filter::from_ids(ids);
  for (VectorId id = 0; id < 1000; ++id) {
    EXPECT_EQ(by_ids.allows(id), expected.count(id) != 0) << id;
    EXPECT_EQ(by_bitmap.allows(id), expected.count(id) != 0) << id;
    EXPECT_EQ(by_predicate.allows(id), expected.count(id) != 0) << id;
  }
  EXPECT_FALSE(by_bitmap.allows(kNoId));
  const Vectors rows = clustered_vectors(700, 20, 8, 1);
  const Vectors queries = clustered_vectors(10, 20, 8, 2);
  const ClusteredIndex index = ClusteredIndex::build(rows.view(), {.max_leaf_size = 50});
  const PreparedFilter prepared = index.prepare(by_ids);
  EXPECT_EQ(prepared.size(), expected.size());
  EXPECT_GE(prepared.memory_usage_bytes(), rows.rows / 8);
  const BatchResult found = index.search_batch(queries.view(), {.prepared_filter = &prepared});
  for (const Filter* filter : {&by_ids, &by_bitmap, &by_predicate}) {
    expect_same(index.search_batch(queries.view(), {.filter = filter}), found);
  }
}

TEST(Filter, KnowsTheUsersOwnIds) {
  const Vectors rows = clustered_vectors(900, 12, 9, 1);
  std::vector<VectorId> ids;
  for (std::size_t i = 0; i < rows.rows; ++i) ids.push_back((VectorId{i} * 7919 % 900 + 5) << 33);
  const ClusteredIndex index = ClusteredIndex::build(rows.view(), {.max_leaf_size = 40}, ids);
  // Few are looked up one by one, many by a walk over all.
  for (const std::size_t count : {20, 700}) {
    std::vector<VectorId> allowed(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(count));
    allowed.push_back(1);          // nobody's
    allowed.push_back(kNoId - 1);  // nobody's
    const PreparedFilter prepared = index.prepare(Filter::from_ids(allowed));
    EXPECT_EQ(prepared.size(), count);
    const std::vector<Neighbor> found =
        index.search({rows.row(3), 12}, {.k = 900, .prepared_filter = &prepared});
    EXPECT_EQ(found.size(), count);
    EXPECT_EQ(found[0].id, ids[3]);
    for (const Neighbor& hit : found) {
      EXPECT_NE(std::find(allowed.begin(), allowed.end(), hit.id), allowed.end());
    }
  }
}

struct Case {
  Metric metric;
  std::size_t dim;
  unsigned refine_bits;
  std::size_t branching_factor;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << to_string(c.metric) << " d" << c.dim << " bits" << c.refine_bits << " branching"
       << c.branching_factor;
}

class FilteredSearch : public testing::TestWithParam<Case> {
 protected:
  static constexpr std::size_t kRows = 6000;
  const Case shape_ = GetParam();
  Vectors rows_ = clustered_vectors(kRows + 40, shape_.dim, 60, 1);
  const Vectors queries_ = test::split_off(rows_, 40);
  const ClusteredIndex index_ =
      ClusteredIndex::build(rows_.view(), {.metric = shape_.metric,
                                           .branching_factor = shape_.branching_factor,
                                           .max_leaf_size = 64,
                                           .refine_bits = shape_.refine_bits});

  std::vector<std::vector<VectorId>> filters() const {
    std::vector<std::vector<VectorId>> all;
    for (const double share : {1.0, 0.5, 0.1, 0.01, 0.001}) {
      all.push_back(random_ids(kRows, share, 7));
    }
    for (const std::size_t count : {3000, 600, 60, 6}) {
      all.push_back(neighbourhood_ids(rows_, shape_.metric, 17, count));
    }
    const std::set<VectorId> near(all[5].begin(), all[5].end());
    all.emplace_back();
    for (VectorId id = 0; id < kRows; ++id) {
      if (near.count(id) == 0) all.back().push_back(id);
    }
    return all;
  }
};

INSTANTIATE_TEST_SUITE_P(Shapes, FilteredSearch,
                         testing::Values(Case{Metric::l2, 40, 4, 0}, Case{Metric::l2, 40, 4, 6},
                                         Case{Metric::cosine, 70, 4, 0},
                                         Case{Metric::inner_product, 24, 4, 0},
                                         Case{Metric::l2, 40, 0, 0}, Case{Metric::l2, 130, 8, 12}),
                         [](const auto& test) {
                           const Case& c = test.param;
                           return std::string(to_string(c.metric)) + "_d" + std::to_string(c.dim) +
                                  "_bits" + std::to_string(c.refine_bits) + "_branching" +
                                  std::to_string(c.branching_factor);
                         });

TEST_P(FilteredSearch, GivesAsManyAsThereAreAndOnlyAllowedOnes) {
  for (const std::vector<VectorId>& ids : filters()) {
    const std::set<VectorId> allowed(ids.begin(), ids.end());
    const PreparedFilter filter = index_.prepare(Filter::from_ids(ids));
    for (SearchOptions options :
         {SearchOptions{.k = 10}, SearchOptions{.k = 1, .probes = 1},
          SearchOptions{.k = 100, .probes = 1}, SearchOptions{.k = 10, .target_recall = 0.5f},
          SearchOptions{.k = 30, .rerank_factor = 2}, SearchOptions{.k = 7000}}) {
      options.prepared_filter = &filter;
      for (std::size_t q = 0; q < queries_.rows; q += 5) {
        const std::vector<Neighbor> found = index_.search({queries_.row(q), shape_.dim}, options);
        ASSERT_EQ(found.size(), std::min(options.k, ids.size())) << ids.size() << " allowed";
        EXPECT_TRUE(std::is_sorted(found.begin(), found.end()));
        std::set<VectorId> distinct;
        for (const Neighbor& hit : found) {
          EXPECT_EQ(allowed.count(hit.id), 1u);
          distinct.insert(hit.id);
        }
        EXPECT_EQ(distinct.size(), found.size());
      }
    }
  }
}

TEST_P(FilteredSearch, ExhaustiveSearchEqualsBruteForceAmongAllowed) {
  for (const std::vector<VectorId>& ids : filters()) {
    const Filter filter = Filter::from_ids(ids);
    const std::size_t k = std::min<std::size_t>(10, ids.size());
    const BatchResult found = index_.search_batch(
        queries_.view(), {.k = k, .probes = kRows, .rerank_factor = 1e9f, .filter = &filter});
    expect_same(found, truth_among(rows_, ids, queries_, k, shape_.metric));
  }
}

TEST_P(FilteredSearch, KeepsTheRecallOfUnfilteredSearch) {
  const BatchResult all = exact_search(rows_.view(), queries_.view(), 10, shape_.metric);
  for (const std::vector<VectorId>& ids : filters()) {
    const Filter filter = Filter::from_ids(ids);
    const std::size_t k = std::min<std::size_t>(10, ids.size());
    const BatchResult truth = truth_among(rows_, ids, queries_, k, shape_.metric);
    for (const float target : {0.8f, 0.95f}) {
      const double unfiltered = recall_at_k(
          index_.search_batch(queries_.view(), {.k = 10, .target_recall = target}), all, 10);
      const BatchResult found = index_.search_batch(
          queries_.view(), {.k = k, .target_recall = target, .filter = &filter});
      EXPECT_GE(recall_at_k(found, truth, k), std::min<double>(unfiltered, target) - 0.06)
          << ids.size() << " allowed";
    }
  }
}

TEST_P(FilteredSearch, DependsNeitherOnThreadsNorOnTheStoreNorOnTheBatch) {
  const test::TempDir dir;
  ClusteredIndex mapped =
      ClusteredIndex::build(rows_.view(), {.metric = shape_.metric,
                                           .branching_factor = shape_.branching_factor,
                                           .max_leaf_size = 64,
                                           .refine_bits = shape_.refine_bits});
  mapped.use_compressed_storage(dir.path() / "vectors");  // not contiguous
  for (const std::vector<VectorId>& ids : filters()) {
    const Filter filter = Filter::from_ids(ids);
    const SearchOptions options{.k = 10, .filter = &filter};
    const BatchResult expected = index_.search_batch(queries_.view(), options);
    expect_same(mapped.search_batch(queries_.view(), options), expected);
    SearchOptions threaded = options;
    threaded.threads = 3;
    expect_same(index_.search_batch(queries_.view(), threaded), expected);
    for (std::size_t q = 0; q < queries_.rows; q += 7) {
      const std::vector<Neighbor> found = index_.search({queries_.row(q), shape_.dim}, options);
      EXPECT_EQ(index_.search({queries_.row(q), shape_.dim}, threaded), found);
      for (std::size_t i = 0; i < found.size(); ++i) {
        EXPECT_EQ(found[i].id, expected.ids[q * 10 + i]);
        EXPECT_EQ(found[i].distance, expected.distances[q * 10 + i]);
      }
    }
  }
}

TEST(FilteredSearchStats, LeavesAndBlocksWithoutAllowedRowsAreNotScanned) {
  const Vectors rows = clustered_vectors(20000, 16, 40, 1);
  const ClusteredIndex index = ClusteredIndex::build(rows.view(), {.max_leaf_size = 320});
  // 3,000 rows in a corner, and as many all over.
  const std::vector<VectorId> near = neighbourhood_ids(rows, Metric::l2, 5, 3000);
  for (const auto& [ids, most_codes] :
       {std::pair{near, std::size_t{9000}}, {random_ids(20000, 0.01, 1), std::size_t{8000}}}) {
    const PreparedFilter filter = index.prepare(Filter::from_ids(ids));
    SearchStats stats;
    std::vector<Neighbor> found(10);
    index.search({rows.row(5), 16}, {.probes = 20000, .prepared_filter = &filter}, found, &stats);
    EXPECT_EQ(stats.stop_reason, StopReason::exhausted);
    EXPECT_LE(stats.codes_scanned, most_codes);
    EXPECT_LE(stats.leaves_scanned, index.stats().leaves);
    index.search({rows.row(5), 16}, {.k = 1, .probes = 2, .prepared_filter = &filter}, found,
                 &stats);
    if (stats.stop_reason == StopReason::budget) {
      EXPECT_EQ(stats.leaves_scanned, 2u);
    }
  }
}

TEST(FilteredSearchEdges, NothingAllowed) {
  const Vectors rows = clustered_vectors(300, 8, 4, 1);
  const ClusteredIndex index = ClusteredIndex::build(rows.view());
  for (const std::vector<VectorId>& ids : {std::vector<VectorId>{}, {300, 1000, kNoId}}) {
    const PreparedFilter filter = index.prepare(Filter::from_ids(ids));
    EXPECT_EQ(filter.size(), 0u);
    SearchStats stats;
    std::vector<Neighbor> out(10);
    EXPECT_EQ(index.search({rows.row(0), 8}, {.prepared_filter = &filter}, out, &stats), 0u);
    EXPECT_EQ(stats.stop_reason, StopReason::exhausted);
    EXPECT_TRUE(index.range_search({rows.row(0), 8}, 1e9f, {.prepared_filter = &filter}).empty());
    const BatchResult batch = index.search_batch(rows.view(), {.prepared_filter = &filter});
    EXPECT_THAT(batch.ids, testing::Each(kNoId));
  }
  const ClusteredIndex empty = ClusteredIndex::build({nullptr, 0, 8});
  const Filter all = Filter::from_predicate([](VectorId) { return true; });
  EXPECT_EQ(empty.prepare(all).size(), 0u);
  EXPECT_TRUE(empty.search({rows.row(0), 8}, {.filter = &all}).empty());
}

TEST(FilteredSearchEdges, RefusesWrongUse) {
  const Vectors rows = clustered_vectors(300, 8, 4, 1);
  const ClusteredIndex index = ClusteredIndex::build(rows.view());
  const ClusteredIndex twin = ClusteredIndex::build(rows.view());
  const Filter filter = Filter::from_ids(std::vector<VectorId>{1, 2});
  const PreparedFilter prepared = index.prepare(filter);
  const std::span<const float> query(rows.row(0), 8);
  test::expect_error(ErrorCode::invalid_argument, "another index",
                     [&] { twin.search(query, {.prepared_filter = &prepared}); });
  test::expect_error(ErrorCode::invalid_argument, "found both", [&] {
    index.search(query, {.filter = &filter, .prepared_filter = &prepared});
  });
  test::expect_error(ErrorCode::invalid_argument, "predicate",
                     [] { Filter::from_predicate(nullptr); });
  const Filter throws =
      Filter::from_predicate([](VectorId) -> bool { throw std::logic_error("mine"); });
  EXPECT_THROW(index.prepare(throws), std::logic_error);
  EXPECT_THROW(index.search(query, {.filter = &throws}), std::logic_error);
}

TEST(FilteredSearchEdges, APreparedFilterFollowsItsIndexWhereItIsMoved) {
  const Vectors rows = clustered_vectors(300, 8, 4, 1);
  ClusteredIndex index = ClusteredIndex::build(rows.view());
  const PreparedFilter filter = index.prepare(Filter::from_ids(std::vector<VectorId>{4}));
  const ClusteredIndex moved = std::move(index);
  EXPECT_EQ(moved.search({rows.row(0), 8}, {.prepared_filter = &filter}).front().id, 4u);
}

}  // namespace
}  // namespace cairn

#include "cairn/result_cache.h"

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "cairn/error.h"

#include "tests/util/expect_error.h"
#include "tests/util/random_vectors.h"
#include "tests/util/temp_dir.h"

namespace cairn::test {
namespace {

constexpr std::size_t kRows = 500;
constexpr std::size_t kDim = 8;
constexpr std::size_t kPlenty = std::size_t{1} << 30;

const Vectors& sample() {
  static const Vectors vectors = clustered_vectors(kRows, kDim, 5, 1);
  return vectors;
}

const ClusteredIndex& sample_index() {
  static const ClusteredIndex index = ClusteredIndex::build(sample().view(), {.threads = 1});
  return index;
}

std::span<const float> query(std::size_t row) { return {sample().row(row), kDim}; }

TEST(ResultCache, AnswersEqualSearchesOnce) {
  ResultCache cache(kPlenty);
  for (const SearchOptions& options :
       {SearchOptions{}, SearchOptions{.k = 3}, SearchOptions{.target_recall = 0.5f},
        SearchOptions{.probes = 2}, SearchOptions{.rerank_factor = 2}}) {
    const ResultCacheStats before = cache.stats();
    const std::vector<Neighbor> expected = sample_index().search(query(7), options);
    EXPECT_EQ(cache.search(sample_index(), query(7), options), expected);
    EXPECT_EQ(cache.stats().misses, before.misses + 1);
    EXPECT_EQ(cache.search(sample_index(), query(7), options), expected);
    SearchOptions other_threads = options;
    other_threads.threads = 2;
    EXPECT_EQ(cache.search(sample_index(), query(7), other_threads), expected);
    EXPECT_EQ(cache.stats().misses, before.misses + 1);
    EXPECT_EQ(cache.stats().hits, before.hits + 2);
  }
  EXPECT_EQ(cache.stats().entries, 5u);
}

// What a filter allows may change under the same pointer, and what is found in time depends on the
// machine.
TEST(ResultCache, KeepsNothingThatDependsOnMoreThanOptions) {
  ResultCache cache(kPlenty);
  const std::vector<VectorId> few = {3, 77, 200};
  const Filter filter = Filter::from_ids(few);
  const PreparedFilter prepared = sample_index().prepare(filter);
  for (const SearchOptions& options :
       {SearchOptions{.filter = &filter}, SearchOptions{.prepared_filter = &prepared},
        SearchOptions{.max_microseconds = 1'000'000'000}}) {
    const std::vector<Neighbor> expected = sample_index().search(query(7), options);
    EXPECT_EQ(cache.search(sample_index(), query(7), options), expected);
    EXPECT_EQ(cache.search(sample_index(), query(7), options), expected);
  }
  EXPECT_EQ(cache.stats().entries, 0u);
  EXPECT_EQ(cache.stats().hits, 0u);
}

TEST(ResultCache, ForgetsAnIndexThatWasCalibratedAgain) {
  ClusteredIndex index = ClusteredIndex::build(sample().view(), {.threads = 1});
  ResultCache cache(kPlenty);
  cache.search(index, query(7));
  index.calibrate({sample().row(0), 100, kDim});
  EXPECT_EQ(cache.search(index, query(7)), index.search(query(7)));
  EXPECT_EQ(cache.stats().hits, 0u);
  EXPECT_EQ(cache.stats().misses, 2u);
}

TEST(ResultCache, TellsQueriesApartByTheirBits) {
  ResultCache cache(kPlenty);
  std::vector<float> zero(kDim, 0.0f);
  cache.search(sample_index(), zero);
  zero[3] = -0.0f;
  cache.search(sample_index(), zero);
  EXPECT_EQ(cache.stats().misses, 2u);
}

TEST(ResultCache, KnowsIndexesByTheirIdentity) {
  const TempDir dir;
  ResultCache cache(kPlenty);
  sample_index().save(dir / "a.cairn");
  const std::vector<Neighbor> expected =
      cache.search(ClusteredIndex::open(dir / "a.cairn"), query(1));
  EXPECT_EQ(cache.search(ClusteredIndex::open(dir / "a.cairn"), query(1)), expected);
  EXPECT_EQ(cache.stats().hits, 1u);

  // Another index at the same path, with the same vectors under other ids.
  std::vector<VectorId> ids(kRows);
  for (std::size_t row = 0; row < kRows; ++row) ids[row] = 1000 + row;
  ClusteredIndex::build(sample().view(), {.threads = 1}, ids).save(dir / "a.cairn");
  const std::vector<Neighbor> found = cache.search(ClusteredIndex::open(dir / "a.cairn"), query(1));
  EXPECT_EQ(found[0].id, expected[0].id + 1000);
  EXPECT_EQ(cache.stats().hits, 1u);
}

TEST(ResultCache, DropsWhatWasNotUsedForLongest) {
  std::size_t bytes_of_three = 0;
  {
    ResultCache cache(kPlenty);
    for (const std::size_t row : {0, 1, 2}) cache.search(sample_index(), query(row));
    bytes_of_three = cache.stats().bytes;
  }
  ResultCache cache(bytes_of_three);
  for (const std::size_t row : {0, 1, 2}) cache.search(sample_index(), query(row));
  EXPECT_EQ(cache.stats().entries, 3u);
  cache.search(sample_index(), query(0));  // now 1 is the oldest
  cache.search(sample_index(), query(3));
  EXPECT_EQ(cache.stats().evictions, 1u);
  const std::uint64_t hits = cache.stats().hits;
  for (const std::size_t row : {0, 2, 3}) cache.search(sample_index(), query(row));
  EXPECT_EQ(cache.stats().hits, hits + 3);
  cache.search(sample_index(), query(1));
  EXPECT_EQ(cache.stats().hits, hits + 3);
}

TEST(ResultCache, NeverHoldsMoreThanItsBudget) {
  base::Random random(1);
  for (const std::size_t budget : {0, 1, 300, 500, 1000, 5000, 50'000}) {
    ResultCache cache(budget);
    for (int i = 0; i < 400; ++i) {
      const std::size_t row = random.below(kRows);
      const SearchOptions options{.k = 1 + random.below(40)};
      EXPECT_EQ(cache.search(sample_index(), query(row), options),
                sample_index().search(query(row), options));
      ASSERT_LE(cache.stats().bytes, budget);
    }
    const ResultCacheStats stats = cache.stats();
    EXPECT_EQ(stats.hits + stats.misses, 400u);
    EXPECT_EQ(stats.misses, stats.entries + stats.evictions + stats.rejections);
    if (budget == 0) {
      EXPECT_EQ(stats.rejections, stats.misses);
    }
    if (budget == 50'000) {
      EXPECT_GT(stats.entries, 30u);
    }
  }
}

TEST(ResultCache, CountsAllThatItHolds) {
  ResultCache cache(kPlenty);
  for (std::size_t row = 0; row < 100; ++row) cache.search(sample_index(), query(row), {.k = 20});
  const std::size_t least = 100 * (kDim * sizeof(float) + 20 * sizeof(Neighbor));
  EXPECT_GT(cache.stats().bytes, least);
  EXPECT_LT(cache.stats().bytes, 2 * least);
  cache.clear();
  EXPECT_EQ(cache.stats().bytes, 0u);
  EXPECT_EQ(cache.stats().entries, 0u);
  EXPECT_EQ(cache.stats().misses, 100u);
  cache.search(sample_index(), query(3));
  EXPECT_EQ(cache.stats().misses, 101u);
}

TEST(ResultCache, KeepsNoErrors) {
  ResultCache cache(kPlenty);
  for (int i = 0; i < 2; ++i) {
    expect_error(ErrorCode::invalid_argument, "k: expected at least 1",
                 [&] { cache.search(sample_index(), query(0), {.k = 0}); });
    expect_error(ErrorCode::invalid_argument, "",
                 [&] { cache.search(sample_index(), query(0).first(3)); });
  }
  EXPECT_EQ(cache.stats().entries, 0u);
}

TEST(ResultCache, ServesManyThreads) {
  std::vector<std::vector<Neighbor>> expected;
  for (std::size_t row = 0; row < 40; ++row) expected.push_back(sample_index().search(query(row)));
  ResultCache cache(6000);  // room for some
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      base::Random random(t);
      for (int i = 0; i < 500; ++i) {
        const std::size_t row = random.below(40);
        if (cache.search(sample_index(), query(row)) != expected[row]) ++wrong;
        if (i % 100 == 99) cache.clear();
        if (cache.stats().bytes > 6000) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(cache.stats().hits + cache.stats().misses, 2000u);
}

}  // namespace
}  // namespace cairn::test

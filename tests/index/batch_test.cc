#include <algorithm>
#include <cstddef>
#include <ostream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cairn/clustered_index.h"

#include "tests/util/random_vectors.h"

namespace cairn {
namespace {

using test::clustered_vectors;
using test::Vectors;

struct Case {
  Metric metric;
  std::size_t dim;
  unsigned refine_bits;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << to_string(c.metric) << " d" << c.dim << " bits" << c.refine_bits;
}

class Batch : public testing::TestWithParam<Case> {};

// Enough queries for several to meet in every leaf, some of them equal; rows with copies, so that
// distances tie.
TEST_P(Batch, GivesWhatOneQueryAtATimeGives) {
  const auto [metric, dim, refine_bits] = GetParam();
  Vectors rows = clustered_vectors(6000, dim, 60, 1);
  for (std::size_t i = 0; i < 900; ++i) {
    std::copy_n(rows.row(i % 30), dim, rows.values.data() + (5000 + i) * dim);
  }
  Vectors queries = clustered_vectors(500, dim, 60, 2);
  for (std::size_t i = 0; i < 40; ++i) {
    std::copy_n(rows.row(5000 + i), dim, queries.values.data() + i * dim);
    std::copy_n(queries.row(60), dim, queries.values.data() + (100 + i) * dim);
  }
  const ClusteredIndex index = ClusteredIndex::build(
      rows.view(), {.metric = metric, .max_leaf_size = 128, .refine_bits = refine_bits});
  for (SearchOptions options :
       {SearchOptions{.k = 10}, SearchOptions{.k = 10, .target_recall = 0.99f},
        SearchOptions{.k = 1, .probes = 3}, SearchOptions{.k = 100, .probes = 40},
        SearchOptions{.k = 10, .probes = 30, .rerank_factor = 3},
        SearchOptions{.k = 600, .probes = 1000}}) {
    std::vector<std::vector<Neighbor>> expected;
    for (std::size_t q = 0; q < queries.rows; ++q) {
      expected.push_back(index.search({queries.row(q), dim}, options));
    }
    for (const unsigned threads : {1u, 2u, 5u}) {
      options.threads = threads;
      const BatchResult batch = index.search_batch(queries.view(), options);
      for (std::size_t q = 0; q < queries.rows; ++q) {
        for (std::size_t i = 0; i < options.k; ++i) {
          const bool found = i < expected[q].size();
          const std::size_t at = q * options.k + i;
          ASSERT_EQ(batch.ids[at], found ? expected[q][i].id : kNoId)
              << q << " " << i << " k " << options.k;
          if (found) {
            ASSERT_EQ(batch.distances[at], expected[q][i].distance);
          }
        }
        if (q % 50 == 0) {
          EXPECT_EQ(index.search({queries.row(q), dim}, options), expected[q]);
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, Batch,
                         testing::Values(Case{Metric::l2, 24, 4}, Case{Metric::cosine, 100, 4},
                                         Case{Metric::inner_product, 40, 4},
                                         Case{Metric::l2, 200, 8}, Case{Metric::l2, 64, 0}),
                         [](const auto& test) {
                           const Case& c = test.param;
                           return std::string(to_string(c.metric)) + "_d" + std::to_string(c.dim) +
                                  "_bits" + std::to_string(c.refine_bits);
                         });

// Large enough for the last rounds of a query to be shared between threads.
TEST(InQueryThreads, GiveWhatOneThreadGives) {
  const Vectors rows = clustered_vectors(60000, 16, 200, 1);
  const Vectors queries = clustered_vectors(12, 16, 200, 2);
  for (const unsigned refine_bits : {0u, 4u}) {
    const ClusteredIndex index = ClusteredIndex::build(rows.view(), {.refine_bits = refine_bits});
    for (SearchOptions options :
         {SearchOptions{.k = 10, .probes = 100000}, SearchOptions{.k = 300, .probes = 100000},
          SearchOptions{.k = 10, .probes = 100000, .rerank_factor = 5}}) {
      for (std::size_t q = 0; q < queries.rows; ++q) {
        options.threads = 1;
        SearchStats one, three;
        std::vector<Neighbor> expected(options.k), found(options.k);
        index.search({queries.row(q), 16}, options, expected, &one);
        options.threads = 3;
        index.search({queries.row(q), 16}, options, found, &three);
        EXPECT_EQ(found, expected);
        EXPECT_EQ(three.codes_scanned, one.codes_scanned);
        EXPECT_EQ(three.codes_refined, one.codes_refined);
        EXPECT_EQ(three.vectors_read, one.vectors_read);
      }
    }
  }
}

}  // namespace
}  // namespace cairn

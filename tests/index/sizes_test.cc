// Sizes that no memory has, in every call that takes one.

#include <cstdint>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "cairn/cairn.h"
#include "cairn/cairn_c.h"

#include "tests/util/expect_error.h"
#include "tests/util/random_vectors.h"
#include "tests/util/temp_dir.h"

namespace cairn {
namespace {

using test::expect_error;
using test::Vectors;

constexpr std::size_t kHuge = std::numeric_limits<std::size_t>::max();
constexpr std::size_t kSizes[] = {std::size_t{1} << 62, std::size_t{1} << 61, kHuge, kHuge / 8};

class Sizes : public testing::Test {
 protected:
  const Vectors rows_ = test::clustered_vectors(600, 8, 5, 1);
  const MatrixView queries_{rows_.values.data(), 100, 8};
  const std::span<const float> query_{rows_.values.data(), 8};
  const ClusteredIndex index_ = ClusteredIndex::build(rows_.view());
  test::TempDir dir_;
};

TEST_F(Sizes, ResultsOfABatchThatNoMemoryHasAreRefused) {
  for (const std::size_t k : kSizes) {
    expect_error(ErrorCode::invalid_argument, "k: expected",
                 [&] { index_.search_batch(queries_, {.k = k}); });
    expect_error(ErrorCode::invalid_argument, "k",
                 [&] { exact_search(rows_.view(), queries_, k, Metric::l2); });
    EXPECT_EQ(index_.search(query_, {.k = k, .target_recall = 1}).size(), 600u);
    cairn_search_options options = CAIRN_SEARCH_OPTIONS;
    options.k = k;
    cairn_index* handle = nullptr;
    ASSERT_EQ(cairn_build(rows_.values.data(), 600, 8, nullptr, nullptr, &handle), CAIRN_OK);
    std::uint64_t id = 0;
    float distance = 0;
    EXPECT_EQ(cairn_search_batch(handle, rows_.values.data(), 100, 8, &options, &id, &distance),
              CAIRN_INVALID_ARGUMENT);
    cairn_free(handle);
  }
}

TEST_F(Sizes, ShapesBeyondTheLimitsAreRefused) {
  for (const std::size_t size : kSizes) {
    for (const MatrixView view :
         {MatrixView{rows_.values.data(), size, 8}, MatrixView{rows_.values.data(), 8, size},
          MatrixView{rows_.values.data(), size, size}}) {
      const auto refuses = [&](const auto& call) {
        expect_error(ErrorCode::invalid_argument, "", call);
      };
      refuses([&] { ClusteredIndex::build(view); });
      refuses([&] { index_.search_batch(view); });
      refuses([&] { exact_search(view, view, 1, Metric::l2); });
      refuses([&] { exact_search(rows_.view(), view, 1, Metric::l2); });
      refuses([&] { MemoryVectorStore store(view); });
      refuses([&] { MmapVectorStore::create(dir_ / "a.cairn", view); });
      refuses([&] { CompressedVectorStore::create(dir_ / "a.cairn", view); });
      refuses([&] { analyze_vectors(view); });
      for (const char* name : {"a.fbin", "a.fvecs", "a.npy"}) {
        refuses([&] { write_vectors(dir_ / name, view); });
      }
      for (const char* name : {"a.ibin", "a.ivecs", "a.npy"}) {
        refuses([&] { write_int_matrix(dir_ / name, nullptr, view.rows, view.dim); });
      }
      refuses([&] {
        MatrixVectorSource source(view);
        ClusteredIndex::build_file(dir_ / "a.cairn", source);
      });
      refuses([&] { to_float({ValueType::u8, view.data, view.rows, view.dim}); });
    }
    expect_error(ErrorCode::invalid_argument, "", [&] {
      to_float({ValueType::f32, rows_.values.data(), 100, 8, size});
    });
    expect_error(ErrorCode::invalid_argument, "", [&] {
      cairn_index* handle = nullptr;
      const cairn_status status =
          cairn_build(rows_.values.data(), size, 8, nullptr, nullptr, &handle);
      throw Error(status == CAIRN_INVALID_ARGUMENT ? ErrorCode::invalid_argument : ErrorCode::io,
                  "status");
    });
  }
  EXPECT_TRUE(dir_.names().empty());
}

TEST_F(Sizes, ResultsThatContradictThemselvesAreRefused) {
  const BatchResult truth = exact_search(rows_.view(), queries_, 10, Metric::l2);
  BatchResult lying = truth;
  lying.ids.resize(17);
  expect_error(ErrorCode::invalid_argument, "ids", [&] { recall_at_k(lying, truth, 10); });
  expect_error(ErrorCode::invalid_argument, "ids", [&] { recall_at_k(truth, lying, 10); });
  lying = truth;
  lying.distances.resize(3);
  expect_error(ErrorCode::invalid_argument, "distances", [&] { recall_at_k(lying, truth, 10); });
  expect_error(ErrorCode::invalid_argument, "distances",
               [&] { write_result(dir_ / "a.npy", dir_ / "b.fbin", lying); });
  lying = truth;
  lying.k = kHuge;
  expect_error(ErrorCode::invalid_argument, "ids",
               [&] { write_result(dir_ / "a.npy", {}, lying); });
  expect_error(ErrorCode::invalid_argument, "ids", [&] { recall_at_k(lying, truth, 10); });
}

TEST_F(Sizes, OptionsOfAnySizeBuildOrAreRefused) {
  for (const std::size_t size : kSizes) {
    EXPECT_EQ(ClusteredIndex::build(rows_.view(), {.max_leaf_size = size}).stats().leaves, 1u);
    for (const BuildOptions& options :
         {BuildOptions{.branching_factor = size}, BuildOptions{.max_iterations = size}}) {
      expect_error(ErrorCode::invalid_argument, "expected",
                   [&] { ClusteredIndex::build(rows_.view(), options); });
    }
    MatrixVectorSource source(rows_.view());
    EXPECT_NO_THROW(
        ClusteredIndex::build_file(dir_ / "b.cairn", source, {.memory_limit_bytes = size}));
    const CompressionOptions compression{.block_rows = size};
    expect_error(ErrorCode::invalid_argument, "block_rows",
                 [&] { index_.save(dir_ / "c.cairn", {.compression = compression}); });
    ClusteredIndex opened = ClusteredIndex::open(dir_ / "b.cairn");
    opened.use_tiered_storage({.hot_bytes = size, .warm_bytes = size});
    EXPECT_EQ(opened.search(query_, {.k = 1})[0].id, 0u);
    EXPECT_NO_THROW(opened.warm({.max_bytes = size}));
    EXPECT_EQ(index_.search(query_, {.k = 1, .probes = size})[0].id, 0u);
    EXPECT_EQ(index_.search(query_, {.k = 1, .max_microseconds = size})[0].id, 0u);
    EXPECT_EQ(index_.range_search(query_, 0, {.limit = size}).size(), 1u);
    EXPECT_NO_THROW(index_.calibrated_probes(0.9f, size));
    EXPECT_NO_THROW(analyze_vectors(rows_.view(), 3, size));
    ResultCache cache(size);
    EXPECT_EQ(cache.search(index_, query_, {.k = 1})[0].id, 0u);
  }
  for (const float factor : {1e38f, std::numeric_limits<float>::infinity()}) {
    EXPECT_EQ(index_.search(query_, {.k = 2, .rerank_factor = factor})[0].id, 0u);
  }
}

TEST_F(Sizes, RoomForResultsIsChecked) {
  std::vector<Neighbor> out(3);
  expect_error(ErrorCode::invalid_argument, "out: expected room for 10 results, found 3",
               [&] { index_.search(query_, {.k = 10}, out); });
}

}  // namespace
}  // namespace cairn

#include "base/parallel.h"

#include <atomic>
#include <stdexcept>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace cairn::base {
namespace {

TEST(ParallelFor, RunsEachTaskOnce) {
  for (const unsigned threads : {1u, 2u, 3u, 8u}) {
    for (const std::size_t tasks : {0, 1, 2, 1000}) {
      std::vector<std::atomic<int>> runs(tasks);
      std::atomic<bool> is_thread_valid{true};
      parallel_for(tasks, threads, [&](std::size_t task, unsigned thread) {
        runs[task].fetch_add(1);
        if (thread >= threads) is_thread_valid = false;
      });
      for (const auto& count : runs) EXPECT_EQ(count.load(), 1);
      EXPECT_TRUE(is_thread_valid);
    }
  }
}

TEST(ParallelFor, RethrowsAnExceptionAndStops) {
  for (const unsigned threads : {1u, 4u}) {
    std::atomic<std::size_t> runs{0};
    try {
      parallel_for(1'000'000, threads, [&](std::size_t task, unsigned) {
        runs.fetch_add(1);
        if (task == 10) throw std::out_of_range("task 10");
      });
      ADD_FAILURE() << "no exception";
    } catch (const std::out_of_range& error) {
      EXPECT_STREQ(error.what(), "task 10");
    }
    EXPECT_LT(runs.load(), 1'000'000u);
  }
}

TEST(ParallelFor, RethrowsOneOfMany) {
  EXPECT_THROW(
      parallel_for(1000, 4, [](std::size_t, unsigned) { throw std::runtime_error("each"); }),
      std::runtime_error);
}

TEST(ParallelChunks, CoversTheRangeWithFixedBorders) {
  for (const unsigned threads : {1u, 4u}) {
    std::vector<std::pair<std::size_t, std::size_t>> chunks(4);
    parallel_chunks(10, 3, threads, [&](std::size_t begin, std::size_t end, unsigned) {
      chunks[begin / 3] = {begin, end};
    });
    const std::vector<std::pair<std::size_t, std::size_t>> expected = {
        {0, 3}, {3, 6}, {6, 9}, {9, 10}};
    EXPECT_EQ(chunks, expected);
  }
  parallel_chunks(0, 3, 2, [](std::size_t, std::size_t, unsigned) { ADD_FAILURE(); });
}

TEST(ResolveThreads, TakesAllCoresForZero) {
  EXPECT_GE(resolve_threads(0), 1u);
  EXPECT_EQ(resolve_threads(7), 7u);
}

}  // namespace
}  // namespace cairn::base

#include "cairn/search_pool.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <thread>

#include <gtest/gtest.h>

#include "cairn/error.h"

#include "tests/util/expect_error.h"
#include "tests/util/random_vectors.h"

namespace cairn::test {
namespace {

constexpr std::size_t kRows = 400;
constexpr std::size_t kDim = 6;

const Vectors& sample() {
  static const Vectors vectors = clustered_vectors(kRows, kDim, 5, 1);
  return vectors;
}

std::span<const float> query(std::size_t row) { return {sample().row(row), kDim}; }

ClusteredIndex sample_index() { return ClusteredIndex::build(sample().view(), {.threads = 1}); }

// Holds searches up until it is opened.
class Gate {
 public:
  void open() {
    {
      const std::lock_guard lock(mutex_);
      is_open_ = true;
    }
    changed_.notify_all();
  }
  void pass() {
    std::unique_lock lock(mutex_);
    ++arrived_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return is_open_; });
  }
  void wait_for_arrivals(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return arrived_ >= count; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_open_ = false;
  int arrived_ = 0;
};

// Rows behind a gate.
class GatedStore final : public VectorStore {
 public:
  GatedStore(const ClusteredIndex& index, Gate& gate) : values_(kRows * kDim), gate_(gate) {
    index.read_rows(0, kRows, values_.data());
  }
  std::size_t rows() const noexcept override { return kRows; }
  std::size_t dim() const noexcept override { return kDim; }
  void read(std::span<const std::uint32_t> rows, float* out) const override {
    gate_.pass();
    for (const std::uint32_t row : rows) {
      out = std::copy_n(values_.data() + row * kDim, kDim, out);
    }
  }
  StoreStats stats() const override { return {}; }

 private:
  std::vector<float> values_;
  Gate& gate_;
};

struct GatedIndex {
  Gate gate;
  ClusteredIndex index = sample_index();
  GatedIndex() { index.use_storage(std::make_unique<GatedStore>(index, gate)); }
};

template <typename Condition>
void wait_until(Condition&& condition) {
  while (!condition()) std::this_thread::yield();
}

TEST(SearchPool, AnswersAsTheIndexDoes) {
  const ClusteredIndex index = sample_index();
  SearchPool pool(index, {.threads = 3, .queue_capacity = 8});
  std::vector<std::future<SearchPool::Answer>> futures;
  for (std::size_t row = 0; row < 200; ++row) {
    futures.push_back(pool.submit(query(row), {.k = 1 + row % 7}));
  }
  for (std::size_t row = 0; row < 200; ++row) {
    EXPECT_EQ(futures[row].get(), index.search(query(row), {.k = 1 + row % 7}));
  }
  EXPECT_EQ(pool.stats().answered, 200u);
  EXPECT_LE(pool.stats().most_queued, 8u);
}

TEST(SearchPool, CopiesTheQuery) {
  GatedIndex gated;
  SearchPool pool(gated.index, {.threads = 1});
  std::vector<float> mine(query(3).begin(), query(3).end());
  auto first = pool.submit(mine, {.k = 1});
  auto second = pool.submit(mine, {.k = 1});
  std::fill(mine.begin(), mine.end(), 99.0f);
  gated.gate.open();
  EXPECT_EQ(first.get()[0].id, 3u);
  EXPECT_EQ(second.get()[0].id, 3u);
}

TEST(SearchPool, CallsBack) {
  const ClusteredIndex index = sample_index();
  std::atomic<int> right{0};
  std::atomic<int> errors{0};
  {
    SearchPool pool(index, {.threads = 2});
    for (std::size_t row = 0; row < 50; ++row) {
      pool.submit(query(row), {.k = 1},
                  [&, row](SearchPool::Answer hits, std::exception_ptr error) {
                    right += !error && hits.at(0).id == row;
                  });
    }
    pool.submit(query(0), {.k = 0}, [&](SearchPool::Answer hits, std::exception_ptr error) {
      errors += error && hits.empty();
    });
  }
  EXPECT_EQ(right, 50);
  EXPECT_EQ(errors, 1);
}

TEST(SearchPool, DeliversErrorsThroughTheFuture) {
  const ClusteredIndex index = sample_index();
  SearchPool pool(index, {.threads = 1});
  auto no_k = pool.submit(query(0), {.k = 0});
  auto short_query = pool.submit(query(0).first(2));
  auto fine = pool.submit(query(0));
  expect_error(ErrorCode::invalid_argument, "k: expected at least 1", [&] { no_k.get(); });
  expect_error(ErrorCode::invalid_argument, "dimension", [&] { short_query.get(); });
  EXPECT_EQ(fine.get().size(), 10u);
  EXPECT_EQ(pool.stats().failed, 2u);
  EXPECT_EQ(pool.stats().answered, 1u);
}

TEST(SearchPool, RefusesWhenFullAndMakesSubmitWait) {
  GatedIndex gated;
  SearchPool pool(gated.index, {.threads = 1, .queue_capacity = 2});
  std::vector<std::future<SearchPool::Answer>> futures;
  futures.push_back(pool.submit(query(0)));
  gated.gate.wait_for_arrivals(1);  // its thread is busy
  futures.push_back(pool.submit(query(1)));
  futures.push_back(*pool.try_submit(query(2)));
  EXPECT_EQ(pool.try_submit(query(3)), std::nullopt);
  EXPECT_FALSE(pool.try_submit(query(3), {}, [](SearchPool::Answer, std::exception_ptr) {}));
  EXPECT_EQ(pool.stats().refused, 2u);
  EXPECT_EQ(pool.stats().queued, 2u);
  EXPECT_EQ(pool.stats().running, 1u);

  std::atomic<bool> is_in{false};
  std::thread producer([&] {
    auto future = pool.submit(query(4));
    is_in = true;
    EXPECT_EQ(future.get().size(), 10u);
  });
  wait_until([&] { return pool.stats().waiting == 1; });
  EXPECT_FALSE(is_in);
  EXPECT_EQ(pool.stats().queued, 2u);
  gated.gate.open();
  producer.join();
  for (auto& future : futures) EXPECT_EQ(future.get().size(), 10u);
  EXPECT_EQ(pool.stats().most_queued, 2u);
  EXPECT_EQ(pool.stats().answered, 4u);
}

TEST(SearchPool, StopDrains) {
  GatedIndex gated;
  SearchPool pool(gated.index, {.threads = 2});
  std::vector<std::future<SearchPool::Answer>> futures;
  for (std::size_t row = 0; row < 20; ++row) futures.push_back(pool.submit(query(row)));
  gated.gate.open();
  pool.stop();
  for (auto& future : futures) {
    ASSERT_EQ(future.wait_for(std::chrono::seconds(0)), std::future_status::ready);
    EXPECT_EQ(future.get().size(), 10u);
  }
  expect_error(ErrorCode::cancelled, "it was stopped", [&] { pool.submit(query(0)); });
  expect_error(ErrorCode::cancelled, "it was stopped", [&] { pool.try_submit(query(0)); });
  pool.stop();
  pool.stop(StopMode::discard);
}

TEST(SearchPool, StopDiscards) {
  GatedIndex gated;
  SearchPool pool(gated.index, {.threads = 1, .queue_capacity = 10});
  auto running = pool.submit(query(0));
  gated.gate.wait_for_arrivals(1);
  std::vector<std::future<SearchPool::Answer>> futures;
  for (std::size_t row = 0; row < 9; ++row) futures.push_back(pool.submit(query(row)));
  std::atomic<int> told{0};
  pool.submit(query(0), {},
              [&](SearchPool::Answer, std::exception_ptr error) { told += error != nullptr; });
  std::thread waiting([&] {
    expect_error(ErrorCode::cancelled, "it was stopped", [&] { pool.submit(query(0)); });
  });
  wait_until([&] { return pool.stats().waiting == 1; });
  std::thread stopping([&] { pool.stop(StopMode::discard); });
  for (auto& future : futures) {
    expect_error(ErrorCode::cancelled, "before the search began", [&] { future.get(); });
  }
  waiting.join();
  EXPECT_NE(running.wait_for(std::chrono::seconds(0)), std::future_status::ready);
  gated.gate.open();  // what runs is finished
  stopping.join();
  EXPECT_EQ(running.get().size(), 10u);
  EXPECT_EQ(told, 1);
  EXPECT_EQ(pool.stats().discarded, 10u);
}

TEST(SearchPool, DiscardOverrulesDrain) {
  GatedIndex gated;
  SearchPool pool(gated.index, {.threads = 1});
  auto running = pool.submit(query(0));
  gated.gate.wait_for_arrivals(1);
  auto queued = pool.submit(query(1));
  std::thread draining([&] { pool.stop(StopMode::drain); });
  std::thread discarding([&] { pool.stop(StopMode::discard); });
  expect_error(ErrorCode::cancelled, "before the search began", [&] { queued.get(); });
  gated.gate.open();
  draining.join();
  discarding.join();
  EXPECT_EQ(running.get().size(), 10u);
}

TEST(SearchPool, SurvivesCallbacksThatThrow) {
  const ClusteredIndex index = sample_index();
  SearchPool pool(index, {.threads = 1});
  pool.submit(query(0), {},
              [](SearchPool::Answer, std::exception_ptr) { throw std::runtime_error("mine"); });
  EXPECT_EQ(pool.submit(query(1), {.k = 1}).get()[0].id, 1u);
  pool.stop();
  EXPECT_EQ(pool.stats().callback_errors, 1u);
}

// A pool of one thread whose callback would wait for that thread.
TEST(SearchPool, RefusesToWaitForItself) {
  GatedIndex gated;
  SearchPool pool(gated.index, {.threads = 1, .queue_capacity = 1});
  std::promise<void> done;
  pool.submit(query(0), {}, [&](SearchPool::Answer, std::exception_ptr) {
    expect_error(ErrorCode::invalid_argument, "stop() on one of its own threads",
                 [&] { pool.stop(); });
    expect_error(ErrorCode::invalid_argument, "would wait for room",
                 [&] { pool.submit(query(2)); });
    EXPECT_EQ(pool.try_submit(query(2)), std::nullopt);
    done.set_value();
  });
  gated.gate.wait_for_arrivals(1);
  auto queued = pool.submit(query(1));
  gated.gate.open();
  done.get_future().get();
  EXPECT_EQ(queued.get().size(), 10u);
  EXPECT_EQ(pool.submit(query(2)).get().size(), 10u);
}

TEST(SearchPool, KeepsASharedIndex) {
  auto index = std::make_shared<const ClusteredIndex>(sample_index());
  SearchPool pool(index, {.threads = 1});
  const std::weak_ptr<const ClusteredIndex> watched = index;
  index.reset();
  EXPECT_FALSE(watched.expired());
  EXPECT_EQ(pool.submit(query(5), {.k = 1}).get()[0].id, 5u);
}

TEST(SearchPool, AsksItsCacheFirst) {
  const ClusteredIndex index = sample_index();
  const auto cache = std::make_shared<ResultCache>(std::size_t{1} << 20);
  SearchPool pool(index, {.threads = 1, .cache = cache});
  const auto first = pool.submit(query(5)).get();
  EXPECT_EQ(pool.submit(query(5)).get(), first);
  EXPECT_EQ(cache->stats().hits, 1u);
}

TEST(SearchPool, RefusesWrongOptions) {
  const ClusteredIndex index = sample_index();
  expect_error(ErrorCode::invalid_argument, "queue_capacity: expected at least 1, found 0",
               [&] { SearchPool(index, {.queue_capacity = 0}); });
  expect_error(ErrorCode::invalid_argument, "expected an index, found null",
               [] { SearchPool(std::shared_ptr<const ClusteredIndex>()); });
  SearchPool pool(index, {.threads = 1});
  expect_error(ErrorCode::invalid_argument, "expected a callback, found none",
               [&] { pool.submit(query(0), {}, nullptr); });
}

TEST(SearchPool, TakesSearchesFromManyThreads) {
  const ClusteredIndex index = sample_index();
  std::vector<SearchPool::Answer> expected;
  for (std::size_t row = 0; row < 50; ++row) expected.push_back(index.search(query(row)));
  SearchPool pool(index, {.threads = 3, .queue_capacity = 4});
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = 0; i < 100; ++i) {
        const std::size_t row = (t * 31 + i) % 50;
        if (i % 2 == 0) {
          if (pool.submit(query(row)).get() != expected[row]) ++wrong;
        } else if (auto future = pool.try_submit(query(row))) {
          if (future->get() != expected[row]) ++wrong;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(pool.stats().answered + pool.stats().refused, 400u);
}

}  // namespace
}  // namespace cairn::test

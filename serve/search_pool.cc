#include "cairn/search_pool.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <variant>

#include "cairn/error.h"

#include "base/parallel.h"

namespace cairn {
namespace {

[[noreturn]] void refuse(const std::string& message) {
  throw Error(ErrorCode::invalid_argument, "search pool: " + message);
}

struct Request {
  std::vector<float> query;
  SearchOptions options;
  std::variant<std::promise<SearchPool::Answer>, SearchPool::Callback> receiver;
};

// Hands over an answer or an error. False if a callback threw.
bool deliver(Request& request, SearchPool::Answer answer, std::exception_ptr error) {
  if (auto* const promise = std::get_if<std::promise<SearchPool::Answer>>(&request.receiver)) {
    if (error) {
      promise->set_exception(std::move(error));
    } else {
      promise->set_value(std::move(answer));
    }
    return true;
  }
  try {
    std::get<SearchPool::Callback>(request.receiver)(std::move(answer), std::move(error));
  } catch (...) {
    return false;
  }
  return true;
}

}  // namespace

struct SearchPool::Impl {
  std::shared_ptr<const ClusteredIndex> index;
  std::shared_ptr<ResultCache> cache;
  std::size_t capacity = 0;

  mutable std::mutex mutex;
  std::condition_variable has_work;  // or is stopping
  std::condition_variable has_room;  // or is stopping
  std::deque<Request> queue;
  bool is_stopping = false;
  SearchPoolStats counters;

  std::mutex join_mutex;
  std::vector<std::thread> threads;

  // The pool that this thread belongs to.
  static thread_local const Impl* own_pool;

  void start(unsigned num_threads) {
    try {
      for (unsigned i = 0; i < num_threads; ++i) threads.emplace_back([this] { work(); });
    } catch (...) {
      stop(StopMode::drain);
      throw;
    }
  }

  void work() {
    own_pool = this;
    std::unique_lock lock(mutex);
    while (true) {
      has_work.wait(lock, [this] { return is_stopping || !queue.empty(); });
      if (queue.empty()) return;
      Request request = std::move(queue.front());
      queue.pop_front();
      ++counters.running;
      lock.unlock();
      has_room.notify_one();
      answer(std::move(request));
      lock.lock();
      --counters.running;
    }
  }

  // Counts first, so that who has an answer sees it counted.
  void answer(Request request) {
    Answer hits;
    std::exception_ptr error;
    try {
      hits = cache != nullptr ? cache->search(*index, request.query, request.options)
                              : index->search(request.query, request.options);
    } catch (...) {
      error = std::current_exception();
    }
    {
      const std::lock_guard lock(mutex);
      ++(error ? counters.failed : counters.answered);
    }
    if (!deliver(request, std::move(hits), std::move(error))) count_callback_error();
  }

  void count_callback_error() {
    const std::lock_guard lock(mutex);
    ++counters.callback_errors;
  }

  // False if there is no room and the caller does not want to wait for it.
  bool put(Request request, bool may_wait) {
    {
      std::unique_lock lock(mutex);
      if (!is_stopping && queue.size() >= capacity) {
        if (!may_wait) {
          ++counters.refused;
          return false;
        }
        if (own_pool == this) refuse("full, and its own thread would wait for room: try_submit");
        ++counters.waiting;
        has_room.wait(lock, [this] { return is_stopping || queue.size() < capacity; });
        --counters.waiting;
      }
      if (is_stopping) throw Error(ErrorCode::cancelled, "search pool: it was stopped");
      queue.push_back(std::move(request));
      counters.most_queued = std::max(counters.most_queued, queue.size());
    }
    has_work.notify_one();
    return true;
  }

  void stop(StopMode mode) {
    if (own_pool == this) refuse("stop() on one of its own threads, which it would wait for");
    std::deque<Request> discarded;
    {
      const std::lock_guard lock(mutex);
      is_stopping = true;
      if (mode == StopMode::discard) {
        discarded.swap(queue);
        counters.discarded += discarded.size();
      }
    }
    has_work.notify_all();
    has_room.notify_all();
    for (Request& request : discarded) {
      const Error error(ErrorCode::cancelled, "search pool: stopped before the search began");
      if (!deliver(request, {}, std::make_exception_ptr(error))) count_callback_error();
    }
    const std::lock_guard lock(join_mutex);
    for (std::thread& thread : threads) thread.join();
    threads.clear();
  }
};

thread_local const SearchPool::Impl* SearchPool::Impl::own_pool = nullptr;

SearchPool::SearchPool(const ClusteredIndex& index, const SearchPoolOptions& options)
    : SearchPool(std::shared_ptr<const ClusteredIndex>(&index, [](const ClusteredIndex*) {}),
                 options) {}

SearchPool::SearchPool(std::shared_ptr<const ClusteredIndex> index,
                       const SearchPoolOptions& options)
    : impl_(std::make_unique<Impl>()) {
  if (index == nullptr) refuse("expected an index, found null");
  if (options.queue_capacity == 0) refuse("queue_capacity: expected at least 1, found 0");
  impl_->index = std::move(index);
  impl_->cache = options.cache;
  impl_->capacity = options.queue_capacity;
  impl_->start(base::resolve_threads(options.threads));
}

SearchPool::~SearchPool() { impl_->stop(StopMode::drain); }

std::future<SearchPool::Answer> SearchPool::submit(std::span<const float> query,
                                                   const SearchOptions& options) {
  std::promise<Answer> promise;
  std::future<Answer> future = promise.get_future();
  impl_->put({{query.begin(), query.end()}, options, std::move(promise)}, true);
  return future;
}

void SearchPool::submit(std::span<const float> query, const SearchOptions& options,
                        Callback callback) {
  if (!callback) refuse("expected a callback, found none");
  impl_->put({{query.begin(), query.end()}, options, std::move(callback)}, true);
}

std::optional<std::future<SearchPool::Answer>> SearchPool::try_submit(
    std::span<const float> query, const SearchOptions& options) {
  std::promise<Answer> promise;
  std::future<Answer> future = promise.get_future();
  if (!impl_->put({{query.begin(), query.end()}, options, std::move(promise)}, false)) {
    return std::nullopt;
  }
  return future;
}

bool SearchPool::try_submit(std::span<const float> query, const SearchOptions& options,
                            Callback callback) {
  if (!callback) refuse("expected a callback, found none");
  return impl_->put({{query.begin(), query.end()}, options, std::move(callback)}, false);
}

void SearchPool::stop(StopMode mode) { impl_->stop(mode); }

SearchPoolStats SearchPool::stats() const {
  const std::lock_guard lock(impl_->mutex);
  SearchPoolStats stats = impl_->counters;
  stats.queued = impl_->queue.size();
  return stats;
}

}  // namespace cairn

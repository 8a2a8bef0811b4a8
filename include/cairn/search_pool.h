#pragma once

// Searches in the background, for services whose own threads must not wait for them.

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "cairn/clustered_index.h"
#include "cairn/export.h"
#include "cairn/options.h"
#include "cairn/result_cache.h"
#include "cairn/types.h"

namespace cairn {

struct SearchPoolOptions {
  unsigned threads = 0;               ///< that search; 0: all cores
  std::size_t queue_capacity = 1024;  ///< searches that may wait for a thread, at least 1
  std::shared_ptr<ResultCache> cache = nullptr;  ///< asked first; null: none
};

/// What becomes of searches that still wait when a pool stops.
enum class StopMode : std::uint8_t {
  drain = 0,    ///< they are answered first
  discard = 1,  ///< they fail with Error(cancelled); those being answered are finished
};

struct SearchPoolStats {
  std::uint64_t answered = 0;
  std::uint64_t failed = 0;           ///< the search threw, and the caller was told
  std::uint64_t discarded = 0;        ///< by stop(StopMode::discard)
  std::uint64_t refused = 0;          ///< try_submit() while the queue was full
  std::uint64_t callback_errors = 0;  ///< exceptions that callbacks threw
  std::size_t queued = 0;             ///< now
  std::size_t most_queued = 0;
  std::size_t running = 0;  ///< being answered now
  std::size_t waiting = 0;  ///< callers of submit() that wait for room now
};

/// Threads of its own that answer searches of one index, first come first served.
///
/// Searches wait in a queue of bounded length. When it is full, submit() waits for room, which
/// slows down who asks too fast (back-pressure), and try_submit() refuses, which lets a server say
/// "busy". Answers are those of ClusteredIndex::search(); whatever that throws, wrong arguments
/// included, arrives through the future or the callback.
///
/// The index must not change its storage while searches run. Thread-safe, but for the destructor.
class CAIRN_EXPORT SearchPool {
 public:
  using Answer = std::vector<Neighbor>;
  /// Called on a thread of the pool, or, for discarded searches, on the one that stops it: `error`
  /// is null, or the answer is empty. It should be quick and not throw (what it throws is dropped
  /// and counted). It may call try_submit(), but neither stop() nor the destructor.
  using Callback = std::function<void(Answer answer, std::exception_ptr error)>;

  /// `index` is borrowed and must outlive the pool.
  /// @throws Error invalid_argument: queue_capacity is 0; std::system_error: no more threads.
  explicit SearchPool(const ClusteredIndex& index, const SearchPoolOptions& options = {});
  explicit SearchPool(ClusteredIndex&& index, const SearchPoolOptions& options = {}) = delete;
  /// The pool keeps its part of `index` until it is destroyed. @throws the same, and
  /// invalid_argument if it is null.
  explicit SearchPool(std::shared_ptr<const ClusteredIndex> index,
                      const SearchPoolOptions& options = {});
  /// stop(StopMode::drain).
  ~SearchPool();
  SearchPool(const SearchPool&) = delete;
  SearchPool& operator=(const SearchPool&) = delete;

  /// Copies `query` and `options` (what these point to must live until the answer is there) and
  /// waits, if the queue is full, until it is not.
  /// @throws Error cancelled if the pool was stopped, also while waiting; invalid_argument if the
  ///   queue is full and the caller is a thread of the pool, which would wait for itself.
  std::future<Answer> submit(std::span<const float> query, const SearchOptions& options = {});
  void submit(std::span<const float> query, const SearchOptions& options, Callback callback);

  /// Never waits: empty, or false, if the queue is full. @throws Error cancelled.
  std::optional<std::future<Answer>> try_submit(std::span<const float> query,
                                                const SearchOptions& options = {});
  bool try_submit(std::span<const float> query, const SearchOptions& options, Callback callback);

  /// Takes no more searches and returns when all that it took are answered or discarded and the
  /// threads have ended. May be called again, and with `discard` while another thread drains.
  /// @throws Error invalid_argument on a thread of the pool.
  void stop(StopMode mode = StopMode::drain);

  SearchPoolStats stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cairn

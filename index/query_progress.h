#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <mutex>
#include <string>

#include "cairn/error.h"

namespace cairn::index {

// Tells the caller how far a search of many queries is, from whichever thread finds the interval
// over, one at a time. Thread-safe.
class QueryProgress {
 public:
  // The work of all queries together is `total_work` in units of the caller's choice. `what` begins
  // the message if the caller wants no further. All is borrowed.
  QueryProgress(const char* what, std::size_t queries, double total_work,
                const std::function<bool(std::size_t)>& on_query)
      : what_(what), queries_(queries), total_(total_work), on_query_(on_query) {}

  // Counts `work` units more; throws Error(cancelled) if the caller wants no further.
  void advance(std::size_t work) {
    if (!on_query_) return;
    done_.fetch_add(work, std::memory_order_relaxed);
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock.owns_lock()) return;
    const auto now = std::chrono::steady_clock::now();
    if (now - last_report_ < kReportInterval) return;
    last_report_ = now;
    const double share = static_cast<double>(done_.load(std::memory_order_relaxed)) / total_;
    const auto queries = static_cast<std::size_t>(share * static_cast<double>(queries_));
    report(queries < queries_ ? queries : queries_);
  }

  void finish() {
    if (on_query_) report(queries_);
  }

 private:
  static constexpr auto kReportInterval = std::chrono::milliseconds(50);

  void report(std::size_t queries_done) {
    if (!on_query_(queries_done)) {
      throw Error(ErrorCode::cancelled, std::string(what_) + ": cancelled");
    }
  }

  const char* what_;
  std::size_t queries_;
  double total_;
  const std::function<bool(std::size_t)>& on_query_;
  std::atomic<std::size_t> done_{0};
  std::mutex mutex_;
  std::chrono::steady_clock::time_point last_report_ = std::chrono::steady_clock::now();
};

}  // namespace cairn::index

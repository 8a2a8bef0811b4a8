#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <mutex>

#include "cairn/error.h"
#include "cairn/options.h"

namespace cairn::index {

// Hands a build's progress to the caller's callback, and its wish to stop back to the build.
// Thread-safe: calls of the callback are serialised.
class Progress {
 public:
  explicit Progress(const ProgressCallback& callback) : callback_(callback) {}

  void start_phase(const char* phase, std::size_t total) {
    {
      const std::lock_guard lock(mutex_);
      phase_ = phase;
      total_ = total;
      done_.store(0, std::memory_order_relaxed);
    }
    report(true);
  }

  // Adds finished work. Throws Error(cancelled) if the callback has returned false.
  void advance(std::size_t work) {
    done_.fetch_add(work, std::memory_order_relaxed);
    report(false);
  }

  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  // At most 50 reports a second but for the first of each phase.
  void report(bool always) {
    if (!callback_) return;
    {
      const std::lock_guard lock(mutex_);
      const double now = seconds();
      if (!cancelled_ && (always || now - last_report_ > 0.02)) {
        last_report_ = now;
        cancelled_ = !callback_({phase_, done_.load(std::memory_order_relaxed), total_, now});
      }
      if (!cancelled_) return;
    }
    throw Error(ErrorCode::cancelled, "build cancelled by the progress callback");
  }

  const ProgressCallback& callback_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::mutex mutex_;
  const char* phase_ = "";
  std::size_t total_ = 0;
  std::atomic<std::size_t> done_{0};
  double last_report_ = -1;
  bool cancelled_ = false;
};

}  // namespace cairn::index

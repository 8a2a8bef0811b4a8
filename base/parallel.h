#pragma once

// The one place that knows OpenMP.

#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>

#include <omp.h>

namespace cairn::base {

// `threads`, or the number of cores this process may use if it is 0.
inline unsigned resolve_threads(unsigned threads) {
  return threads != 0 ? threads : static_cast<unsigned>(omp_get_num_procs());
}

// Calls body(task, thread) for each task in [0, num_tasks) on up to `threads` threads, handing
// tasks out as threads become free; thread is in [0, threads). Which thread runs a task is not
// deterministic, so a task must write to places of its own. The first exception stops the handing
// out and is rethrown here once every running task has ended.
template <typename Body>
void parallel_for(std::size_t num_tasks, unsigned threads, Body&& body) {
  if (threads <= 1 || num_tasks <= 1) {
    for (std::size_t task = 0; task < num_tasks; ++task) body(task, 0u);
    return;
  }
  std::exception_ptr error;
  std::mutex error_mutex;
  std::atomic<std::size_t> next{0};
  std::atomic<bool> stopped{false};
#pragma omp parallel num_threads(threads)
  {
    const auto thread = static_cast<unsigned>(omp_get_thread_num());
    while (!stopped.load(std::memory_order_relaxed)) {
      const std::size_t task = next.fetch_add(1, std::memory_order_relaxed);
      if (task >= num_tasks) break;
      try {
        body(task, thread);
      } catch (...) {
        const std::lock_guard lock(error_mutex);
        if (!error) error = std::current_exception();
        stopped.store(true, std::memory_order_relaxed);
      }
    }
  }
  if (error) std::rethrow_exception(error);
}

// The same over [0, count) in chunks of `chunk`: body(begin, end, thread). Chunk borders depend on
// `count` and `chunk` alone, never on the number of threads.
template <typename Body>
void parallel_chunks(std::size_t count, std::size_t chunk, unsigned threads, Body&& body) {
  const std::size_t num_chunks = (count + chunk - 1) / chunk;
  parallel_for(num_chunks, threads, [&](std::size_t task, unsigned thread) {
    const std::size_t begin = task * chunk;
    body(begin, begin + chunk < count ? begin + chunk : count, thread);
  });
}

}  // namespace cairn::base

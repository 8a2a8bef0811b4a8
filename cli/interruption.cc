#include "cli/interruption.h"

#include <atomic>
#include <csignal>

#include <cairn/error.h>

namespace cairn::cli {
namespace {

std::atomic<int> signal_caught{0};
static_assert(std::atomic<int>::is_always_lock_free, "set from a signal handler");

extern "C" void keep_signal(int signal) { signal_caught.store(signal); }

}  // namespace

void catch_interruptions() {
  struct sigaction action {};
  action.sa_handler = keep_signal;
  action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool is_interrupted() noexcept { return signal_caught.load(std::memory_order_relaxed) != 0; }

int interrupted_exit_code() noexcept {
  const int signal = signal_caught.load(std::memory_order_relaxed);
  return 128 + (signal != 0 ? signal : SIGINT);
}

void stop_if_interrupted() {
  if (is_interrupted()) throw Error(ErrorCode::cancelled, "cancelled");
}

}  // namespace cairn::cli

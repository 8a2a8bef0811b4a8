#include "cli/interruption.h"

#include <atomic>
#include <csignal>

#include <cairn/error.h>

namespace cairn::cli {
namespace {

std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "set from a signal handler");

extern "C" void raise_flag(int) { interrupted.store(true); }

}  // namespace

void catch_interruptions() {
  struct sigaction action {};
  action.sa_handler = raise_flag;
  action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool is_interrupted() noexcept { return interrupted.load(std::memory_order_relaxed); }

void stop_if_interrupted() {
  if (is_interrupted()) throw Error(ErrorCode::cancelled, "cancelled");
}

}  // namespace cairn::cli

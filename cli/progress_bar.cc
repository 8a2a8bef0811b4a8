#include "cli/progress_bar.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include <unistd.h>

#include "cli/interruption.h"

namespace cairn::cli {
namespace {

constexpr auto kSilence = std::chrono::seconds(1);
constexpr auto kRedrawInterval = std::chrono::milliseconds(100);
constexpr std::size_t kCells = 30;
constexpr char kWipeLine[] = "\r\x1b[K";

}  // namespace

ProgressBar::ProgressBar(std::string name)
    : name_(std::move(name)),
      is_terminal_(isatty(STDERR_FILENO) == 1),
      start_(Clock::now()),
      last_draw_(start_) {}

ProgressBar::~ProgressBar() {
  if (is_drawn_) std::fputs(kWipeLine, stderr);
}

bool ProgressBar::update(std::size_t done, std::size_t total, const char* phase) {
  if (is_interrupted()) return false;
  const Clock::time_point now = Clock::now();
  if (!is_terminal_ || now - start_ < kSilence || now - last_draw_ < kRedrawInterval) return true;
  last_draw_ = now;
  is_drawn_ = true;
  const double share =
      total == 0 ? 0 : std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  std::string bar(kCells, '.');
  const auto filled = static_cast<std::size_t>(share * static_cast<double>(kCells));
  std::fill_n(bar.begin(), filled, '#');
  std::fprintf(stderr, "%s%s %-10s [%s] %3.0f %%  %.0f s", kWipeLine, name_.c_str(), phase,
               bar.c_str(), 100 * share, std::chrono::duration<double>(now - start_).count());
  return true;
}

}  // namespace cairn::cli

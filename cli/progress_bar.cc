#include "cli/progress_bar.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/interruption.h"

namespace cairn::cli {
namespace {

constexpr auto kSilence = std::chrono::seconds(1);
constexpr auto kRedrawInterval = std::chrono::milliseconds(100);
constexpr std::size_t kCells = 30;
constexpr char kWipeLine[] = "\r\x1b[K";

std::string format_rate(double rate) {
  const char* unit = "";
  if (rate >= 999.5) {
    rate /= 1000;
    unit = "k";
  }
  if (rate >= 999.5) {
    rate /= 1000;
    unit = "M";
  }
  char text[32];
  std::snprintf(text, sizeof text, "%.3g %s/s", rate, unit);
  return text;
}

std::string format_duration(double seconds) {
  const auto whole = static_cast<unsigned long long>(std::ceil(seconds));
  if (whole < 60) return std::to_string(whole) + " s";
  if (whole < 3600) return std::to_string(whole / 60) + " min " + std::to_string(whole % 60) + " s";
  return std::to_string(whole / 3600) + " h " + std::to_string(whole / 60 % 60) + " min";
}

// Rate and time left; "" as long as they cannot be told.
std::string format_future(const ProgressState& state) {
  if (state.done == 0 || state.total < 2 || state.seconds < 0.5) return "";
  const double rate = static_cast<double>(state.done) / state.seconds;
  const double left =
      state.done < state.total ? static_cast<double>(state.total - state.done) / rate : 0;
  return "  " + format_rate(rate) + ", " + format_duration(left) + " left";
}

std::string format_bar(double share, std::size_t cells) {
  std::string bar(cells, '.');
  std::fill_n(bar.begin(), static_cast<std::size_t>(share * static_cast<double>(cells)), '#');
  return "[" + bar + "] ";
}

}  // namespace

std::string format_progress(const ProgressState& state, std::size_t columns) {
  constexpr std::size_t kFewestCells = 4;
  constexpr std::size_t kBarEnds = 3;
  const double share =
      state.total == 0
          ? 0
          : std::min(1.0, static_cast<double>(state.done) / static_cast<double>(state.total));
  char text[160];
  std::snprintf(text, sizeof text, "%s %-10s ", state.name.c_str(), state.phase.c_str());
  const std::string head = text;
  std::snprintf(text, sizeof text, "%3.0f %%", 100 * share);
  const std::string percent = text;
  const std::string future = format_future(state);
  const std::string whole = head + format_bar(share, kCells) + percent;
  if (whole.size() + future.size() <= columns) return whole + future;
  const std::size_t fixed = head.size() + kBarEnds + percent.size();
  if (fixed + kFewestCells <= columns) {
    return head + format_bar(share, std::min(kCells, columns - fixed)) + percent;
  }
  if (head.size() + percent.size() <= columns) return head + percent;
  return (state.name + " " + percent).substr(0, columns);
}

std::size_t terminal_columns() {
  constexpr std::size_t kUsual = 80;
  const char* const text = std::getenv("COLUMNS");
  const unsigned long told = text == nullptr ? 0 : std::strtoul(text, nullptr, 10);
  if (told != 0) return told;
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col != 0) return size.ws_col;
  return kUsual;
}

ProgressBar::ProgressBar(std::string name)
    : name_(std::move(name)),
      is_terminal_(isatty(STDERR_FILENO) == 1),
      start_(Clock::now()),
      last_draw_(start_),
      phase_start_(start_) {}

ProgressBar::~ProgressBar() {
  if (is_drawn_) std::fputs(kWipeLine, stderr);
}

bool ProgressBar::update(std::size_t done, std::size_t total, const char* phase) {
  if (is_interrupted()) return false;
  const Clock::time_point now = Clock::now();
  if (phase != phase_) {
    phase_ = phase;
    phase_start_ = now;
  }
  if (!is_terminal_ || now - start_ < kSilence || now - last_draw_ < kRedrawInterval) return true;
  last_draw_ = now;
  is_drawn_ = true;
  const std::chrono::duration<double> seconds = now - phase_start_;
  // A line that fills the last column would wrap on some terminals.
  const std::string line = format_progress({name_, phase_, done, total, seconds.count()},
                                           std::max<std::size_t>(terminal_columns(), 2) - 1);
  std::fprintf(stderr, "%s%s", kWipeLine, line.c_str());
  return true;
}

}  // namespace cairn::cli

#include "cli/progress_bar.h"

#include <algorithm>
#include <cmath>
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

}  // namespace

std::string format_progress(const std::string& name, const std::string& phase, std::size_t done,
                            std::size_t total, double seconds) {
  const double share =
      total == 0 ? 0 : std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  std::string bar(kCells, '.');
  std::fill_n(bar.begin(), static_cast<std::size_t>(share * static_cast<double>(kCells)), '#');
  char text[160];
  std::snprintf(text, sizeof text, "%s %-10s [%s] %3.0f %%", name.c_str(), phase.c_str(),
                bar.c_str(), 100 * share);
  std::string line = text;
  if (done == 0 || total < 2 || seconds < 0.5) return line;
  const double rate = static_cast<double>(done) / seconds;
  const double left = done < total ? static_cast<double>(total - done) / rate : 0;
  return line + "  " + format_rate(rate) + ", " + format_duration(left) + " left";
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
  const std::string line = format_progress(name_, phase_, done, total, seconds.count());
  std::fprintf(stderr, "%s%s", kWipeLine, line.c_str());
  return true;
}

}  // namespace cairn::cli

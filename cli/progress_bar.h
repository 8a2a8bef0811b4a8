#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace cairn::cli {

struct ProgressState {
  std::string name;
  std::string phase;
  std::size_t done = 0;
  std::size_t total = 0;
  double seconds = 0;  // since the phase began
};

// One line of at most `columns`: name, phase, bar, share done, and once it can be told (after half
// a second) the rate in units of work a second and the time left of this phase. What does not fit
// is left out: first rate and time, then cells of the bar, then the bar, then the phase.
std::string format_progress(const ProgressState& state, std::size_t columns = ~std::size_t{0});

// Of the terminal behind stderr: as $COLUMNS says, or the terminal itself, or 80.
std::size_t terminal_columns();

// One line on stderr that is redrawn in place, if stderr is a terminal and the step has taken over
// a second; nothing at all otherwise. The destructor wipes the line. One thread at a time.
class ProgressBar {
 public:
  explicit ProgressBar(std::string name);
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  ~ProgressBar();

  // Returns false once the user wants to stop: what the library's progress callbacks return.
  bool update(std::size_t done, std::size_t total, const char* phase = "");

 private:
  using Clock = std::chrono::steady_clock;

  std::string name_;
  bool is_terminal_;
  bool is_drawn_ = false;
  Clock::time_point start_;
  Clock::time_point last_draw_;
  std::string phase_;
  Clock::time_point phase_start_;
};

}  // namespace cairn::cli

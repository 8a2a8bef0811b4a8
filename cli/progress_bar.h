#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace cairn::cli {

// One line: name, phase, bar, share done, and once it can be told (after half a second) the rate in
// units of work a second and the time left of this phase. `seconds` are those since it began.
std::string format_progress(const std::string& name, const std::string& phase, std::size_t done,
                            std::size_t total, double seconds);

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

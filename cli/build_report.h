#pragma once

// What a build took, for build.

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <cairn/options.h>

namespace cairn::cli {

// Follows a build through its progress reports. One thread at a time.
class BuildReport {
 public:
  BuildReport() : start_(Clock::now()), phase_start_(start_) {}

  void update(const BuildProgress& progress);
  // Ends the last phase.
  void finish();

  double seconds() const;
  // "validate 0.1 s, cluster 1.2 s, ...; at most 123 MB of memory"
  std::string text() const;
  // {"seconds", "phases": [{"name", "seconds"}], "peak_anonymous_bytes"}
  nlohmann::json to_json() const;

 private:
  using Clock = std::chrono::steady_clock;

  void look_at_memory();

  Clock::time_point start_;
  Clock::time_point phase_start_;
  Clock::time_point end_;
  std::vector<std::pair<std::string, double>> phases_;  // name and seconds
  std::uint64_t peak_bytes_ = 0;
};

}  // namespace cairn::cli

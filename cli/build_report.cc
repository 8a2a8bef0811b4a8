#include "cli/build_report.h"

#include <algorithm>

#include "cli/html_text.h"
#include "cli/machine_facts.h"

namespace cairn::cli {

void BuildReport::update(const BuildProgress& progress) {
  look_at_memory();
  if (!phases_.empty() && phases_.back().first == progress.phase) return;
  finish();
  phases_.emplace_back(progress.phase, 0.0);
}

void BuildReport::finish() {
  look_at_memory();
  end_ = Clock::now();
  if (!phases_.empty()) {
    phases_.back().second = std::chrono::duration<double>(end_ - phase_start_).count();
  }
  phase_start_ = end_;
}

double BuildReport::seconds() const { return std::chrono::duration<double>(end_ - start_).count(); }

std::string BuildReport::text() const {
  std::string text;
  for (const auto& [name, seconds] : phases_) {
    text += (text.empty() ? "" : ", ") + name + " " + format_fixed(seconds, 2) + " s";
  }
  if (peak_bytes_ == 0) return text;
  return text + "; at most " + format_bytes(static_cast<double>(peak_bytes_)) + " of memory";
}

nlohmann::json BuildReport::to_json() const {
  nlohmann::json phases = nlohmann::json::array();
  for (const auto& [name, seconds] : phases_) {
    phases.push_back({{"name", name}, {"seconds", seconds}});
  }
  return {
      {"seconds", seconds()}, {"phases", std::move(phases)}, {"peak_anonymous_bytes", peak_bytes_}};
}

void BuildReport::look_at_memory() { peak_bytes_ = std::max(peak_bytes_, anonymous_bytes()); }

}  // namespace cairn::cli

#include "cli/calibration_table.h"

#include <cstdio>

namespace cairn::cli {

std::string calibration_table(const ClusteredIndex& index) {
  const double leaf = index.stats().leaf_size_mean;
  std::string text = "leaves (codes) scanned on average for a recall of\n       ";
  char cell[64];
  for (const float target : kCalibratedTargets) {
    std::snprintf(cell, sizeof(cell), "%18g", static_cast<double>(target));
    text += cell;
  }
  for (const std::size_t k : kCalibratedDepths) {
    std::snprintf(cell, sizeof(cell), "\n  @%-4zu", k);
    text += cell;
    for (const float target : kCalibratedTargets) {
      const std::size_t leaves = index.calibrated_probes(target, k);
      char codes[32];
      std::snprintf(codes, sizeof(codes), "%zu (%.0f)", leaves, static_cast<double>(leaves) * leaf);
      std::snprintf(cell, sizeof(cell), "%18s", codes);
      text += cell;
    }
  }
  return text + "\n";
}

}  // namespace cairn::cli

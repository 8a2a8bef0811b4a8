#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace cairn::cli {

struct CurvePoint {
  double recall = 0;
  double qps = 0;
  std::string tip;  // shown on hover
};

// One line of the recall chart. Colours come from the place in the list; the first is ours.
struct Curve {
  std::string name;
  std::vector<CurvePoint> points;
};

struct TierBytes {
  std::string name;
  double ram = 0;
  double disk = 0;
};

// Charts as inline SVG with a legend; "" if there is nothing to draw. Text need not be escaped.

// Queries per second (logarithmic) over recall, whose axis is logarithmic in what is missed, so
// that 0.9, 0.99 and 0.999 stand equally far apart. Points with qps <= 0 are left out.
std::string draw_recall_chart(const std::vector<Curve>& curves);

// Counts between consecutive edges, edges.size() == counts.size() + 1, as bars of equal width.
// Marks, in microseconds, are drawn as vertical lines.
struct LatencyMark {
  std::string name;
  double us = 0;
};
std::string draw_latency_histogram(const std::vector<double>& edges_us,
                                   const std::vector<double>& counts,
                                   const std::vector<LatencyMark>& marks);

// One stacked bar for RAM and one for disk, on the same scale.
std::string draw_tier_bars(const std::vector<TierBytes>& tiers);

}  // namespace cairn::cli

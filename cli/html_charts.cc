#include "cli/html_charts.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "cli/html_text.h"

namespace cairn::cli {
namespace {

constexpr double kWidth = 640;
constexpr double kHeight = 400;
constexpr double kRecallHeight = 560;
constexpr double kLeft = 78;
constexpr double kRight = 22;
constexpr double kTop = 16;
constexpr double kBottom = 64;
constexpr double kPlotRight = kWidth - kRight;
constexpr double kPlotBottom = kHeight - kBottom;
constexpr double kMinTickGap = 44;
constexpr std::size_t kNumColours = 6;
constexpr double kMaxNines = 4;  // recall 0.9999 and above share the right edge, marked 1

std::string coordinate(double value) { return format_fixed(value, 1); }

std::string colour_class(std::size_t place) { return "c" + std::to_string(place % kNumColours); }

std::string open_svg(std::string_view label, double height = kHeight) {
  return "<svg viewBox=\"0 0 " + format_fixed(kWidth, 0) + " " + format_fixed(height, 0) +
         "\" role=\"img\" aria-label=\"" + escape_html(label) + "\">\n";
}

std::string draw_line(double x1, double y1, double x2, double y2, std::string_view css_class) {
  return "<line x1=\"" + coordinate(x1) + "\" y1=\"" + coordinate(y1) + "\" x2=\"" +
         coordinate(x2) + "\" y2=\"" + coordinate(y2) + "\" class=\"" + std::string(css_class) +
         "\"/>\n";
}

std::string draw_text(double x, double y, std::string_view anchor, std::string_view text,
                      std::string_view css_class = "tick") {
  return "<text x=\"" + coordinate(x) + "\" y=\"" + coordinate(y) + "\" text-anchor=\"" +
         std::string(anchor) + "\" class=\"" + std::string(css_class) + "\">" + escape_html(text) +
         "</text>\n";
}

std::string draw_axis_titles(double height, std::string_view x_title, std::string_view y_title) {
  const std::string middle = coordinate((kTop + height - kBottom) / 2);
  return draw_text((kLeft + kPlotRight) / 2, height - 8, "middle", x_title, "axis") +
         "<text transform=\"translate(17," + middle + ") rotate(-90)\" text-anchor=\"middle\"" +
         " class=\"axis ytitle\">" + escape_html(y_title) + "</text>\n";
}

std::string draw_legend(const std::vector<std::string>& names) {
  std::string out = "<div class=\"legend\">";
  for (std::size_t i = 0; i < names.size(); ++i) {
    out += "<span><i class=\"" + colour_class(i) + "\"></i>" + escape_html(names[i]) + "</span>";
  }
  return out + "</div>\n";
}

// Recall as the number of its nines: 0.9 is 1, 0.99 is 2.
double nines(double recall) { return std::clamp(-std::log10(1 - recall), 0.0, kMaxNines); }

// Maps [low, high] to [from, to].
struct Scale {
  double low;
  double high;
  double from;
  double to;

  double operator()(double value) const {
    return high > low ? from + (value - low) / (high - low) * (to - from) : (from + to) / 2;
  }
};

struct Tick {
  double recall;
  const char* text;
};
// Where there is no room for all, the first in this list are labelled.
constexpr std::array kRecallTicks{Tick{0.9, "0.9"},   Tick{0.99, "0.99"},   Tick{0.999, "0.999"},
                                  Tick{1, "1"},       Tick{0.5, "0.5"},     Tick{0.8, "0.8"},
                                  Tick{0.95, "0.95"}, Tick{0, "0"},         Tick{0.7, "0.7"},
                                  Tick{0.98, "0.98"}, Tick{0.995, "0.995"}, Tick{0.3, "0.3"}};

// The narrowest range of ticks around all points.
Scale recall_scale(const std::vector<Curve>& curves) {
  double lowest = 1;
  double highest = 0;
  for (const Curve& curve : curves) {
    for (const CurvePoint& point : curve.points) {
      lowest = std::min(lowest, point.recall);
      highest = std::max(highest, point.recall);
    }
  }
  double low = 0;
  double high = kMaxNines;
  for (const Tick& tick : kRecallTicks) {
    if (tick.recall <= std::min(lowest, 0.98)) low = std::max(low, nines(tick.recall));
  }
  for (const Tick& tick : kRecallTicks) {
    const double place = nines(tick.recall);
    if (tick.recall >= highest && place > low) high = std::min(high, place);
  }
  return {low, high, kLeft, kPlotRight};
}

Scale qps_scale(const std::vector<Curve>& curves) {
  double lowest = HUGE_VAL;
  double highest = 0;
  for (const Curve& curve : curves) {
    for (const CurvePoint& point : curve.points) {
      lowest = std::min(lowest, point.qps);
      highest = std::max(highest, point.qps);
    }
  }
  return {std::log10(lowest / 1.4), std::log10(highest * 1.4), kRecallHeight - kBottom, kTop};
}

std::string draw_recall_grid(const Scale& x, const Scale& y) {
  const double bottom = y.from;
  std::string out;
  std::vector<double> labelled;
  for (const Tick& tick : kRecallTicks) {
    const double place = nines(tick.recall);
    if (place < x.low - 1e-9 || place > x.high + 1e-9) continue;
    const double px = x(place);
    out += draw_line(px, kTop, px, bottom, "grid");
    const auto is_close = [&](double other) { return std::abs(other - px) < kMinTickGap; };
    if (std::any_of(labelled.begin(), labelled.end(), is_close)) continue;
    labelled.push_back(px);
    out += draw_text(px, bottom + 24, "middle", tick.text);
  }
  const bool is_wide = y.high - y.low > 3.5;
  for (int decade = static_cast<int>(std::floor(y.low)); decade <= y.high; ++decade) {
    for (const double step : {1.0, 2.0, 5.0}) {
      if (is_wide && step != 1.0) continue;
      const double value = step * std::pow(10, decade);
      if (std::log10(value) < y.low || std::log10(value) > y.high) continue;
      const double place = y(std::log10(value));
      out += draw_line(kLeft, place, kPlotRight, place, "grid");
      out += draw_text(kLeft - 8, place + 5, "end", format_number(value));
    }
  }
  return out;
}

std::string draw_curve(const Curve& curve, std::size_t place, const Scale& x, const Scale& y) {
  std::string path;
  std::string dots;
  for (const CurvePoint& point : curve.points) {
    const std::string px = coordinate(x(nines(point.recall)));
    const std::string py = coordinate(y(std::log10(point.qps)));
    path += (path.empty() ? "M" : "L") + px + " " + py;
    dots += "<circle cx=\"" + px + "\" cy=\"" + py + "\" r=\"" + (place == 0 ? "5" : "4") +
            "\" class=\"dot " + colour_class(place) + "\" data-tip=\"" + escape_html(point.tip) +
            "\" tabindex=\"0\"/>\n";
  }
  return "<path d=\"" + path + "\" class=\"curve " + (place == 0 ? "ours " : "") +
         colour_class(place) + "\"/>\n" + dots;
}

double histogram_tick_step(std::size_t num_buckets) {
  return std::max(1.0, std::ceil(static_cast<double>(num_buckets) / 6));
}

// Where a latency stands among bars of equal width.
double histogram_place(const std::vector<double>& edges, double us) {
  const auto above = std::upper_bound(edges.begin(), edges.end(), us);
  if (above == edges.begin()) return 0;
  if (above == edges.end()) return static_cast<double>(edges.size() - 1);
  const double low = *(above - 1);
  return static_cast<double>(above - edges.begin() - 1) + (us - low) / (*above - low);
}

std::string draw_histogram_bars(const std::vector<double>& edges, const std::vector<double>& counts,
                                const Scale& x, const Scale& y) {
  double total = 0;
  for (const double count : counts) total += count;
  std::string out;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] <= 0) continue;
    const double left = x(static_cast<double>(i)) + 1;
    const double width = std::max(1.0, x(static_cast<double>(i + 1)) - 1 - left);
    const double top = std::min(y(counts[i]), kPlotBottom - 1.5);
    const std::string tip = format_microseconds(edges[i]) + " to " +
                            format_microseconds(edges[i + 1]) + "\n" + format_count(counts[i]) +
                            " queries (" + format_number(100 * counts[i] / total) + " %)";
    out += "<rect x=\"" + coordinate(left) + "\" y=\"" + coordinate(top) + "\" width=\"" +
           coordinate(width) + "\" height=\"" + coordinate(kPlotBottom - top) +
           "\" rx=\"2\" class=\"bar c0\" data-tip=\"" + escape_html(tip) + "\" tabindex=\"0\"/>\n";
  }
  return out;
}

}  // namespace

std::string draw_recall_chart(const std::vector<Curve>& curves) {
  std::vector<Curve> drawable;
  for (const Curve& curve : curves) {
    Curve kept{curve.name, {}};
    for (CurvePoint point : curve.points) {
      point.recall = std::clamp(point.recall, 0.0, 1.0);
      if (point.qps > 0) kept.points.push_back(std::move(point));
    }
    std::sort(kept.points.begin(), kept.points.end(), [](const auto& a, const auto& b) {
      return a.recall != b.recall ? a.recall < b.recall : a.qps > b.qps;
    });
    if (!kept.points.empty()) drawable.push_back(std::move(kept));
  }
  if (drawable.empty()) return "";

  const Scale x = recall_scale(drawable);
  const Scale y = qps_scale(drawable);
  std::string out = open_svg("Queries per second against recall", kRecallHeight) +
                    draw_recall_grid(x, y) +
                    draw_axis_titles(kRecallHeight, "recall", "queries per second");
  std::vector<std::string> names;
  for (std::size_t i = drawable.size(); i-- > 0;) out += draw_curve(drawable[i], i, x, y);
  for (const Curve& curve : drawable) names.push_back(curve.name);
  return out + "</svg>\n" + draw_legend(names);
}

std::string draw_latency_histogram(const std::vector<double>& edges_us,
                                   const std::vector<double>& counts,
                                   const std::vector<LatencyMark>& marks) {
  if (counts.empty() || edges_us.size() != counts.size() + 1) return "";
  const double highest = *std::max_element(counts.begin(), counts.end());
  if (highest <= 0) return "";

  const auto num_buckets = static_cast<double>(counts.size());
  const Scale x{0, num_buckets, kLeft, kPlotRight};
  const Scale y{0, highest * 1.12, kPlotBottom, kTop};
  std::string out = open_svg("Latency histogram");
  const double step = std::pow(10, std::floor(std::log10(highest)));
  const double tick = highest / step < 2 ? step / 2 : highest / step < 5 ? step : step * 2;
  for (double value = 0; value <= highest * 1.12; value += tick) {
    out += draw_line(kLeft, y(value), kPlotRight, y(value), "grid");
    out += draw_text(kLeft - 8, y(value) + 5, "end", format_number(value));
  }
  const double tick_step = histogram_tick_step(counts.size());
  for (double edge = 0; edge <= num_buckets; edge += tick_step) {
    out += draw_text(x(edge), kPlotBottom + 24, "middle",
                     format_number(edges_us[static_cast<std::size_t>(edge)]));
  }
  out += draw_histogram_bars(edges_us, counts, x, y);
  std::string names;  // after the lines, which they may cross
  double text_y = kTop + 14;
  for (const LatencyMark& mark : marks) {
    const double place = x(histogram_place(edges_us, mark.us));
    const bool is_right = place > (kLeft + kPlotRight) / 2;
    out += draw_line(place, kTop, place, kPlotBottom, "mark");
    names += draw_text(place + (is_right ? -7 : 7), text_y, is_right ? "end" : "start",
                       mark.name + " " + format_microseconds(mark.us), "marktext");
    text_y += 24;
  }
  out += names;
  return out + draw_axis_titles(kHeight, "microseconds per query", "queries") + "</svg>\n";
}

std::string draw_tier_bars(const std::vector<TierBytes>& tiers) {
  double ram = 0;
  double disk = 0;
  for (const TierBytes& tier : tiers) {
    ram += tier.ram;
    disk += tier.disk;
  }
  if (ram <= 0 && disk <= 0) return "";

  constexpr double kBarLeft = 70;
  constexpr double kBarHeight = 46;
  const Scale x{0, std::max(ram, disk), 0, kWidth - kBarLeft - 130};
  const double height = ram > 0 && disk > 0 ? 160 : 92;
  std::string out = open_svg("Bytes in RAM and on disk by tier", height);
  double top = 14;
  for (const bool is_ram : {true, false}) {
    const double total = is_ram ? ram : disk;
    if (total <= 0) continue;
    out +=
        draw_text(kBarLeft - 12, top + kBarHeight / 2 + 5, "end", is_ram ? "RAM" : "disk", "axis");
    double left = kBarLeft;
    for (std::size_t i = 0; i < tiers.size(); ++i) {
      const double bytes = is_ram ? tiers[i].ram : tiers[i].disk;
      if (bytes <= 0) continue;
      const double width = x(bytes);
      out += "<rect x=\"" + coordinate(left) + "\" y=\"" + coordinate(top) + "\" width=\"" +
             coordinate(std::max(1.0, width - 2)) + "\" height=\"" + coordinate(kBarHeight) +
             "\" rx=\"3\" class=\"bar " + colour_class(i) + "\" data-tip=\"" +
             escape_html(tiers[i].name + "\n" + format_bytes(bytes) + " " +
                         (is_ram ? "in RAM" : "on disk")) +
             "\" tabindex=\"0\"/>\n";
      left += width;
    }
    out += draw_text(left + 8, top + kBarHeight / 2 + 5, "start", format_bytes(total), "value");
    top += kBarHeight + 22;
  }
  std::vector<std::string> names;
  for (const TierBytes& tier : tiers) {
    std::string name = tier.name + ": ";
    if (tier.ram > 0) name += format_bytes(tier.ram) + " RAM";
    if (tier.disk > 0) name += (tier.ram > 0 ? " + " : "") + format_bytes(tier.disk) + " disk";
    names.push_back(tier.ram > 0 || tier.disk > 0 ? name : name + "0 B");
  }
  return out + "</svg>\n" + draw_legend(names);
}

}  // namespace cairn::cli

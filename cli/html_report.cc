#include "cli/html_report.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "cli/html_charts.h"
#include "cli/html_style.h"
#include "cli/html_text.h"

namespace cairn::cli {
namespace {

using nlohmann::json;

constexpr double kHeadlineRecall = 0.95;
constexpr std::uint32_t kMaxImageSide = 4096;

// A pile of stones.
constexpr char kLogo[] = R"svg(<svg viewBox="0 0 52 52" aria-hidden="true" fill="var(--c0)">
<ellipse cx="26" cy="42" rx="23" ry="7.5"/>
<ellipse cx="27" cy="28" rx="16" ry="6.5" opacity="0.72"/>
<ellipse cx="25" cy="16" rx="10.5" ry="5.5" opacity="0.5"/>
<ellipse cx="27" cy="6.5" rx="6" ry="4" opacity="0.34"/></svg>)svg";

void append_part(std::string& text, const std::string& part, const char* separator = " &middot; ") {
  if (part.empty()) return;
  if (!text.empty()) text += separator;
  text += part;
}

std::string open_card(const char* title, const std::string& note, const char* css_class = "card") {
  std::string out = std::string("<section class=\"") + css_class + "\"><h2>" + title + "</h2>\n";
  if (!note.empty()) out += "<p class=\"soft small\">" + note + "</p>\n";
  return out;
}

std::string render_header(const json& report) {
  const json& data = find_object(report, "data");
  std::string name = find_text(data, "name");
  if (name.empty()) name = "Benchmark";
  std::string shape;
  const std::optional<double> n = find_number(data, "n");
  const std::optional<double> dim = find_number(data, "dim");
  if (n) append_part(shape, format_count(*n) + " vectors");
  if (dim) append_part(shape, format_count(*dim) + " dimensions");
  append_part(shape, escape_html(find_text(data, "metric")));
  if (const auto queries = find_number(data, "queries")) {
    append_part(shape, format_count(*queries) + " queries");
  }
  const json& machine = find_object(report, "machine");
  std::string machine_line;
  for (const char* key : {"cpu", "isa", "compiler"}) {
    append_part(machine_line, escape_html(find_text(machine, key)));
  }
  if (const auto threads = find_number(machine, "threads")) {
    append_part(machine_line, format_count(*threads) + (*threads == 1 ? " thread" : " threads"));
  }
  if (const std::string commit = find_text(machine, "commit"); !commit.empty()) {
    append_part(machine_line, "commit " + escape_html(commit));
  }
  return std::string("<header>") + kLogo + "<div><h1>" + escape_html(name) + "</h1>\n<p>" + shape +
         "</p>\n<p class=\"soft small\">" + machine_line + "</p></div></header>\n";
}

// Our measured points, those of one storage and thread count under one name.
std::vector<Curve> our_curves(const json& report) {
  std::map<std::pair<std::string, double>, Curve> groups;
  for (const json& point : find_array(report, "points")) {
    const auto recall = find_number(point, "recall");
    const auto qps = find_number(point, "qps");
    if (!recall || !qps) continue;
    const std::string storage = find_text(point, "storage");
    const double threads = find_number(point, "threads").value_or(1);
    Curve& curve = groups[{storage, threads}];
    if (curve.points.empty()) {
      curve.name = "Cairn";
      if (!storage.empty()) curve.name += ", " + storage;
      if (threads != 1) curve.name += ", " + format_count(threads) + " threads";
    }
    std::string tip = curve.name + "\nrecall " + format_fixed(*recall, 4) + "\n" +
                      format_number(*qps) + " queries/s";
    if (const auto p50 = find_number(point, "p50_us")) {
      tip += "\np50 " + format_microseconds(*p50);
      if (const auto p99 = find_number(point, "p99_us"))
        tip += ", p99 " + format_microseconds(*p99);
    }
    if (const auto probes = find_number(point, "probes"); probes && *probes > 0) {
      tip += "\n" + format_count(*probes) + " leaves";
    }
    curve.points.push_back({*recall, *qps, std::move(tip)});
  }
  std::vector<Curve> curves;
  for (auto& [key, curve] : groups) curves.push_back(std::move(curve));
  if (curves.size() == 1) curves.front().name = "Cairn";
  return curves;
}

std::vector<Curve> peer_curves(const json& report) {
  std::vector<Curve> curves;
  for (const json& peer : find_array(report, "peers")) {
    Curve curve{find_text(peer, "name"), {}};
    for (const json& point : find_array(peer, "points")) {
      const auto recall = find_number(point, "recall");
      const auto qps = find_number(point, "qps");
      if (!recall || !qps) continue;
      curve.points.push_back({*recall, *qps,
                              curve.name + " " + find_text(point, "label") + "\nrecall " +
                                  format_fixed(*recall, 4) + "\n" + format_number(*qps) +
                                  " queries/s"});
    }
    if (!curve.points.empty()) curves.push_back(std::move(curve));
  }
  return curves;
}

// The most queries per second that a curve reaches at `recall` or better, between measured points
// along straight lines of the logarithm. Empty if it never gets there.
std::optional<double> qps_at_recall(const Curve& curve, double recall) {
  std::optional<double> best;
  const auto offer = [&](double qps) { best = std::max(best.value_or(0), qps); };
  std::vector<CurvePoint> points = curve.points;
  std::sort(points.begin(), points.end(),
            [](const auto& a, const auto& b) { return a.recall < b.recall; });
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (points[i].recall >= recall) offer(points[i].qps);
    if (i == 0 || points[i - 1].recall >= recall || points[i].recall < recall) continue;
    if (points[i - 1].qps <= 0 || points[i].qps <= 0) continue;
    const double share =
        (recall - points[i - 1].recall) / (points[i].recall - points[i - 1].recall);
    offer(std::exp(std::log(points[i - 1].qps) * (1 - share) + std::log(points[i].qps) * share));
  }
  return best;
}

// The fastest single-thread point of at least the headline recall, or else the one of best recall.
const json* headline_point(const json& report) {
  const json* best = nullptr;
  const auto rank = [](const json& point) {
    const double recall = *find_number(point, "recall");
    const double threads = find_number(point, "threads").value_or(1);
    const bool is_good = recall >= kHeadlineRecall;
    return std::tuple(threads == 1, is_good, is_good ? *find_number(point, "qps") : recall);
  };
  for (const json& point : find_array(report, "points")) {
    if (!find_number(point, "recall") || !find_number(point, "qps")) continue;
    if (best == nullptr || rank(point) > rank(*best)) best = &point;
  }
  return best;
}

std::string render_tile(const std::string& value, const std::string& label) {
  return "<div class=\"tile\"><b>" + value + "</b><p>" + label + "</p></div>\n";
}

std::string render_tiles(const json& report, const std::vector<Curve>& peers) {
  std::string out;
  if (const json* point = headline_point(report)) {
    const double recall = *find_number(*point, "recall");
    const double qps = *find_number(*point, "qps");
    out += render_tile(format_number(qps), "queries/s at recall " + format_fixed(recall, 3));
    for (const Curve& peer : peers) {
      const std::optional<double> peer_qps = qps_at_recall(peer, recall);
      if (!peer_qps || *peer_qps <= 0) continue;
      out += render_tile(format_fixed(qps / *peer_qps, 1) + " x",
                         "the queries/s of " + escape_html(peer.name) + " at that recall");
      break;
    }
    if (const auto p50 = find_number(*point, "p50_us")) {
      std::string label = "median latency (p50)";
      if (const auto p99 = find_number(*point, "p99_us")) {
        label += ", p99 " + format_microseconds(*p99);
      }
      out += render_tile(format_microseconds(*p50), label);
    }
  }
  const json& build = find_object(report, "build");
  if (const auto bytes = find_number(build, "index_bytes_ram")) {
    std::string label = "index in RAM";
    const auto n = find_number(find_object(report, "data"), "n");
    const auto dim = find_number(find_object(report, "data"), "dim");
    if (n && dim) label += "; the raw vectors are " + format_bytes(*n * *dim * 4);
    out += render_tile(format_bytes(*bytes), label);
  }
  if (const auto seconds = find_number(build, "seconds")) {
    std::string label = "to build";
    if (const auto threads = find_number(build, "threads"); threads && *threads > 0) {
      label += " on " + format_count(*threads) + (*threads == 1 ? " thread" : " threads");
    }
    if (const auto peak = find_number(build, "peak_rss_bytes"); peak && *peak > 0) {
      label += ", " + format_bytes(*peak) + " at peak";
    }
    out += render_tile(format_number(*seconds) + " s", label);
  }
  return out.empty() ? "" : "<div class=\"tiles\">" + out + "</div>\n";
}

std::string render_histogram(const json& report) {
  const json& histogram = find_object(report, "latency_histogram");
  const auto target = find_number(histogram, "target_recall");
  std::vector<LatencyMark> marks;
  for (const json& point : find_array(report, "points")) {
    if (!target || find_number(point, "target_recall") != target || !marks.empty()) continue;
    if (const auto p50 = find_number(point, "p50_us")) marks.push_back({"p50", *p50});
    if (const auto p99 = find_number(point, "p99_us")) marks.push_back({"p99", *p99});
  }
  const std::string chart = draw_latency_histogram(find_numbers(histogram, "bucket_us"),
                                                   find_numbers(histogram, "count"), marks);
  if (chart.empty()) return "";
  const std::string note =
      target ? "Number of queries, at the asked recall of " + format_number(*target) : "";
  return open_card("Latency", note, "card side") + chart + "</section>\n";
}

std::string render_tiers(const json& report) {
  std::vector<TierBytes> tiers;
  for (const json& tier : find_array(report, "tiers")) {
    tiers.push_back({find_text(tier, "name"),
                     std::max(0.0, find_number(tier, "ram_bytes").value_or(0)),
                     std::max(0.0, find_number(tier, "disk_bytes").value_or(0))});
  }
  const std::string chart = draw_tier_bars(tiers);
  return chart.empty()
             ? ""
             : open_card("RAM and disk by tier", "", "card side") + chart + "</section>\n";
}

struct Column {
  const char* key;
  const char* title;
  int decimals;  // -1: significant digits
};
constexpr Column kColumns[] = {
    {"target_recall", "asked", 3},     {"recall", "recall", 4},
    {"qps", "queries/s", 0},           {"mean_us", "mean us", 1},
    {"p50_us", "p50 us", 1},           {"p95_us", "p95 us", 1},
    {"p99_us", "p99 us", 1},           {"probes", "probes", 0},
    {"leaves_scanned", "leaves", 1},   {"scanned_vectors", "codes", 1},
    {"refined_vectors", "refined", 1}, {"exact_reads", "exact reads", 1},
    {"hot_share", "hot", 4},           {"warm_share", "warm", 4},
    {"cold_share", "cold", 4},         {"rerank_factor", "rerank factor", -1},
    {"threads", "threads", 0},         {"storage", "storage", -1}};

std::string render_cell(const json& point, const Column& column) {
  const auto number = find_number(point, column.key);
  if (!number) return escape_html(find_text(point, column.key));
  if (column.decimals < 0) return format_number(*number);
  return column.decimals == 0 ? format_count(*number) : format_fixed(*number, column.decimals);
}

std::string render_table(const json& report) {
  const json& points = find_array(report, "points");
  std::vector<Column> columns;
  for (const Column& column : kColumns) {
    const auto says_something = [&](const json& point) {
      const auto number = find_number(point, column.key);
      return number ? *number != 0 : !find_text(point, column.key).empty();
    };
    if (std::any_of(points.begin(), points.end(), says_something)) columns.push_back(column);
  }
  if (columns.empty()) return "";
  std::string out = open_card("All points", "", "card wide") + "<div class=\"scroll\"><table><tr>";
  for (const Column& column : columns) out += std::string("<th>") + column.title + "</th>";
  out += "</tr>\n";
  for (const json& point : points) {
    out += "<tr>";
    for (const Column& column : columns) out += "<td>" + render_cell(point, column) + "</td>";
    out += "</tr>\n";
  }
  return out + "</table></div></section>\n";
}

std::string render_image(const json& pixels, std::uint32_t width, std::uint32_t height) {
  const std::size_t size = std::size_t{width} * height;
  if (!pixels.is_array() || size == 0 || pixels.size() != size) return "";
  std::vector<std::uint8_t> bytes;
  bytes.reserve(size);
  for (const json& pixel : pixels) {
    const double value = pixel.is_number() ? pixel.get<double>() : 0;
    bytes.push_back(static_cast<std::uint8_t>(value > 0 ? std::min(value, 255.0) : 0));
  }
  return "<img alt=\"\" src=\"" + png_data_address(bytes, width, height) + "\">";
}

std::string distance_text(const json& result) {
  const auto distance = find_number(result, "distance");
  return distance ? format_number(*distance) : "";
}

std::string render_image_row(const json& item, std::uint32_t width, std::uint32_t height) {
  const std::string label = find_text(item, "label");
  std::string out = "<div class=\"row\"><figure class=\"query\">" +
                    render_image(find_array(item, "query"), width, height) + "<figcaption>" +
                    escape_html(label) + "</figcaption></figure>\n<div class=\"hits\">";
  for (const json& result : find_array(item, "results")) {
    const std::string hit_label = find_text(result, "label");
    std::string tip = "id " + find_text(result, "id");
    if (!hit_label.empty()) tip += "\n" + hit_label;
    if (const std::string distance = distance_text(result); !distance.empty()) {
      tip += "\ndistance " + distance;
    }
    const char* css_class = label.empty() || hit_label.empty() ? ""
                            : label == hit_label               ? "same"
                                                               : "other";
    out += std::string("<figure class=\"") + css_class + "\" data-tip=\"" + escape_html(tip) +
           "\">" + render_image(find_array(result, "pixels"), width, height) + "<figcaption>" +
           escape_html(hit_label) + "</figcaption><figcaption class=\"soft\">" +
           distance_text(result) + "</figcaption></figure>";
  }
  return out + "</div></div>\n";
}

std::string render_word_row(const json& item) {
  std::string out = "<div class=\"row\"><div class=\"query word\">" +
                    escape_html(find_text(item, "query")) + "</div><div class=\"chips\">";
  for (const json& result : find_array(item, "results")) {
    out += "<span class=\"chip\">" + escape_html(find_text(result, "label")) + "<small>" +
           distance_text(result) + "</small></span>";
  }
  return out + "</div></div>\n";
}

std::string render_gallery(const json& report) {
  const json& gallery = find_object(report, "gallery");
  const json& items = find_array(gallery, "items");
  if (items.empty()) return "";
  if (find_text(gallery, "kind") == "words") {
    std::string out = open_card("Nearest words",
                                "Each query and what was found, nearest first, "
                                "with its distance");
    for (const json& item : items) out += render_word_row(item);
    return out + "</section>\n";
  }
  const auto side = [&](const char* key) {
    const double value = find_number(gallery, key).value_or(0);
    return static_cast<std::uint32_t>(std::clamp(value, 0.0, double{kMaxImageSide}));
  };
  std::string out = open_card("Nearest pictures",
                              "Each query and what was found, nearest first, with its distance; "
                              "a green frame has the query's label, a red one another");
  for (const json& item : items) out += render_image_row(item, side("width"), side("height"));
  return out + "</section>\n";
}

std::string render_recall(const std::vector<Curve>& curves) {
  const std::string chart = draw_recall_chart(curves);
  if (chart.empty()) return "";
  return open_card("Recall against speed",
                   "Queries per second on one scale; up and to the right is better.", "card main") +
         chart + "</section>\n";
}

std::string render_footer(const json& report) {
  std::string text;
  for (const auto& [key, value] : find_object(report, "index").items()) {
    const std::string shown = find_text(find_object(report, "index"), key.c_str());
    if (!shown.empty()) append_part(text, escape_html(key) + " " + escape_html(shown));
  }
  return "<footer>" + (text.empty() ? "" : "<p>Index: " + text + "</p>\n") +
         "<p>Made by <b>cairn bench</b>: one query at a time unless the table says otherwise.</p>"
         "</footer>\n";
}

}  // namespace

std::string render_html_report(const json& report) {
  const std::vector<Curve> peers = peer_curves(report);
  std::vector<Curve> curves = our_curves(report);
  curves.insert(curves.end(), peers.begin(), peers.end());
  std::string title = find_text(find_object(report, "data"), "name");
  title = title.empty() ? "Cairn" : title + " - Cairn";

  return "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>" +
         escape_html(title) + "</title>\n<style>" + kReportStyle +
         "</style></head>\n<body><main>\n" + render_header(report) + render_tiles(report, peers) +
         "<div class=\"charts\">\n" + render_recall(curves) + render_histogram(report) +
         render_tiers(report) + render_table(report) + "</div>\n" + render_gallery(report) +
         render_footer(report) + "</main><div id=\"tip\" role=\"tooltip\"></div>\n<script>" +
         kReportScript + "</script></body></html>\n";
}

}  // namespace cairn::cli

#include "cli/bench_report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <tuple>

#include "cli/tier_report.h"

namespace cairn::cli {
namespace {

using nlohmann::json;

constexpr double kHeadlineRecall = 0.95;
constexpr double kMostBuckets = 40;
constexpr double kMostMedians = 5;

// How well a point answers "what at recall 0.95?": larger is better.
auto headline_rank(const BenchPoint& point) {
  const double target_gap =
      point.target_recall ? std::abs(*point.target_recall - kHeadlineRecall) : 1.0;
  const bool is_good = point.recall >= kHeadlineRecall;
  return std::tuple(-target_gap, is_good, is_good ? point.qps : point.recall);
}

// The least of 1, 2 or 5 times a power of ten that is at least `least`.
double round_step_up(double least) {
  const double power = std::pow(10.0, std::floor(std::log10(least)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= least) return factor * power;
  }
  return 10 * power;
}

}  // namespace

json points_to_json(const std::vector<BenchPoint>& points, const BenchPlan& plan,
                    StorageKind storage) {
  json array = json::array();
  for (const BenchPoint& point : points) {
    array.push_back(
        {{"target_recall", point.target_recall ? json(*point.target_recall) : json(nullptr)},
         {"probes", point.probes},
         {"rerank_factor", plan.options.rerank_factor},
         {"k", plan.options.k},
         {"recall", point.recall},
         {"qps", point.qps},
         {"mean_us", point.mean_us},
         {"p50_us", point.p50_us},
         {"p95_us", point.p95_us},
         {"p99_us", point.p99_us},
         {"scanned_vectors", point.scanned_vectors},
         {"refined_vectors", point.refined_vectors},
         {"exact_reads", point.exact_reads},
         {"leaves_scanned", point.leaves_scanned},
         {"threads", plan.clients},
         {"storage", to_string(storage)}});
    if (!point.tiers) continue;
    const TierShares shares = tier_shares(*point.tiers);
    array.back()["hot_share"] = shares.hot;
    array.back()["warm_share"] = shares.warm;
    array.back()["cold_share"] = shares.cold;
    array.back()["storage_tiers"] = to_json(*point.tiers);
  }
  return array;
}

// Buckets of equal, round width from the fastest query up to the 99.5th percentile, or five times
// the median where the machine was disturbed, and one for the slow rest, which would otherwise
// squeeze all others into a corner.
json latency_histogram(const std::vector<BenchPoint>& points) {
  if (points.empty()) return nullptr;
  const BenchPoint& point = *std::max_element(
      points.begin(), points.end(),
      [](const auto& a, const auto& b) { return headline_rank(a) < headline_rank(b); });
  const std::vector<double>& sorted = point.latencies_us;
  const double high =
      std::min(sorted[(sorted.size() - 1) * 995 / 1000], kMostMedians * point.p50_us);
  const double width = round_step_up(std::max((high - sorted.front()) / kMostBuckets, 1e-3));
  std::vector<double> edges{std::floor(sorted.front() / width) * width};
  const double first = edges.front();
  while (edges.back() <= high) edges.push_back(first + width * static_cast<double>(edges.size()));
  if (sorted.back() >= edges.back()) edges.push_back(sorted.back() + width);
  std::vector<std::size_t> counts(edges.size() - 1);
  for (const double latency : sorted) {
    const auto above = std::upper_bound(edges.begin(), edges.end(), latency);
    const auto bucket = std::clamp<std::ptrdiff_t>(above - edges.begin() - 1, 0,
                                                   static_cast<std::ptrdiff_t>(counts.size()) - 1);
    ++counts[static_cast<std::size_t>(bucket)];
  }
  return {{"target_recall", point.target_recall ? json(*point.target_recall) : json(nullptr)},
          {"probes", point.probes},
          {"bucket_us", edges},
          {"count", counts}};
}

std::string points_to_table(const std::vector<BenchPoint>& points, std::size_t k) {
  char line[256];
  std::snprintf(line, sizeof line, "%7s %7s %9s %9s %9s %9s %9s %9s %9s %9s %9s\n", "target",
                "probes", ("recall@" + std::to_string(k)).c_str(), "QPS", "mean us", "p50 us",
                "p95 us", "p99 us", "scanned", "refined", "exact");
  std::string table = line;
  for (const BenchPoint& point : points) {
    char target[16] = "-";
    if (point.target_recall) std::snprintf(target, sizeof target, "%.4g", *point.target_recall);
    std::snprintf(line, sizeof line,
                  "%7s %7zu %9.4f %9.0f %9.1f %9.1f %9.1f %9.1f %9.0f %9.1f %9.1f\n", target,
                  point.probes, point.recall, point.qps, point.mean_us, point.p50_us, point.p95_us,
                  point.p99_us, point.scanned_vectors, point.refined_vectors, point.exact_reads);
    table += line;
  }
  return table;
}

}  // namespace cairn::cli

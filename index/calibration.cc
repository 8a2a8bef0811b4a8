#include "index/calibration.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "index/query_samples.h"

namespace cairn::index {
namespace {

// One row in so many is sampled, within limits.
constexpr std::size_t kRowsPerSample = 1024;
constexpr std::size_t kLeastSamples = 768;
constexpr std::size_t kMostSamples = 2048;
constexpr std::size_t kMostQueries = 4096;
static_assert(kDepths.size() * kRecalls.size() == kCalibrationEntries);
// The rule's weight is chosen among these, for the fewest leaves at this recall.
constexpr std::array<float, 10> kWeights = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6, 8, 12};
constexpr float kWeighedRecall = 0.95f;
// Share of the queries that are unusual on either side, in each respect.
constexpr double kUnusualShare = 0.0025;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// The least number of leaves whose cumulated share reaches each recall.
void append_probes(const IndexData& data, const QuerySamples& samples, std::size_t depth,
                   std::vector<CalibrationEntry>& entries) {
  std::vector<double> share(data.num_leaves(), 0.0);  // of true neighbours whose leaf has this rank
  double total = 0;
  for (const QuerySample& sample : samples.queries) {
    const std::size_t count = std::min<std::size_t>(kDepths[depth], sample.ranks.size());
    for (std::size_t i = 0; i < count; ++i) share[sample.ranks[i]] += 1.0;
    total += static_cast<double>(count);
  }
  if (total == 0) return;
  std::size_t leaf = 0;
  double sum = share[0];
  for (const float recall : kRecalls) {
    const double wanted = samples.wanted_share(depth, recall) * total;
    while (sum < wanted - 1e-9 && leaf + 1 < share.size()) sum += share[++leaf];
    // Between two leaves the share grows evenly.
    const double over = share[leaf] > 0 ? std::clamp((sum - wanted) / share[leaf], 0.0, 1.0) : 0.0;
    entries.push_back(
        {kDepths[depth], recall, static_cast<float>(static_cast<double>(leaf + 1) - over), 0});
  }
}

// Stop rules of one depth.
class RuleFinder {
 public:
  RuleFinder(const IndexData& data, const QuerySamples& samples, std::size_t depth)
      : data_(data), samples_(samples), depth_(depth), logs_(data.num_leaves()) {
    for (std::size_t i = 0; i < logs_.size(); ++i) logs_[i] = std::log(static_cast<float>(i));
  }

  // The least limit at which a share `recall` of the true neighbours is in leaves that pass.
  float find_limit(float weight, std::size_t recall) {
    const StopRule rule{.weight = weight};
    const std::size_t stride = (kDepths[depth_] + kMostNeighbours - 1) / kMostNeighbours;
    scores_.clear();
    for (const QuerySample& sample : samples_.queries) {
      const float radius = sample.radius_at(depth_, kRecalls[recall]);
      const std::size_t count = std::min<std::size_t>(kDepths[depth_], sample.ranks.size());
      for (std::size_t i = 0; i < count; i += stride) {
        scores_.push_back(score(rule, sample, radius, sample.ranks[i]));
      }
    }
    if (scores_.empty()) return kInfinity;
    const double wanted = samples_.wanted_share(depth_, kRecalls[recall]);
    const auto place = static_cast<std::size_t>(
        std::clamp(std::ceil(wanted * static_cast<double>(scores_.size())) - 1, 0.0,
                   static_cast<double>(scores_.size() - 1)));
    std::nth_element(scores_.begin(), scores_.begin() + static_cast<std::ptrdiff_t>(place),
                     scores_.end());
    return std::max(scores_[place], kFirstLeafOnly);
  }

  // Leaves that pass, on average.
  double mean_leaves(float weight, float limit, std::size_t recall) const {
    const StopRule rule{.weight = weight};
    double total = 0;
    for (const QuerySample& sample : samples_.queries) {
      const float radius = sample.radius_at(depth_, kRecalls[recall]);
      std::size_t low = 1;
      std::size_t high = sample.leaves.size();
      while (low < high) {
        const std::size_t middle = (low + high) / 2;
        if (score(rule, sample, radius, middle) <= limit) {
          low = middle + 1;
        } else {
          high = middle;
        }
      }
      total += static_cast<double>(low);
    }
    return total / static_cast<double>(samples_.queries.size());
  }

 private:
  // Of a query that are looked at: those next to each other tell the same.
  static constexpr std::size_t kMostNeighbours = 25;
  // Below the score of any second leaf.
  static constexpr float kFirstLeafOnly = -1;

  // StopRule::score, with logarithms taken beforehand.
  float score(const StopRule& rule, const QuerySample& sample, float radius,
              std::size_t leaf) const {
    if (leaf == 0) return kFirstLeafOnly;
    return logs_[leaf] + rule.gap_score(sample.leaves[leaf] - sample.leaves[0], radius);
  }

  const IndexData& data_;
  const QuerySamples& samples_;
  std::size_t depth_;
  std::vector<float> logs_;  // of places of leaves
  std::vector<float> scores_;
};

void append_rules(const IndexData& data, const QuerySamples& samples, std::size_t depth,
                  std::vector<StopEntry>& entries) {
  RuleFinder finder(data, samples, depth);
  const auto weighed = static_cast<std::size_t>(
      std::find(kRecalls.begin(), kRecalls.end(), kWeighedRecall) - kRecalls.begin());
  float best_weight = 0;
  double fewest = std::numeric_limits<double>::infinity();
  for (const float weight : kWeights) {
    const double leaves = finder.mean_leaves(weight, finder.find_limit(weight, weighed), weighed);
    if (leaves >= fewest) continue;
    fewest = leaves;
    best_weight = weight;
  }
  float least = -kInfinity;
  for (std::size_t recall = 0; recall < kRecalls.size(); ++recall) {
    // Radii of wider bounds could let it fall by a hair.
    const float limit = least = std::max(least, finder.find_limit(best_weight, recall));
    const double leaves = finder.mean_leaves(best_weight, limit, recall);
    entries.push_back({.k = kDepths[depth],
                       .recall = kRecalls[recall],
                       .weight = best_weight,
                       .limit = limit,
                       .mean_leaves = static_cast<float>(leaves)});
  }
}

QueryProfile profile_of(std::span<const QuerySample> samples, bool from_rows) {
  std::vector<float> nearest;
  std::vector<float> norms;
  for (const QuerySample& sample : samples) {
    if (!sample.leaves.empty()) nearest.push_back(sample.leaves[0]);
    norms.push_back(sample.squared_norm);
  }
  const auto range = [](std::vector<float>& values, float& least, float& greatest) {
    std::sort(values.begin(), values.end());
    const auto skipped =
        static_cast<std::size_t>(kUnusualShare * static_cast<double>(values.size()));
    least = values[skipped];
    greatest = values[values.size() - 1 - skipped];
  };
  QueryProfile profile;
  range(nearest, profile.least_centroid_distance, profile.greatest_centroid_distance);
  range(norms, profile.least_norm, profile.greatest_norm);
  profile.queries = static_cast<std::uint32_t>(samples.size());
  profile.from_rows = from_rows ? 1 : 0;
  return profile;
}

Calibration calibrate_with(const IndexData& data, const QuerySamples& samples, bool from_rows) {
  Calibration calibration;
  for (std::size_t depth = 0; depth < kDepths.size(); ++depth) {
    append_probes(data, samples, depth, calibration.probes);
  }
  if (calibration.probes.size() != kCalibrationEntries) return {};
  for (std::size_t depth = 0; depth < kDepths.size(); ++depth) {
    append_rules(data, samples, depth, calibration.stops);
  }
  calibration.profile.push_back(profile_of(samples.queries, from_rows));
  if (samples.navigation_width > 1) {
    calibration.profile[0].navigation_width = samples.navigation_width;
  }
  return calibration;
}

float x_of(float recall) { return -std::log(1.0f - std::min(recall, 0.9999f)); }

// Where a recall lies on a curve: between two entries, linear in log(1 - recall), which most values
// are close to.
template <typename Entry>
struct CurvePoint {
  const Entry* low;
  const Entry* high;
  float t = 0;

  CurvePoint(std::span<const Entry> curve, float recall) : low(&curve.front()), high(low) {
    if (recall <= low->recall) return;
    low = high = &curve.back();
    for (std::size_t i = 1; i < curve.size(); ++i) {
      if (recall > curve[i].recall) continue;
      low = &curve[i - 1];
      high = &curve[i];
      const float width =
          x_of(high->recall) - x_of(low->recall);  // 0 beyond what x_of() tells apart
      if (width > 0) t = (x_of(recall) - x_of(low->recall)) / width;
      return;
    }
  }

  template <typename Value>
  float at(const Value& value) const {
    const float first = value(*low);
    return t == 0 ? first : first + t * (value(*high) - first);
  }
};

// The curves whose depths enclose k, the same twice if k is one of them or beyond all, and how far
// k is from the first to the second.
template <typename Entry>
struct Enclosing {
  std::span<const Entry> below;
  std::span<const Entry> above;
  float t = 0;
  float beyond = 1;  // what a depth beyond all curves multiplies leaves by: its square root

  Enclosing(std::span<const Entry> entries, std::size_t k) {
    for (std::size_t begin = 0; begin < entries.size();) {
      std::size_t end = begin;
      while (end < entries.size() && entries[end].k == entries[begin].k) ++end;
      const std::span<const Entry> curve = entries.subspan(begin, end - begin);
      if (curve.front().k <= k || below.empty()) below = curve;
      if (above.empty() && curve.front().k >= k) above = curve;
      begin = end;
    }
    if (above.empty()) above = below;
    const auto ratio = [&](std::size_t depth) {
      return static_cast<float>(depth) / static_cast<float>(below.front().k);
    };
    if (above.front().k > below.front().k) {
      t = std::log(ratio(k)) / std::log(ratio(above.front().k));
    } else if (k > below.front().k) {
      beyond = std::sqrt(ratio(k));
    }
  }
};

// Both curves at a recall.
template <typename Entry>
struct EnclosingPoints {
  CurvePoint<Entry> below;
  CurvePoint<Entry> above;
  float t;

  EnclosingPoints(const Enclosing<Entry>& curves, float recall)
      : below(curves.below, recall),
        above(curves.t == 0 ? below : CurvePoint<Entry>(curves.above, recall)),
        t(curves.t) {}

  template <typename Value>
  float at(const Value& value) const {
    const float low = below.at(value);
    return t == 0 ? low : low + t * (above.at(value) - low);
  }
};

}  // namespace

Calibration calibrate(const IndexData& data, const VectorStore& store, unsigned threads) {
  if (data.rows() < 2) return {};
  const std::size_t count =
      std::min(std::clamp(data.rows() / kRowsPerSample, kLeastSamples, kMostSamples), data.rows());
  const auto read_query = [&](std::size_t i, float* out) {
    const auto row = static_cast<std::uint32_t>(i * data.rows() / count);
    store.read({&row, 1}, out);
    return row;
  };
  return calibrate_with(data, take_samples(data, store, count, threads, read_query), true);
}

Calibration calibrate(const IndexData& data, const VectorStore& store, MatrixView queries,
                      unsigned threads) {
  if (data.rows() < 2 || queries.rows == 0) return {};
  const std::size_t count = std::min(kMostQueries, queries.rows);
  const auto read_query = [&](std::size_t i, float* out) {
    std::copy_n(queries.row(i * queries.rows / count), data.dim(), out);
    return kNoRow;
  };
  return calibrate_with(data, take_samples(data, store, count, threads, read_query), false);
}

// A wider bound reads more refine codes, a narrower one loses neighbours that more leaves must make
// up for: measured to cost about the same at these (docs/performance.md).
float deviations_for(float target_recall) {
  const float missing = std::max(1.0f - target_recall, 1e-4f);
  return std::clamp(1.9f + 0.2f * std::log2(0.01f / missing), 1.2f, 3.0f);
}

std::size_t probes_for(const IndexData& data, float target_recall, std::size_t k) {
  const std::size_t leaves = data.num_leaves();
  if (data.calibration.empty() || target_recall >= 1.0f) return leaves;
  const Enclosing<CalibrationEntry> curves(data.calibration, k);
  const EnclosingPoints<CalibrationEntry> points(curves, target_recall);
  const auto log_probes = [](const CalibrationEntry& entry) {
    return std::log(std::max(entry.probes, 0.01f));
  };
  const float below = std::exp(points.below.at(log_probes));
  const float above = points.t == 0 ? below : std::exp(points.above.at(log_probes));
  const float probes = (below + points.t * (above - below)) * curves.beyond;
  const double rounded = std::clamp(std::ceil(static_cast<double>(probes)), 1.0,
                                    static_cast<double>(std::max<std::size_t>(leaves, 1)));
  return static_cast<std::size_t>(rounded);
}

CalibratedStop stop_for(const IndexData& data, float target_recall, std::size_t k) {
  const std::size_t leaves = data.num_leaves();
  CalibratedStop stop;
  if (target_recall >= 1.0f || data.stops.empty()) {
    stop.first_leaves = probes_for(data, target_recall, k);
    stop.mean_leaves = static_cast<float>(stop.first_leaves);
    return stop;
  }
  const Enclosing<StopEntry> curves(data.stops, k);
  const EnclosingPoints<StopEntry> points(curves, target_recall);
  stop.rule.weight = points.at([](const StopEntry& e) { return e.weight; });
  stop.rule.limit = points.at([](const StopEntry& e) { return e.limit; });
  if (curves.beyond != 1) stop.rule.limit += std::log(curves.beyond);
  stop.mean_leaves = points.at([](const StopEntry& e) { return e.mean_leaves; }) * curves.beyond;
  stop.first_leaves = std::min(first_leaves_for(std::min(static_cast<double>(stop.mean_leaves),
                                                         static_cast<double>(leaves))),
                               leaves);
  return stop;
}

float estimated_recall(const IndexData& data, const QueryState& query) {
  if (query.request.has_open_budget() || query.done == 0) return 0;
  if (query.done == data.num_leaves()) return query.deviations.is_certain ? 1 : kRecalls.back();
  if (data.stops.empty()) return 0;
  const Enclosing<StopEntry> curves(data.stops, query.request.k);
  const StopRule rule{
      .weight = EnclosingPoints<StopEntry>(curves, kWeighedRecall).at([](const StopEntry& e) {
        return e.weight;
      })};
  const float score = query.end_score(rule) - std::log(curves.beyond);
  const auto limit_at = [&](float recall) {
    return EnclosingPoints<StopEntry>(curves, recall).at([](const StopEntry& e) {
      return e.limit;
    });
  };
  if (score <= limit_at(kRecalls.front())) return kRecalls.front();
  for (std::size_t i = 1; i < kRecalls.size(); ++i) {
    const float low = limit_at(kRecalls[i - 1]);
    const float high = limit_at(kRecalls[i]);
    if (score > high) continue;
    const float t = high > low ? (score - low) / (high - low) : 1.0f;
    const float x = x_of(kRecalls[i - 1]) + t * (x_of(kRecalls[i]) - x_of(kRecalls[i - 1]));
    return 1.0f - std::exp(-x);
  }
  return kRecalls.back();
}

bool is_unusual(const IndexData& data, const QueryState& query) {
  if (data.profile.empty() || query.leaves.empty()) return false;
  const QueryProfile& profile = data.profile[0];
  const float nearest = query.leaves[0].squared_distance;
  const float norm = query.code.squared_norm;
  return nearest < profile.least_centroid_distance ||
         nearest > profile.greatest_centroid_distance || norm < profile.least_norm ||
         norm > profile.greatest_norm;
}

}  // namespace cairn::index

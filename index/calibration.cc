#include "index/calibration.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "base/parallel.h"
#include "index/searcher.h"

namespace cairn::index {
namespace {

// One row in so many is sampled, within limits.
constexpr std::size_t kRowsPerSample = 1024;
constexpr std::size_t kLeastSamples = 768;
constexpr std::size_t kMostSamples = 2048;
constexpr std::size_t kMostQueries = 4096;
// Every so-manieth query, a pilot, is searched in all leaves. The others look as far as all but
// this share of the pilots' neighbours were.
constexpr std::size_t kPilotStride = 12;
constexpr double kUnseenShare = 0.002;
constexpr std::size_t kLeastLeaves = 32;
constexpr std::array<std::uint32_t, 3> kDepths = {1, 10, 100};
constexpr std::array<float, 11> kRecalls = {0.5f,  0.7f,  0.8f,  0.85f, 0.9f,  0.93f,
                                            0.95f, 0.97f, 0.98f, 0.99f, 0.999f};
static_assert(kDepths.size() * kRecalls.size() == kCalibrationEntries);
// The rule's weight is chosen among these, for the fewest leaves at this recall.
constexpr std::array<float, 10> kWeights = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6, 8, 12};
constexpr float kWeighedRecall = 0.95f;
// Bounds of the searches that find the truth.
constexpr float kWideDeviations = 2.5f;
// Share of the queries that are unusual on either side, in each respect.
constexpr double kUnusualShare = 0.0025;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// What is lost on top of the leaves that were not scanned. A true neighbour counts as lost by
// chance in five of a hundred cases in which its bound is wrong, where refine codes bound it, and
// in 18 where binary codes alone do; and estimates of centroids miss a few of the nearest leaves
// (docs/performance.md).
double other_loss(const IndexData& data, double recall) {
  constexpr double kNavigationShare = 0.02;
  const double bound_share = data.refine_code_bits() != 0 ? 0.05 : 0.18;
  const double deviations = static_cast<double>(deviations_for(static_cast<float>(recall)));
  return bound_share * 0.5 * std::erfc(deviations / std::sqrt(2.0)) +
         kNavigationShare * (1 - recall);
}

// The share of the neighbours that samples found which scanned leaves must hold for this recall,
// where samples did not look far enough for a share `unseen` of all.
double wanted_share(const IndexData& data, float recall, double unseen) {
  const auto level = static_cast<double>(recall);
  return std::min(1.0, (level + other_loss(data, level)) / (1 - unseen));
}

// One query, after a wide search.
struct Sample {
  std::vector<float> leaves;         // squared distances, ascending
  std::vector<std::uint32_t> ranks;  // of true neighbours, nearest first: places of their leaves
  // The squared distance that a search believes its k-th neighbour to have, by depth and recall.
  // With the narrowest and with the widest bounds that recalls ask for.
  std::array<std::array<float, 2>, kDepths.size()> radius;
  float squared_norm = 0;
};

// Of all queries. Some true neighbours are missing where searches did not look far enough: others
// stand in their places, whose leaves are about as far, but not beyond what was searched.
struct Samples {
  std::vector<Sample> queries;
  std::array<double, kDepths.size()> unseen = {};  // share of true neighbours, by depth
};

// The row that is the query, if it is one of the index's own.
constexpr std::uint32_t kNoRow = ~std::uint32_t{0};

// An unseen query has not pulled any centroid towards itself, as a row has done with its own
// leaf's: that leaf's distance is corrected to what it would be without the row,
// |x - (m c - x) / (m - 1)| = |x - c| m / (m - 1) for m members.
std::vector<RankedList> ranked_leaves(const IndexData& data, std::span<const RankedList> scanned,
                                      std::uint32_t row) {
  std::vector<RankedList> leaves(scanned.begin(), scanned.end());
  for (RankedList& leaf : leaves) {
    const ListEntry& list = data.lists[leaf.list];
    if (row - list.first_child >= list.num_children || list.num_children < 2) continue;
    const auto members = static_cast<float>(list.num_children);
    const float factor = members / (members - 1);
    leaf.squared_distance *= factor * factor;
  }
  std::sort(leaves.begin(), leaves.end());
  return leaves;
}

// Places in `leaves` of the leaves of the results, but for the query's own row.
std::vector<std::uint32_t> ranks_of(const IndexData& data, std::span<const RankedList> leaves,
                                    std::span<const RowDistance> found, std::uint32_t row) {
  std::vector<std::pair<std::uint32_t, std::uint32_t>> by_row;  // first row, place
  for (std::uint32_t place = 0; place < leaves.size(); ++place) {
    by_row.emplace_back(data.lists[leaves[place].list].first_child, place);
  }
  std::sort(by_row.begin(), by_row.end());
  std::vector<std::uint32_t> ranks;
  for (const RowDistance& neighbour : found) {
    if (neighbour.row == row) continue;
    const auto after =
        std::upper_bound(by_row.begin(), by_row.end(), std::pair{neighbour.row, ~std::uint32_t{0}});
    ranks.push_back(std::prev(after)->second);
  }
  return ranks;
}

// A search's radius is the k-th least upper bound of refine codes, which depends on how wide its
// bounds are; without refine codes it is exact.
void measure_radii(const QueryState& state, std::span<const RowDistance> found, std::uint32_t row,
                   Sample& sample) {
  if (!state.has_refine) {
    const std::size_t own = row == kNoRow ? 0 : 1;
    for (std::size_t d = 0; d < kDepths.size(); ++d) {
      const std::size_t last = std::min(found.size(), kDepths[d] + own);
      sample.radius[d].fill(last == 0 ? kInfinity
                                      : state.code.distance_map.to_frame(found[last - 1].distance));
    }
    return;
  }
  std::vector<float> uppers(state.candidates.size());
  for (std::size_t width = 0; width < 2; ++width) {
    const float recall = width == 0 ? kRecalls.front() : kRecalls.back();
    const float factor = deviations_for(recall) / kWideDeviations;
    std::size_t others = 0;
    for (std::size_t i = 0; i < uppers.size(); ++i) {
      if (state.candidates.rows[i] == row) continue;
      const float lower = state.candidates.lower[i];
      const float upper = state.candidates.upper[i];
      uppers[others++] = 0.5f * (lower + upper) + factor * 0.5f * (upper - lower);
    }
    for (std::size_t d = kDepths.size(); d-- > 0;) {
      const std::size_t k = std::min<std::size_t>(kDepths[d], others);
      sample.radius[d][width] = kInfinity;
      if (k == 0) continue;
      const auto kth = uppers.begin() + static_cast<std::ptrdiff_t>(k - 1);
      std::nth_element(uppers.begin(), kth, uppers.begin() + static_cast<std::ptrdiff_t>(others));
      sample.radius[d][width] = *kth;
      others = k;  // the next depth is among them
    }
  }
}

// The radius of a search for this recall, between the two that were measured.
float radius_at(const Sample& sample, std::size_t depth, std::size_t recall) {
  const float narrow = deviations_for(kRecalls.front());
  const float wide = deviations_for(kRecalls.back());
  const float t = (deviations_for(kRecalls[recall]) - narrow) / (wide - narrow);
  const std::array<float, 2>& radius = sample.radius[depth];
  return radius[0] == radius[1] ? radius[0] : radius[0] + t * (radius[1] - radius[0]);
}

Sample take_sample(const IndexData& data, const VectorStore& store, const float* query,
                   std::uint32_t row, std::size_t probes, Searcher& searcher) {
  const std::size_t wanted = kDepths.back() + (row == kNoRow ? 0 : 1);
  SearchRequest request;
  request.k = std::min<std::size_t>(wanted, data.rows());
  request.probes = probes;
  request.deviations = kWideDeviations;
  SearchStats stats;
  const std::span<const RowDistance> found = searcher.search(data, store, query, request, stats);
  const std::vector<RankedList> leaves = ranked_leaves(data, searcher.scanned_leaves(), row);
  Sample sample;
  for (const RankedList& leaf : leaves) sample.leaves.push_back(leaf.squared_distance);
  sample.ranks = ranks_of(data, leaves, found, row);
  sample.squared_norm = searcher.state().code.squared_norm;
  measure_radii(searcher.state(), found, row, sample);
  return sample;
}

// The least number of leaves whose cumulated share reaches each recall.
void append_probes(const IndexData& data, const Samples& samples, std::size_t depth,
                   std::vector<CalibrationEntry>& entries) {
  std::vector<double> share(data.num_leaves(), 0.0);  // of true neighbours whose leaf has this rank
  double total = 0;
  for (const Sample& sample : samples.queries) {
    const std::size_t count = std::min<std::size_t>(kDepths[depth], sample.ranks.size());
    for (std::size_t i = 0; i < count; ++i) share[sample.ranks[i]] += 1.0;
    total += static_cast<double>(count);
  }
  if (total == 0) return;
  std::size_t leaf = 0;
  double sum = share[0];
  for (const float recall : kRecalls) {
    const double wanted = wanted_share(data, recall, samples.unseen[depth]) * total;
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
  RuleFinder(const IndexData& data, const Samples& samples, std::size_t depth)
      : data_(data), samples_(samples), depth_(depth), logs_(data.num_leaves()) {
    for (std::size_t i = 0; i < logs_.size(); ++i) logs_[i] = std::log(static_cast<float>(i));
  }

  // The least limit at which a share `recall` of the true neighbours is in leaves that pass.
  float find_limit(float weight, std::size_t recall) {
    const StopRule rule{.weight = weight};
    scores_.clear();
    for (const Sample& sample : samples_.queries) {
      const float radius = radius_at(sample, depth_, recall);
      const std::size_t count = std::min<std::size_t>(kDepths[depth_], sample.ranks.size());
      for (std::size_t i = 0; i < count; ++i) {
        scores_.push_back(score(rule, sample, radius, sample.ranks[i]));
      }
    }
    if (scores_.empty()) return kInfinity;
    const double wanted = wanted_share(data_, kRecalls[recall], samples_.unseen[depth_]);
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
    for (const Sample& sample : samples_.queries) {
      const float radius = radius_at(sample, depth_, recall);
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
  // Below the score of any second leaf.
  static constexpr float kFirstLeafOnly = -1;

  // StopRule::score, with logarithms taken beforehand.
  float score(const StopRule& rule, const Sample& sample, float radius, std::size_t leaf) const {
    if (leaf == 0) return kFirstLeafOnly;
    return logs_[leaf] + rule.gap_score(sample.leaves[leaf] - sample.leaves[0], radius);
  }

  const IndexData& data_;
  const Samples& samples_;
  std::size_t depth_;
  std::vector<float> logs_;  // of places of leaves
  std::vector<float> scores_;
};

void append_rules(const IndexData& data, const Samples& samples, std::size_t depth,
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

QueryProfile profile_of(std::span<const Sample> samples, bool from_rows) {
  std::vector<float> nearest;
  std::vector<float> norms;
  for (const Sample& sample : samples) {
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

Calibration calibrate_with(const IndexData& data, const Samples& samples, bool from_rows) {
  Calibration calibration;
  for (std::size_t depth = 0; depth < kDepths.size(); ++depth) {
    append_probes(data, samples, depth, calibration.probes);
  }
  if (calibration.probes.size() != kCalibrationEntries) return {};
  for (std::size_t depth = 0; depth < kDepths.size(); ++depth) {
    append_rules(data, samples, depth, calibration.stops);
  }
  calibration.profile.push_back(profile_of(samples.queries, from_rows));
  return calibration;
}

// Places of the leaves of the pilots' neighbours, of each query the `depth` nearest.
std::vector<std::uint32_t> pilot_ranks(std::span<const Sample> samples, std::size_t depth) {
  std::vector<std::uint32_t> ranks;
  for (std::size_t i = 0; i < samples.size(); i += kPilotStride) {
    const std::span<const std::uint32_t> of_query = samples[i].ranks;
    const std::span<const std::uint32_t> nearest = of_query.first(std::min(depth, of_query.size()));
    ranks.insert(ranks.end(), nearest.begin(), nearest.end());
  }
  return ranks;
}

// Leaves to search, so that few true neighbours are beyond them, after what the pilots found.
std::size_t wide_enough(const IndexData& data, std::span<const Sample> samples) {
  std::vector<std::uint32_t> ranks = pilot_ranks(samples, kDepths.back());
  if (ranks.empty()) return data.num_leaves();
  const auto unseen = static_cast<std::size_t>(kUnseenShare * static_cast<double>(ranks.size()));
  const auto last = ranks.end() - static_cast<std::ptrdiff_t>(1 + unseen);
  std::nth_element(ranks.begin(), last, ranks.end());
  return std::min(data.num_leaves(), std::max<std::size_t>(kLeastLeaves, *last + 1));
}

// The share of the `depth` nearest of all queries that is beyond `probes` leaves and was not seen,
// since only pilots looked there.
double unseen_share(std::span<const Sample> samples, std::size_t depth, std::size_t probes) {
  const std::vector<std::uint32_t> ranks = pilot_ranks(samples, depth);
  if (ranks.empty()) return 0;
  const auto beyond = std::count_if(ranks.begin(), ranks.end(),
                                    [probes](std::uint32_t rank) { return rank >= probes; });
  constexpr double kOthers = 1 - 1.0 / kPilotStride;
  return kOthers * static_cast<double>(beyond) / static_cast<double>(ranks.size());
}

// The samples of `count` queries; query(i, out) writes one to out [dim] and returns its row.
template <typename Query>
Calibration calibrate_on(const IndexData& data, const VectorStore& store, std::size_t count,
                         bool from_rows, unsigned threads, const Query& query) {
  Samples samples;
  samples.queries.resize(count);
  threads = base::resolve_threads(threads);
  std::vector<Searcher> searchers(threads);
  const auto sample_at = [&](std::size_t i, std::size_t probes, unsigned thread) {
    std::vector<float> values(data.dim());
    const std::uint32_t row = query(i, values.data());
    samples.queries[i] = take_sample(data, store, values.data(), row, probes, searchers[thread]);
  };
  const std::size_t pilots = (count + kPilotStride - 1) / kPilotStride;
  base::parallel_for(pilots, threads, [&](std::size_t i, unsigned thread) {
    sample_at(i * kPilotStride, data.num_leaves(), thread);
  });
  const std::size_t probes = wide_enough(data, samples.queries);
  base::parallel_for(count, threads, [&](std::size_t i, unsigned thread) {
    if (i % kPilotStride != 0) sample_at(i, probes, thread);
  });
  for (std::size_t depth = 0; depth < kDepths.size(); ++depth) {
    samples.unseen[depth] = unseen_share(samples.queries, kDepths[depth], probes);
  }
  return calibrate_with(data, samples, from_rows);
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
      t = (x_of(recall) - x_of(low->recall)) / (x_of(high->recall) - x_of(low->recall));
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
  return calibrate_on(data, store, count, true, threads, [&](std::size_t i, float* out) {
    const auto row = static_cast<std::uint32_t>(i * data.rows() / count);
    store.read({&row, 1}, out);
    return row;
  });
}

Calibration calibrate(const IndexData& data, const VectorStore& store, MatrixView queries,
                      unsigned threads) {
  if (data.rows() < 2 || queries.rows == 0) return {};
  const std::size_t count = std::min(kMostQueries, queries.rows);
  return calibrate_on(data, store, count, false, threads, [&](std::size_t i, float* out) {
    std::copy_n(queries.row(i * queries.rows / count), data.dim(), out);
    return kNoRow;
  });
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
  constexpr double kShareOfMean = 1.5;
  const double first = kShareOfMean * static_cast<double>(stop.mean_leaves) + 2;
  stop.first_leaves = static_cast<std::size_t>(std::min(first, static_cast<double>(leaves)));
  return stop;
}

float estimated_recall(const IndexData& data, const QueryState& query) {
  if (query.request.has_open_budget() || query.done == 0) return 0;
  if (query.done == data.num_leaves()) return 1;
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

#include "index/calibration.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/parallel.h"
#include "index/searcher.h"

namespace cairn::index {
namespace {

constexpr std::size_t kQueries = 384;
constexpr std::array<std::uint32_t, 3> kDepths = {1, 10, 100};
constexpr std::array<float, 11> kRecalls = {0.5f,  0.7f,  0.8f,  0.85f, 0.9f,  0.93f,
                                            0.95f, 0.97f, 0.98f, 0.99f, 0.999f};
// What the codes lose on top of the leaves that were not scanned: a true neighbour counts as lost
// by chance in as many cases of a hundred as its bound is wrong in five.
double code_loss(double recall) {
  const double deviations = static_cast<double>(deviations_for(static_cast<float>(recall)));
  return 0.05 * 0.5 * std::erfc(deviations / std::sqrt(2.0));
}

// Ranks (places in the query's order of leaves) of the leaves of one row's nearest neighbours.
//
// An unseen query has not pulled any centroid towards itself, as the row has done with its own
// leaf's: that leaf's distance is corrected to what it would be without the row,
// |x - (m c - x) / (m - 1)| = |x - c| m / (m - 1) for m members.
std::vector<std::uint32_t> neighbour_leaf_ranks(const IndexData& data, const VectorStore& store,
                                                std::uint32_t row, std::size_t probes,
                                                Searcher& searcher) {
  std::vector<float> query(data.dim());
  store.read({&row, 1}, query.data());
  const std::size_t k = std::min<std::size_t>(kDepths.back() + 1, data.rows());
  SearchStats stats;
  const std::span<const RowDistance> found =
      searcher.search(data, store, query.data(), {.k = k, .probes = probes}, stats);
  const std::span<const RankedList> scanned = searcher.scanned_leaves();
  std::vector<RankedList> leaves(scanned.begin(), scanned.end());
  for (RankedList& leaf : leaves) {
    const ListEntry& list = data.lists[leaf.list];
    if (row - list.first_child >= list.num_children || list.num_children < 2) continue;
    const auto members = static_cast<float>(list.num_children);
    const float factor = members / (members - 1);
    leaf.squared_distance *= factor * factor;
  }
  std::sort(leaves.begin(), leaves.end());
  // First row and rank of each leaf, to find the leaf of a row.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> by_row;
  for (std::uint32_t rank = 0; rank < leaves.size(); ++rank) {
    by_row.emplace_back(data.lists[leaves[rank].list].first_child, rank);
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

// The least number of leaves whose cumulated share reaches each recall.
void append_curve(const std::vector<std::vector<std::uint32_t>>& ranks, std::uint32_t depth,
                  std::size_t probes, std::vector<CalibrationEntry>& entries) {
  std::vector<double> share(probes, 0.0);  // of true neighbours whose leaf has this rank
  double total = 0;
  for (const std::vector<std::uint32_t>& query : ranks) {
    const std::size_t count = std::min<std::size_t>(depth, query.size());
    for (std::size_t i = 0; i < count; ++i) share[query[i]] += 1.0;
    total += static_cast<double>(count);
  }
  if (total == 0) return;
  std::size_t leaf = 0;
  double sum = share[0];
  for (const float recall : kRecalls) {
    const double wanted =
        std::min(1.0, static_cast<double>(recall) + code_loss(static_cast<double>(recall))) * total;
    while (sum < wanted - 1e-9 && leaf + 1 < probes) sum += share[++leaf];
    // Between two leaves the share grows evenly.
    const double over = share[leaf] > 0 ? std::clamp((sum - wanted) / share[leaf], 0.0, 1.0) : 0.0;
    entries.push_back({depth, recall, static_cast<float>(static_cast<double>(leaf + 1) - over), 0});
  }
}

// log(probes) over -log(1 - recall) is close to a straight line.
float interpolate(std::span<const CalibrationEntry> curve, float recall) {
  const auto x = [](float r) { return -std::log(1.0f - std::min(r, 0.9999f)); };
  if (recall <= curve.front().recall) return curve.front().probes;
  for (std::size_t i = 1; i < curve.size(); ++i) {
    if (recall > curve[i].recall) continue;
    const float t =
        (x(recall) - x(curve[i - 1].recall)) / (x(curve[i].recall) - x(curve[i - 1].recall));
    const float low = std::log(std::max(curve[i - 1].probes, 0.01f));
    const float high = std::log(std::max(curve[i].probes, 0.01f));
    return std::exp(low + t * (high - low));
  }
  return curve.back().probes;
}

}  // namespace

std::vector<CalibrationEntry> calibrate(const IndexData& data, const VectorStore& store,
                                        unsigned threads) {
  std::vector<CalibrationEntry> entries;
  if (data.rows() < 2) return entries;
  const std::size_t queries = std::min(kQueries, data.rows());
  const std::size_t leaves = data.num_leaves();
  const std::size_t probes = std::min(leaves, std::max<std::size_t>(64, leaves / 2));
  std::vector<std::vector<std::uint32_t>> ranks(queries);
  std::vector<Searcher> searchers(base::resolve_threads(threads));
  base::parallel_for(queries, base::resolve_threads(threads), [&](std::size_t q, unsigned thread) {
    const auto row = static_cast<std::uint32_t>(q * data.rows() / queries);
    ranks[q] = neighbour_leaf_ranks(data, store, row, probes, searchers[thread]);
  });
  for (const std::uint32_t depth : kDepths) append_curve(ranks, depth, probes, entries);
  return entries;
}

// A wider bound reads more refine codes, a narrower one loses neighbours that more leaves must make
// up for: measured to cost about the same at these (docs/performance.md).
float deviations_for(float target_recall) {
  const float missing = std::max(1.0f - target_recall, 1e-4f);
  return std::clamp(1.9f + 0.2f * std::log2(0.01f / missing), 1.2f, 3.0f);
}

std::size_t probes_for(const IndexData& data, float target_recall, std::size_t k) {
  const std::size_t leaves = data.num_leaves();
  const std::span<const CalibrationEntry> entries = data.calibration;
  if (entries.empty() || target_recall >= 1.0f) return leaves;
  // The curves whose depths enclose k.
  std::span<const CalibrationEntry> below;
  std::span<const CalibrationEntry> above;
  for (std::size_t begin = 0; begin < entries.size();) {
    std::size_t end = begin;
    while (end < entries.size() && entries[end].k == entries[begin].k) ++end;
    const std::span<const CalibrationEntry> curve = entries.subspan(begin, end - begin);
    if (curve.front().k <= k || below.empty()) below = curve;
    if (above.empty() && curve.front().k >= k) above = curve;
    begin = end;
  }
  if (above.empty()) above = below;
  float probes = interpolate(below, target_recall);
  if (above.front().k > below.front().k) {
    const float t =
        std::log(static_cast<float>(k) / static_cast<float>(below.front().k)) /
        std::log(static_cast<float>(above.front().k) / static_cast<float>(below.front().k));
    probes += t * (interpolate(above, target_recall) - probes);
  } else if (k > above.front().k) {
    // Deeper than measured: leaves in proportion to the square root of the depth.
    probes *= std::sqrt(static_cast<float>(k) / static_cast<float>(above.front().k));
  }
  const double rounded = std::clamp(std::ceil(static_cast<double>(probes)), 1.0,
                                    static_cast<double>(std::max<std::size_t>(leaves, 1)));
  return static_cast<std::size_t>(rounded);
}

}  // namespace cairn::index

#include "index/query_samples.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <utility>

#include "base/parallel.h"
#include "index/calibration.h"
#include "index/searcher.h"

namespace cairn::index {
namespace {

// Every so-manieth query, a pilot, is searched in all leaves. The others look as far as all but
// this share of the pilots' neighbours were.
constexpr std::size_t kPilotStride = 24;
constexpr double kUnseenShare = 0.003;
constexpr std::size_t kLeastLeaves = 32;
// Navigation becomes wider until it overlooks no more than this share of the pilots' neighbours,
// where as many leaves are sought as these recalls need.
constexpr double kMostOverlooked = 0.01;
constexpr std::array<float, 3> kNavigationRecalls = {0.8f, 0.95f, 0.99f};
// Bounds of the searches that find the truth.
constexpr float kWideDeviations = 2.5f;
// What bounds lose is measured with those of this recall, on every so-manieth query by depth.
constexpr float kCheckedRecall = 0.9f;
constexpr std::array<std::size_t, kDepths.size()> kCheckStrides = {2, 3, 8};

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// How often a value is so many standard deviations above what is expected of it.
double tail_share(float deviations) {
  return 0.5 * std::erfc(static_cast<double>(deviations) / std::sqrt(2.0));
}

// What is lost on top of the leaves that were not scanned: neighbours whose bounds were wrong, and
// leaves that estimates of centroids overlooked (docs/performance.md).
double other_loss(float recall, double bound_share, double overlooked) {
  constexpr double kNavigationShare = 0.02;
  return bound_share * tail_share(deviations_for(recall)) +
         (overlooked > kMostOverlooked ? overlooked
                                       : kNavigationShare * (1 - static_cast<double>(recall)));
}

// An unseen query has not pulled any centroid towards itself, as a row has done with its own
// leaf's: that leaf's distance is corrected to what it would be without the row,
// |x - (m c - x) / (m - 1)| = |x - c| m / (m - 1) for m members, and without the row a leaf of it
// alone would not be.
std::vector<RankedList> ranked_leaves(const IndexData& data, std::span<const RankedList> scanned,
                                      std::uint32_t row) {
  std::vector<RankedList> leaves(scanned.begin(), scanned.end());
  for (RankedList& leaf : leaves) {
    const ListEntry& list = data.lists[leaf.list];
    if (row - list.first_child >= list.num_children) continue;
    if (list.num_children == 1 && leaves.size() > 1) {
      leaf = leaves.back();
      leaves.pop_back();
      break;
    }
    const auto members = static_cast<float>(list.num_children);
    const float factor = members / (members - 1);
    leaf.squared_distance *= factor * factor;
  }
  std::sort(leaves.begin(), leaves.end());
  return leaves;
}

// Leaves by the rows that they hold.
class LeafPlaces {
 public:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  LeafPlaces(const IndexData& data, std::span<const RankedList> leaves) {
    for (std::uint32_t place = 0; place < leaves.size(); ++place) {
      const ListEntry& list = data.lists[leaves[place].list];
      leaves_.push_back({list.first_child, list.num_children, place});
    }
    std::sort(leaves_.begin(), leaves_.end(), [](const Leaf& a, const Leaf& b) {
      return a.first_row != b.first_row ? a.first_row < b.first_row : a.rows < b.rows;
    });
  }
  // The place of the row's leaf among those given, or kNone.
  std::uint32_t place_of(std::uint32_t row) const {
    const auto after = std::upper_bound(
        leaves_.begin(), leaves_.end(), row,
        [](std::uint32_t value, const Leaf& leaf) { return value < leaf.first_row; });
    if (after == leaves_.begin()) return kNone;
    const Leaf& leaf = *std::prev(after);
    return row - leaf.first_row < leaf.rows ? leaf.place : kNone;
  }

 private:
  struct Leaf {
    std::uint32_t first_row;
    std::uint32_t rows;
    std::uint32_t place;
  };
  std::vector<Leaf> leaves_;
};

// A search's radius is the k-th least upper bound of refine codes, which depends on how wide its
// bounds are; without refine codes it is exact.
void measure_radii(const QueryState& state, std::span<const RowDistance> found, std::uint32_t row,
                   QuerySample& sample) {
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

// One query, and the row that it is.
struct Query {
  const float* values;
  std::uint32_t row;

  std::size_t own_results() const { return row == kNoRow ? 0 : 1; }
};

QuerySample take_sample(const IndexData& data, const VectorStore& store, const Query& query,
                        std::size_t probes, Searcher& searcher) {
  SearchRequest request;
  request.k = std::min(kDepths.back() + query.own_results(), data.rows());
  request.probes = probes;
  request.deviations = kWideDeviations;
  request.leaves_ties = true;
  SearchStats stats;
  const std::span<const RowDistance> found =
      searcher.search(data, store, query.values, request, stats);
  const std::vector<RankedList> leaves = ranked_leaves(data, searcher.scanned_leaves(), query.row);
  const LeafPlaces places(data, leaves);
  QuerySample sample;
  for (const RankedList& leaf : leaves) sample.leaves.push_back(leaf.squared_distance);
  for (const RowDistance& neighbour : found) {
    const std::uint32_t place = places.place_of(neighbour.row);
    // Only damage makes a result of a row in no leaf that was scanned.
    if (neighbour.row == query.row || place == LeafPlaces::kNone) continue;
    sample.rows.push_back(neighbour.row);
    sample.distances.push_back(neighbour.distance);
    sample.ranks.push_back(place);
  }
  sample.squared_norm = searcher.state().code.squared_norm;
  measure_radii(searcher.state(), found, query.row, sample);
  return sample;
}

// True neighbours in leaves that searches scanned, and those of them that were lost nevertheless.
struct BoundLosses {
  std::size_t scanned = 0;
  std::size_t lost = 0;
};

BoundLosses count_losses(const IndexData& data, const VectorStore& store, const Query& query,
                         const QuerySample& sample, std::size_t depth, std::size_t probes,
                         Searcher& searcher) {
  SearchRequest request;
  request.k = std::min(depth + query.own_results(), data.rows());
  request.probes = probes;
  request.deviations = deviations_for(kCheckedRecall);
  request.leaves_ties = true;
  SearchStats stats;
  const std::span<const RowDistance> found =
      searcher.search(data, store, query.values, request, stats);
  std::vector<std::uint32_t> found_rows;
  for (const RowDistance& neighbour : found) found_rows.push_back(neighbour.row);
  std::sort(found_rows.begin(), found_rows.end());
  const LeafPlaces places(data, searcher.scanned_leaves());
  BoundLosses losses;
  for (std::size_t i = 0; i < std::min(depth, sample.rows.size()); ++i) {
    const std::uint32_t row = sample.rows[i];
    if (places.place_of(row) == LeafPlaces::kNone) continue;
    ++losses.scanned;
    // Others at the same distance are as good.
    if (found.size() == request.k && sample.distances[i] >= found.back().distance) continue;
    if (!std::binary_search(found_rows.begin(), found_rows.end(), row)) ++losses.lost;
  }
  return losses;
}

struct Overlooked {
  std::size_t sought = 0;
  std::size_t missing = 0;
};

Overlooked count_overlooked(const IndexData& data, const Query& query, const QuerySample& sample,
                            std::size_t probes) {
  quantize::QueryCode code;
  code.prepare(data.frame, query.values, 0);
  Navigator navigator;
  SearchStats stats;
  const auto places_among = [&](std::size_t wanted) {
    const auto found =
        navigator.find_leaves(data, code, std::min(wanted, data.num_leaves()), nullptr, stats);
    return LeafPlaces(data, found.first(std::min(probes, found.size())));
  };
  const LeafPlaces nearest = places_among(data.num_leaves());
  const LeafPlaces found = places_among(first_leaves_for(static_cast<double>(probes)));
  Overlooked overlooked;
  for (const std::uint32_t row : sample.rows) {
    if (nearest.place_of(row) == LeafPlaces::kNone) continue;
    ++overlooked.sought;
    if (found.place_of(row) == LeafPlaces::kNone) ++overlooked.missing;
  }
  return overlooked;
}

// Places of the leaves of the `depth` nearest neighbours of every so-manieth query.
std::vector<std::uint32_t> ranks_of(std::span<const QuerySample> samples, std::size_t depth,
                                    std::size_t stride) {
  std::vector<std::uint32_t> ranks;
  for (std::size_t i = 0; i < samples.size(); i += stride) {
    const std::span<const std::uint32_t> of_query = samples[i].ranks;
    const std::span<const std::uint32_t> nearest = of_query.first(std::min(depth, of_query.size()));
    ranks.insert(ranks.end(), nearest.begin(), nearest.end());
  }
  return ranks;
}

// Leaves that hold all neighbours but a share.
std::size_t leaves_for(std::vector<std::uint32_t> ranks, double share) {
  if (ranks.empty()) return 1;
  const auto beyond = static_cast<std::size_t>(share * static_cast<double>(ranks.size()));
  const auto last = ranks.end() - static_cast<std::ptrdiff_t>(1 + beyond);
  std::nth_element(ranks.begin(), last, ranks.end());
  return std::size_t{*last} + 1;
}

class Sampler {
 public:
  Sampler(const IndexData& data, const VectorStore& store, std::size_t count, unsigned threads,
          const QueryReader& read_query)
      : data_(data),
        store_(store),
        read_query_(read_query),
        searchers_(base::resolve_threads(threads)) {
    samples_.queries.resize(count);
  }

  QuerySamples take() {
    for_each_query(kPilotStride, [&](std::size_t i, const Query& query, Searcher& searcher) {
      samples_.queries[i] = take_sample(data_, store_, query, data_.num_leaves(), searcher);
    });
    widen_navigation();
    const std::vector<std::uint32_t> ranks =
        ranks_of(samples_.queries, kDepths.back(), kPilotStride);
    const std::size_t probes =
        std::min(data_.num_leaves(), std::max(kLeastLeaves, leaves_for(ranks, kUnseenShare)));
    for_each_query(1, [&](std::size_t i, const Query& query, Searcher& searcher) {
      if (i % kPilotStride == 0) return;
      samples_.queries[i] = take_sample(data_, store_, query, probes, searcher);
    });
    for (std::size_t depth = 0; depth < kDepths.size(); ++depth) {
      samples_.unseen[depth] = unseen_share(depth, probes);
      samples_.bound_share[depth] = bound_share(depth);
    }
    return std::move(samples_);
  }

 private:
  // Calls use(i, query, searcher) for every so-manieth query, in parallel.
  template <typename Use>
  void for_each_query(std::size_t stride, const Use& use) {
    const std::size_t count = (samples_.queries.size() + stride - 1) / stride;
    const auto threads = static_cast<unsigned>(searchers_.size());
    base::parallel_for(count, threads, [&](std::size_t i, unsigned thread) {
      std::vector<float> values(data_.dim());
      const std::uint32_t row = read_query_(i * stride, values.data());
      use(i * stride, Query{values.data(), row}, searchers_[thread]);
    });
  }

  // The pilots know how far all leaves are.
  void widen_navigation() {
    for (;;) {
      samples_.navigation_width = static_cast<std::uint32_t>(data_.navigation_width);
      samples_.overlooked = 0;
      for (const float recall : kNavigationRecalls) {
        const std::size_t probes = leaves_for(ranks_of(samples_.queries, kDepths[1], kPilotStride),
                                              1 - static_cast<double>(recall));
        samples_.overlooked = std::max(samples_.overlooked, overlooked_share(probes));
      }
      if (samples_.overlooked <= kMostOverlooked ||
          data_.navigation_width >= kMostNavigationWidth) {
        return;
      }
      data_.navigation_width *= 2;
    }
  }

  // Of the pilots' neighbours in their `probes` nearest leaves, the share in leaves that are not
  // among those found when so many are sought.
  double overlooked_share(std::size_t probes) {
    std::vector<Overlooked> of_queries(samples_.queries.size());
    for_each_query(kPilotStride, [&](std::size_t i, const Query& query, Searcher&) {
      of_queries[i] = count_overlooked(data_, query, samples_.queries[i], probes);
    });
    Overlooked all;
    for (const Overlooked& one : of_queries) {
      all.sought += one.sought;
      all.missing += one.missing;
    }
    return all.sought == 0 ? 0 : static_cast<double>(all.missing) / static_cast<double>(all.sought);
  }

  // Only pilots look beyond `probes` leaves.
  double unseen_share(std::size_t depth, std::size_t probes) const {
    const std::vector<std::uint32_t> ranks =
        ranks_of(samples_.queries, kDepths[depth], kPilotStride);
    if (ranks.empty()) return 0;
    const auto beyond = std::count_if(ranks.begin(), ranks.end(),
                                      [probes](std::uint32_t rank) { return rank >= probes; });
    constexpr double kNoPilots = 1 - 1.0 / static_cast<double>(kPilotStride);
    return kNoPilots * static_cast<double>(beyond) / static_cast<double>(ranks.size());
  }

  double bound_share(std::size_t depth) {
    const std::size_t probes = leaves_for(ranks_of(samples_.queries, kDepths[depth], 1),
                                          1 - static_cast<double>(kCheckedRecall));
    std::vector<BoundLosses> of_queries(samples_.queries.size());
    const auto count = [&](std::size_t i, const Query& query, Searcher& searcher) {
      of_queries[i] =
          count_losses(data_, store_, query, samples_.queries[i], kDepths[depth], probes, searcher);
    };
    for_each_query(kCheckStrides[depth], count);
    BoundLosses all;
    for (const BoundLosses& losses : of_queries) {
      all.scanned += losses.scanned;
      all.lost += losses.lost;
    }
    if (all.scanned == 0) return 0;
    return static_cast<double>(all.lost) / static_cast<double>(all.scanned) /
           tail_share(deviations_for(kCheckedRecall));
  }

  IndexData data_;  // a view, with the navigation that is being found
  const VectorStore& store_;
  const QueryReader& read_query_;
  std::vector<Searcher> searchers_;  // by thread
  QuerySamples samples_;
};

}  // namespace

float QuerySample::radius_at(std::size_t depth, float recall) const {
  const float narrow = deviations_for(kRecalls.front());
  const float wide = deviations_for(kRecalls.back());
  const float t = (deviations_for(recall) - narrow) / (wide - narrow);
  const std::array<float, 2>& ends = radius[depth];
  return ends[0] == ends[1] ? ends[0] : ends[0] + t * (ends[1] - ends[0]);
}

double QuerySamples::wanted_share(std::size_t depth, float recall) const {
  const double wanted =
      static_cast<double>(recall) + other_loss(recall, bound_share[depth], overlooked);
  return std::min(1.0, wanted / (1 - unseen[depth]));
}

QuerySamples take_samples(const IndexData& data, const VectorStore& store, std::size_t count,
                          unsigned threads, const QueryReader& read_query) {
  return Sampler(data, store, count, threads, read_query).take();
}

}  // namespace cairn::index

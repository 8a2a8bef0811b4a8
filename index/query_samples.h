#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "cairn/vector_store.h"

#include "index/index_data.h"

namespace cairn::index {

// What a calibration measures at: k of searches, and recalls that are wanted.
inline constexpr std::array<std::uint32_t, 3> kDepths = {1, 10, 100};
inline constexpr std::array<float, 11> kRecalls = {0.5f,  0.7f,  0.8f,  0.85f, 0.9f,  0.93f,
                                                   0.95f, 0.97f, 0.98f, 0.99f, 0.999f};

// One query, after a wide search.
struct QuerySample {
  std::vector<float> leaves;         // squared distances, ascending
  std::vector<std::uint32_t> rows;   // true neighbours, nearest first
  std::vector<float> distances;      // of these
  std::vector<std::uint32_t> ranks;  // of these: places of their leaves
  // The squared distance that a search believes its k-th neighbour to have, by depth; with the
  // narrowest and with the widest bounds that recalls ask for.
  std::array<std::array<float, 2>, kDepths.size()> radius;
  float squared_norm = 0;

  // The radius of a search for this recall, between the two that were measured.
  float radius_at(std::size_t depth, float recall) const;
};

struct QuerySamples {
  std::vector<QuerySample> queries;
  // By depth. Of most queries only the nearest leaves were searched, where next to all neighbours
  // are. For the share `unseen` that is elsewhere others stand in, whose leaves are about as far.
  std::array<double, kDepths.size()> unseen = {};
  // What navigation needed to be (IndexData), and the share of the neighbours in the leaves sought
  // that it overlooks nevertheless.
  std::uint32_t navigation_width = 1;
  double overlooked = 0;
  // By depth: of the true neighbours whose bounds are wrong, the share that a search loses.
  std::array<double, kDepths.size()> bound_share = {};

  // The share of the neighbours found that scanned leaves must hold, so that searches for this
  // recall reach it with what else they lose.
  double wanted_share(std::size_t depth, float recall) const;
};

// Writes query i to out [dim]; returns its row if it is one of the index's own, else kNoRow.
using QueryReader = std::function<std::uint32_t(std::size_t i, float* out)>;
inline constexpr std::uint32_t kNoRow = ~std::uint32_t{0};

// Samples of `count` queries, at least one, each left out of its own results. The same for all
// numbers of threads.
QuerySamples take_samples(const IndexData& data, const VectorStore& store, std::size_t count,
                          unsigned threads, const QueryReader& read_query);

}  // namespace cairn::index

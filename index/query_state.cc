#include "index/query_state.h"

#include <algorithm>
#include <limits>

namespace cairn::index {

void QueryState::start(const IndexData& data, const float* query,
                       const SearchRequest& query_request) {
  request = query_request;
  code.prepare(data.frame, query, data.refine_code_bits());
  deviations = deviations_of(data, request);
  has_refine = data.refine_code_bits() != 0;
  base_share = base_rounding(data.padded_dim());
  farthest = 0;
  threshold.reset(request.rerank != 0 ? std::max(request.rerank, request.k) : request.k,
                  code.widening);
  // A fixed number of candidates is chosen by estimates, which may be too large.
  if (request.rerank == 0 && request.max_distance != std::numeric_limits<float>::infinity()) {
    threshold.lower_to(code.distance_map.to_frame(request.max_distance));
  }
  leaves.clear();
  wanted = 0;
  done = 0;
  candidates.resize(0);
  stats = {};
}

void QueryState::add_leaves(std::span<const RankedList> nearest, std::vector<bool>& is_known) {
  const std::size_t known = leaves.size();
  if (known == 0) {
    leaves.assign(nearest.begin(), nearest.end());
  } else {
    for (const RankedList& leaf : leaves) {
      if (leaf.list >= is_known.size()) is_known.resize(leaf.list + std::size_t{1}, false);
      is_known[leaf.list] = true;
    }
    for (const RankedList& leaf : nearest) {
      if (leaf.list >= is_known.size() || !is_known[leaf.list]) leaves.push_back(leaf);
    }
    for (std::size_t i = 0; i < known; ++i) is_known[leaves[i].list] = false;
  }
  apply_stop_rule();
}

void QueryState::apply_stop_rule() {
  wanted = leaves.size();
  if (!request.has_stop_rule() || leaves.empty()) return;
  const auto first = leaves.begin() + static_cast<std::ptrdiff_t>(std::max<std::size_t>(done, 1));
  if (done >= leaves.size()) return;
  // Scores rise with the place of a leaf.
  const auto end = std::partition_point(first, leaves.end(), [&](const RankedList& leaf) {
    const auto place = static_cast<std::size_t>(&leaf - leaves.data());
    return request.stop.score(place, leaf.squared_distance - leaves[0].squared_distance,
                              threshold.squared_radius()) <= request.stop.limit;
  });
  wanted = static_cast<std::size_t>(end - leaves.begin());
}

float QueryState::end_score(const StopRule& rule) const noexcept {
  if (done == 0) return -std::numeric_limits<float>::infinity();
  const RankedList& next = leaves[std::min(done, leaves.size() - 1)];
  return rule.score(done, next.squared_distance - leaves[0].squared_distance,
                    threshold.squared_radius());
}

}  // namespace cairn::index

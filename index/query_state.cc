#include "index/query_state.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

namespace cairn::index {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

}  // namespace

void QueryState::start(const IndexData& data, const float* query,
                       const SearchRequest& query_request) {
  request = query_request;
  code.prepare(data.frame, query, data.refine_code_bits());
  // With a fixed number of candidates estimates decide, not bounds; the first stage still leaves
  // room for its error before the second one.
  has_refine = data.refine_code_bits() != 0;
  scan_deviations = request.rerank != 0 && !has_refine ? 0 : request.deviations;
  refine_deviations = request.rerank != 0 ? 0 : request.deviations;
  threshold = kInfinity;
  threshold_rank = request.rerank != 0 ? std::max(request.rerank, request.k) : request.k;
  uppers.reset(threshold_rank);
  done = 0;
  candidates.resize(0);
  stats = {};
}

// Short rounds first, since thresholds fall fast then.
std::size_t QueryState::round_end() const noexcept {
  return std::min(leaves.size(), done + std::max<std::size_t>(2, done / 2));
}

float QueryState::threshold_for(float kth) const noexcept {
  return std::min(threshold, std::nextafter(kth, kInfinity));
}

void QueryState::end_round(std::size_t first, std::size_t end) {
  done = end;
  uppers.offer(std::span(candidates.upper).subspan(first));
  threshold = threshold_for(uppers.kth());
}

}  // namespace cairn::index

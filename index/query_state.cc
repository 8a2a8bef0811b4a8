#include "index/query_state.h"

#include <algorithm>
#include <limits>

namespace cairn::index {

void QueryState::start(const IndexData& data, const float* query,
                       const SearchRequest& query_request) {
  request = query_request;
  code.prepare(data.frame, query, data.refine_code_bits());
  deviations = Deviations(data, request);
  has_refine = data.refine_code_bits() != 0;
  threshold.reset(request.rerank != 0 ? std::max(request.rerank, request.k) : request.k);
  // A fixed number of candidates is chosen by estimates, which may be too large.
  if (request.rerank == 0 && request.max_distance != std::numeric_limits<float>::infinity()) {
    threshold.lower_to(code.distance_map.to_frame_above(request.max_distance));
  }
  done = 0;
  candidates.resize(0);
  stats = {};
}

}  // namespace cairn::index

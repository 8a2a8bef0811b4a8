#include "index/searcher.h"

#include <algorithm>

#include "base/parallel.h"

namespace cairn::index {

std::span<const RowDistance> Searcher::search(const IndexData& data, const VectorStore& store,
                                              const float* query, const SearchRequest& request,
                                              SearchStats& stats) {
  state_.start(data, query, request);
  const std::span<const RankedList> leaves =
      navigator_.find_leaves(data, state_.code, request.probes, state_.stats);
  state_.leaves.assign(leaves.begin(), leaves.end());
  reranker_.start(data, store, query, request);
  if (scanners_.size() < request.threads) scanners_.resize(request.threads);
  while (state_.done < state_.leaves.size()) {
    scan_round(data, state_.round_end());
    if (!state_.has_refine && request.rerank == 0) reranker_.tighten(state_);
  }
  state_.stats.leaves_scanned = state_.leaves.size();
  state_.stats.stop_reason =
      state_.leaves.size() < data.num_leaves() ? StopReason::budget : StopReason::exhausted;
  const std::span<const RowDistance> results = reranker_.finish(state_);
  stats = state_.stats;
  return results;
}

void Searcher::scan_round(const IndexData& data, std::size_t end) {
  const std::size_t begin = state_.done;
  const std::size_t known = state_.candidates.size();
  const std::size_t groups = (end - begin + LeafScanner::kGroup - 1) / LeafScanner::kGroup;
  const auto group_end = [&](std::size_t group) {
    return std::min(end, begin + (group + 1) * LeafScanner::kGroup);
  };
  if (state_.request.threads <= 1 || groups == 1) {
    for (std::size_t group = 0; group < groups; ++group) {
      scanners_[0].scan_group(data, state_, begin + group * LeafScanner::kGroup, group_end(group),
                              state_.candidates);
    }
  } else {
    if (found_.size() < groups) found_.resize(groups);
    base::parallel_for(groups, state_.request.threads, [&](std::size_t group, unsigned thread) {
      found_[group].resize(0);
      scanners_[thread].scan_group(data, state_, begin + group * LeafScanner::kGroup,
                                   group_end(group), found_[group]);
    });
    for (std::size_t group = 0; group < groups; ++group) state_.candidates.append(found_[group]);
  }
  for (LeafScanner& scanner : scanners_) {
    state_.stats.codes_scanned += scanner.codes_scanned;
    state_.stats.codes_refined += scanner.codes_refined;
    scanner.codes_scanned = 0;
    scanner.codes_refined = 0;
  }
  state_.end_round(known, end);
}

}  // namespace cairn::index

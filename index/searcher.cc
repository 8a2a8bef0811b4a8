#include "index/searcher.h"

#include <algorithm>
#include <utility>

#include "base/parallel.h"

namespace cairn::index {
namespace {

// Codes of a round below which waking other threads costs more than they save.
constexpr std::size_t kMinSharedCodes = 16384;

}  // namespace

std::span<const RowDistance> Searcher::search(const IndexData& data, const VectorStore& store,
                                              const float* query, const SearchRequest& request,
                                              SearchStats& stats) {
  state_.start(data, query, request);
  const std::span<const RankedList> leaves =
      navigator_.find_leaves(data, state_.code, request.probes, state_.stats);
  state_.leaves.assign(leaves.begin(), leaves.end());
  reranker_.start(data, store, query, request);
  scanner_.codes_scanned = 0;
  scanner_.codes_refined = 0;
  while (!state_.is_done()) {
    scan_round(data);
    // Upper bounds of binary codes do not lower a threshold, exact distances do.
    if (!state_.has_refine && request.rerank == 0) reranker_.tighten(state_);
  }
  state_.stats.codes_scanned = scanner_.codes_scanned;
  state_.stats.codes_refined = scanner_.codes_refined;
  state_.stats.leaves_scanned = state_.leaves.size();
  state_.stats.stop_reason =
      state_.leaves.size() < data.num_leaves() ? StopReason::budget : StopReason::exhausted;
  const std::span<const RowDistance> results = reranker_.finish(state_);
  stats = state_.stats;
  return results;
}

void Searcher::scan_round(const IndexData& data) {
  constexpr std::size_t kGroup = LeafScanner::kGroup;
  const std::size_t begin = state_.done;
  const std::size_t end = state_.round_end();
  const std::size_t known = state_.candidates.size();
  const std::size_t groups = (end - begin + kGroup - 1) / kGroup;
  const auto scan_group = [&](std::size_t group, LeafScanner& scanner, Candidates& out) {
    const std::size_t first = begin + group * kGroup;
    scanner.scan_group(data, state_, first, std::min(end, first + kGroup), out);
  };
  const std::size_t codes = (end - begin) * (data.rows() / data.num_leaves());
  if (state_.request.threads <= 1 || groups == 1 || codes < kMinSharedCodes) {
    for (std::size_t group = 0; group < groups; ++group) {
      scan_group(group, scanner_, state_.candidates);
    }
  } else {
    if (workers_.size() < state_.request.threads) workers_.resize(state_.request.threads);
    for (Worker& worker : workers_) worker.candidates.resize(0);
    base::parallel_for(groups, state_.request.threads, [&](std::size_t group, unsigned thread) {
      scan_group(group, workers_[thread].scanner, workers_[thread].candidates);
    });
    for (Worker& worker : workers_) {
      state_.candidates.append(worker.candidates);
      scanner_.codes_scanned += std::exchange(worker.scanner.codes_scanned, 0);
      scanner_.codes_refined += std::exchange(worker.scanner.codes_refined, 0);
    }
  }
  state_.end_round(known);
}

}  // namespace cairn::index

#include "index/searcher.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "base/parallel.h"

namespace cairn::index {
namespace {

// Codes of a round below which waking other threads costs more than they save.
constexpr std::size_t kMinSharedCodes = 16384;

}  // namespace

std::span<const RowDistance> Searcher::search(const IndexData& data, const VectorStore& store,
                                              const float* query, const SearchRequest& asked,
                                              SearchStats& stats) {
  SearchRequest request = asked;
  request.start_clock();
  reranker_.start(data, store, query, request);
  if (request.filter != nullptr && is_exact_cheaper(data, request)) {
    stats = {};
    stats.stop_reason = StopReason::exhausted;
    return reranker_.settle_allowed(stats);
  }
  state_.start(data, query, request);
  scan_leaves(data);
  const std::span<const RowDistance> results = reranker_.finish(state_);
  stats = state_.stats;
  return results;
}

void Searcher::scan_leaves(const IndexData& data) {
  const SearchRequest& request = state_.request;
  SearchStats& stats = state_.stats;
  scanner_.codes_scanned = 0;
  scanner_.codes_refined = 0;
  // Upper bounds of binary codes do not lower a threshold, exact distances do.
  const bool exact_reads_tighten = !state_.has_refine && request.rerank == 0 && !request.is_range;
  found_before_ = 0;
  find_leaves(data, request.probes);
  do {
    while (!state_.is_done()) {
      scan_round(data);
      if (exact_reads_tighten) reranker_.tighten(state_);
      if (request.is_late()) break;
      state_.apply_stop_rule();
    }
  } while (state_.is_done() && find_more_leaves(data));
  const std::size_t leaves =
      request.filter != nullptr ? request.filter->num_leaves() : data.num_leaves();
  stats.codes_scanned = scanner_.codes_scanned;
  stats.codes_refined = scanner_.codes_refined;
  stats.leaves_scanned = state_.done;
  if (!state_.is_done()) {
    stats.stop_reason = StopReason::deadline;
  } else {
    const StopReason enough = request.has_stop_rule() ? StopReason::recall : StopReason::budget;
    stats.stop_reason = state_.done < leaves ? enough : StopReason::exhausted;
  }
}

// Adds those of the `probes` nearest leaves that are not among the leaves to scan.
void Searcher::find_leaves(const IndexData& data, std::size_t probes) {
  state_.add_leaves(
      navigator_.find_leaves(data, state_.code, probes, state_.request.filter, state_.stats),
      is_known_);
}

bool Searcher::find_more_leaves(const IndexData& data) {
  const SearchRequest& request = state_.request;
  const std::size_t leaves =
      request.filter != nullptr ? request.filter->num_leaves() : data.num_leaves();
  const std::size_t done = state_.done;
  if (state_.wants_more_leaves(data)) {
    find_leaves(data, state_.more_leaves(data));
    return !state_.is_done();
  }
  if (done == leaves || !request.has_open_budget()) return false;
  const Scanned scanned = what_was_scanned(data);
  found_before_ = scanned.found;
  const std::size_t wanted = leaves_wanted(data, request, scanned);
  if (wanted <= done) return false;
  find_leaves(data, std::min(wanted, leaves));
  // In a deep tree all that is asked for may be out of the beam's sight.
  if (state_.is_done()) find_leaves(data, leaves);
  return !state_.is_done();
}

Scanned Searcher::what_was_scanned(const IndexData& data) const {
  const SearchRequest& request = state_.request;
  Scanned scanned{.leaves = state_.done, .found = state_.candidates.size()};
  scanned.found_lately = scanned.found - std::min(found_before_, scanned.found);
  for (const RankedList& leaf : state_.leaves) {
    const std::size_t rows = data.lists[leaf.list].num_children;
    scanned.rows += rows;
    scanned.allowed += request.filter != nullptr ? request.filter->allowed_in(leaf.list) : rows;
  }
  if (request.filter != nullptr && !state_.leaves.empty()) {
    scanned.rows += navigator_.rows_passed_over(state_.leaves.back().squared_distance);
  }
  return scanned;
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
  std::size_t done = end;  // short of the end if the deadline passes
  const std::size_t codes = (end - begin) * (data.rows() / data.num_leaves());
  if (state_.request.threads <= 1 || groups == 1 || codes < kMinSharedCodes) {
    for (std::size_t group = 0; group < groups; ++group) {
      if (group != 0 && state_.request.is_late()) {
        done = begin + group * kGroup;
        break;
      }
      scan_group(group, scanner_, state_.candidates);
    }
  } else {
    if (workers_.size() < state_.request.threads) workers_.resize(state_.request.threads);
    for (Worker& worker : workers_) worker.candidates.resize(0);
    std::atomic<bool> is_cut_short{false};
    base::parallel_for(groups, state_.request.threads, [&](std::size_t group, unsigned thread) {
      if (group != 0 && state_.request.is_late()) {
        is_cut_short = true;
        return;
      }
      scan_group(group, workers_[thread].scanner, workers_[thread].candidates);
    });
    if (is_cut_short) done = begin;
    for (Worker& worker : workers_) {
      state_.candidates.append(worker.candidates);
      scanner_.codes_scanned += std::exchange(worker.scanner.codes_scanned, 0);
      scanner_.codes_refined += std::exchange(worker.scanner.codes_refined, 0);
    }
  }
  state_.end_round(known, done);
}

}  // namespace cairn::index

#include "index/searcher.h"

#include <algorithm>
#include <atomic>

#include "base/parallel.h"

namespace cairn::index {
namespace {

// Leaves that one thread scans before several share the rest: they would all wait for a threshold.
constexpr std::size_t kSeedLeaves = 8;

}  // namespace

std::span<const RowDistance> Searcher::search(const IndexData& data, const VectorStore& store,
                                              const float* query, const SearchRequest& request,
                                              SearchStats& stats) {
  state_.start(data, query, request);
  const std::span<const RankedList> leaves =
      navigator_.find_leaves(data, state_.code, request.probes, state_.stats);
  state_.leaves.assign(leaves.begin(), leaves.end());
  reranker_.start(data, store, query, request);
  scan(data);
  state_.stats.codes_scanned = scanner_.codes_scanned;
  state_.stats.codes_refined = scanner_.codes_refined;
  state_.stats.leaves_scanned = state_.leaves.size();
  state_.stats.stop_reason =
      state_.leaves.size() < data.num_leaves() ? StopReason::budget : StopReason::exhausted;
  const std::span<const RowDistance> results = reranker_.finish(state_);
  stats = state_.stats;
  return results;
}

void Searcher::scan(const IndexData& data) {
  scanner_.codes_scanned = 0;
  scanner_.codes_refined = 0;
  const std::size_t count = state_.leaves.size();
  if (state_.has_refine || state_.request.rerank != 0) {
    const std::size_t seeded = std::min(kSeedLeaves, count);
    scan_alone(data, 0, seeded);
    scan_range(data, seeded, count);
    return;
  }
  // Upper bounds of binary codes do not lower a threshold. Exact distances do, between rounds whose
  // work is fixed, so that what is read depends neither on threads nor on the store.
  for (std::size_t done = 0; done < count;) {
    const std::size_t end = std::min(count, done + std::max<std::size_t>(2, done / 2));
    scan_range(data, done, end);
    reranker_.tighten(state_);
    done = end;
  }
}

void Searcher::scan_range(const IndexData& data, std::size_t begin, std::size_t end) {
  if (state_.request.threads > 1 && end - begin > LeafScanner::kGroup) {
    scan_together(data, begin, end);
  } else {
    scan_alone(data, begin, end);
  }
}

void Searcher::scan_alone(const IndexData& data, std::size_t begin, std::size_t end) {
  while (begin < end) {
    const std::size_t next = std::min(end, begin + LeafScanner::group_size(begin));
    scanner_.scan_group(data, state_, begin, next, state_.threshold, state_.candidates);
    begin = next;
  }
}

// With all threads, which tell each other their thresholds.
void Searcher::scan_together(const IndexData& data, std::size_t begin, std::size_t end) {
  const std::size_t groups = (end - begin + LeafScanner::kGroup - 1) / LeafScanner::kGroup;
  if (workers_.size() < state_.request.threads) workers_.resize(state_.request.threads);
  for (Worker& worker : workers_) {
    worker.threshold = state_.threshold;
    worker.candidates.resize(0);
    worker.scanner.codes_scanned = 0;
    worker.scanner.codes_refined = 0;
  }
  std::atomic<float> shared = state_.threshold.value();
  base::parallel_for(groups, state_.request.threads, [&](std::size_t group, unsigned thread) {
    Worker& worker = workers_[thread];
    worker.threshold.lower_to(shared.load(std::memory_order_relaxed));
    const std::size_t first = begin + group * LeafScanner::kGroup;
    worker.scanner.scan_group(data, state_, first, std::min(end, first + LeafScanner::kGroup),
                              worker.threshold, worker.candidates);
    float known = shared.load(std::memory_order_relaxed);
    while (
        worker.threshold.value() < known &&
        !shared.compare_exchange_weak(known, worker.threshold.value(), std::memory_order_relaxed)) {
    }
  });
  for (const Worker& worker : workers_) {
    state_.threshold.offer(worker.candidates.upper);
    state_.candidates.append(worker.candidates);
    scanner_.codes_scanned += worker.scanner.codes_scanned;
    scanner_.codes_refined += worker.scanner.codes_refined;
  }
}

}  // namespace cairn::index

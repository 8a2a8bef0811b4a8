#include "index/searcher.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/parallel.h"
#include "base/prefetch.h"
#include "index/metric_distance.h"
#include "quantize/kernels/kernels.h"

namespace cairn::index {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Bounds are estimates less this many standard deviations: one-sided z-scores
// (docs/performance.md).
constexpr float kDeviations = 1.9f;

// Vectors read at once: enough to keep a slow store busy, and the margin over k of the first read.
constexpr std::size_t kReadChunk = 1024;
constexpr std::size_t kReadMargin = 8;

// Leaves that one thread scans before it goes on to their survivors' refine codes.
constexpr std::size_t kLeafGroup = 8;
// Bytes of the next leaf's codes that are asked for while this one is scanned.
constexpr std::size_t kBlocksAhead = 512;

// Leaves of the round that begins after `done` leaves: one by one first, since thresholds fall fast
// then, later a quarter of what has been scanned.
std::size_t round_size(std::size_t done) { return std::max<std::size_t>(1, done / 4); }

}  // namespace

std::span<const RowDistance> Searcher::search(const IndexData& data, const VectorStore& store,
                                              const float* query, const SearchRequest& request,
                                              SearchStats& stats) {
  data_ = &data;
  store_ = &store;
  query_ = query;
  request_ = request;
  query_norm_ = data.metric() == Metric::cosine ? std::sqrt(squared_norm(query, data.dim())) : 0;
  code_.prepare(data.frame, query, data.refine_code_bits());
  // With a fixed number of candidates estimates decide, not bounds; the first stage still leaves
  // room for its error before the second one.
  const bool has_refine = data.refine_code_bits() != 0;
  scan_deviations_ = request.rerank != 0 && !has_refine ? 0 : kDeviations;
  refine_deviations_ = request.rerank != 0 ? 0 : kDeviations;
  threshold_ = kInfinity;
  threshold_rank_ = request.rerank != 0 ? std::max(request.rerank, request.k) : request.k;

  leaves_ = navigator_.find_leaves(data, code_, request.probes, stats);
  reserve(data.max_leaf_size());
  for (std::size_t done = 0; done < leaves_.size();) {
    const std::size_t end = std::min(leaves_.size(), done + round_size(done));
    scan_round(done, end, stats);
    done = end;
    if (!has_refine && request.rerank == 0) tighten_by_exact(stats);
  }
  stats.leaves_scanned = leaves_.size();
  stats.stop_reason =
      leaves_.size() < data.num_leaves() ? StopReason::budget : StopReason::exhausted;
  if (request.rerank != 0) {
    rerank_fixed(stats);
  } else {
    rerank_by_bounds(stats);
  }
  std::sort_heap(results_.begin(), results_.end());
  return results_;
}

void Searcher::reserve(std::size_t max_leaf) {
  const std::size_t room = (max_leaf + 31) / 32 * 32 + 32;
  const std::size_t most = std::min(data_->rows(), request_.probes * max_leaf);
  if (workers_.size() < request_.threads) workers_.resize(request_.threads);
  for (Worker& worker : workers_) {
    worker.index.reserve_discarding(kLeafGroup * room);
    worker.value.reserve_discarding(kLeafGroup * room);
    worker.upper.reserve_discarding(room);
    worker.candidates.clear();
    worker.candidates.reserve(most);
    worker.uppers.clear();
    worker.uppers.reserve(most);
    worker.codes_scanned = 0;
    worker.codes_refined = 0;
  }
  candidates_.clear();
  candidates_.reserve(most);
  nearest_uppers_.clear();
  nearest_uppers_.reserve(std::min(threshold_rank_, most) + 1);
  results_.clear();
  results_.reserve(std::min(request_.k, most) + 1);
  const std::size_t reads =
      std::min(most, request_.rerank != 0 ? std::min(threshold_rank_, kReadChunk)
                                          : request_.k + kReadMargin);
  rows_.reserve(reads);
  distances_.reserve_discarding(reads);
  norms_.reserve_discarding(reads);
  if (store_->contiguous() == nullptr) fetched_.reserve_discarding(reads * data_->dim());
}

void Searcher::scan_round(std::size_t begin, std::size_t end, SearchStats& stats) {
  const std::size_t groups = (end - begin + kLeafGroup - 1) / kLeafGroup;
  base::parallel_for(groups, request_.threads, [&](std::size_t task, unsigned thread) {
    const std::size_t first = begin + task * kLeafGroup;
    scan_group(leaves_.subspan(first, std::min(kLeafGroup, end - first)), workers_[thread]);
  });
  for (Worker& worker : workers_) {
    candidates_.insert(candidates_.end(), worker.candidates.begin(), worker.candidates.end());
    for (const float upper : worker.uppers) lower_threshold(upper);
    stats.codes_scanned += worker.codes_scanned;
    stats.codes_refined += worker.codes_refined;
    worker.candidates.clear();
    worker.uppers.clear();
    worker.codes_scanned = 0;
    worker.codes_refined = 0;
  }
}

// Scans all leaves of the group before it looks at the refine codes of any survivor, so that these,
// scattered over memory, are on their way meanwhile.
void Searcher::scan_group(std::span<const RankedList> leaves, Worker& worker) const {
  const bool has_refine = data_->refine_code_bits() != 0;
  Survivors survivors[kLeafGroup];
  std::size_t used = 0;
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    if (i + 1 < leaves.size()) {
      base::prefetch(data_->block(data_->lists[leaves[i + 1].list].first_block), kBlocksAhead);
    }
    survivors[i] = {worker.index.data() + used, worker.value.data() + used, 0};
    scan_leaf(leaves[i], survivors[i], worker);
    used += survivors[i].count;
    if (!has_refine) continue;
    const ListEntry& list = data_->lists[leaves[i].list];
    const std::size_t row_bytes = data_->refine_row_bytes();
    const std::uint8_t* rows = data_->refine_codes.data() + list.first_child * row_bytes;
    for (std::size_t j = 0; j < survivors[i].count; ++j) {
      base::prefetch(rows + survivors[i].index[j] * row_bytes, row_bytes);
    }
  }
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    if (has_refine) {
      refine(leaves[i], survivors[i], worker);
      continue;
    }
    for (std::size_t j = 0; j < survivors[i].count; ++j) {
      const float bound = leaves[i].squared_distance + survivors[i].value[j];
      worker.candidates.push_back(
          {bound, data_->lists[leaves[i].list].first_child + survivors[i].index[j]});
      if (request_.rerank != 0) worker.uppers.push_back(bound);
    }
  }
}

// The children of a leaf whose lower bounds pass the threshold.
void Searcher::scan_leaf(const RankedList& leaf, Survivors& survivors, Worker& worker) const {
  const ListEntry& list = data_->lists[leaf.list];
  const float slack = scan_deviations_ * std::sqrt(leaf.squared_distance) * list.scan_sigma;
  survivors.count = kernels::active().scan_blocks(
      data_->block(list.first_block), list.num_children, code_.table.data(), data_->padded_dim(),
      code_.table_step, code_.scan_offset + slack, threshold_ - leaf.squared_distance,
      survivors.index, survivors.value);
  worker.codes_scanned += list.num_children;
  const float limit = first_threshold(leaf, survivors, worker);
  if (limit == kInfinity) return;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < survivors.count; ++i) {
    if (!(survivors.value[i] <= limit)) continue;
    survivors.index[kept] = survivors.index[i];
    survivors.value[kept++] = survivors.value[i];
  }
  survivors.count = kept;
}

// Before any threshold is known, the k-th least upper bound of a leaf's own children tells which of
// them need not be looked at again. Infinite where that says nothing.
float Searcher::first_threshold(const RankedList& leaf, const Survivors& survivors,
                                Worker& worker) const {
  if (threshold_ != kInfinity || survivors.count <= threshold_rank_) return kInfinity;
  const ListEntry& list = data_->lists[leaf.list];
  const std::size_t block_bytes = kernels::block_bytes(data_->padded_dim());
  const std::uint8_t* scales = data_->block(list.first_block) +
                               kernels::block_code_bytes(data_->padded_dim()) +
                               kernels::kBlockSize * sizeof(float);
  const float width = -2 * scan_deviations_ * std::sqrt(leaf.squared_distance) * list.scan_sigma;
  for (std::size_t i = 0; i < survivors.count; ++i) {
    const std::uint32_t child = survivors.index[i];
    float scale;
    std::memcpy(&scale,
                scales + child / kernels::kBlockSize * block_bytes +
                    child % kernels::kBlockSize * sizeof(float),
                sizeof(float));
    worker.upper[i] = survivors.value[i] + width * scale;
  }
  float* kth = worker.upper.data() + threshold_rank_ - 1;
  std::nth_element(worker.upper.data(), kth, worker.upper.data() + survivors.count);
  return *kth;
}

void Searcher::refine(const RankedList& leaf, const Survivors& survivors, Worker& worker) const {
  const ListEntry& list = data_->lists[leaf.list];
  const std::size_t row_bytes = data_->refine_row_bytes();
  const std::uint8_t* rows = data_->refine_codes.data() + list.first_child * row_bytes;
  float* dots = survivors.value;
  kernels::active().refine_dots(rows + quantize::kRefineFactorBytes, row_bytes, survivors.index,
                                survivors.count, data_->refine_code_bits(), code_.high.data(),
                                code_.low.data(), data_->padded_dim(), dots);
  worker.codes_refined += survivors.count;
  const float deviation =
      -std::sqrt(leaf.squared_distance) * list.refine_sigma * refine_deviations_;
  for (std::size_t i = 0; i < survivors.count; ++i) {
    const std::uint32_t child = survivors.index[i];
    float factors[2];
    std::memcpy(factors, rows + child * row_bytes, sizeof(factors));
    const float estimate = leaf.squared_distance + factors[0] +
                           factors[1] * (code_.refine_step * dots[i] + code_.refine_offset);
    const float error = deviation * factors[1];
    if (!(estimate - error < threshold_)) continue;
    worker.candidates.push_back({estimate - error, list.first_child + child});
    if (estimate + error < threshold_) worker.uppers.push_back(estimate + error);
  }
}

void Searcher::lower_threshold(float upper) {
  if (nearest_uppers_.size() < threshold_rank_) {
    nearest_uppers_.push_back(upper);
    std::push_heap(nearest_uppers_.begin(), nearest_uppers_.end());
  } else if (upper < nearest_uppers_.front()) {
    std::pop_heap(nearest_uppers_.begin(), nearest_uppers_.end());
    nearest_uppers_.back() = upper;
    std::push_heap(nearest_uppers_.begin(), nearest_uppers_.end());
  }
  if (nearest_uppers_.size() == threshold_rank_) {
    threshold_ = std::min(threshold_, std::nextafter(nearest_uppers_.front(), kInfinity));
  }
}

void Searcher::read_exact(std::size_t begin, std::size_t end, SearchStats& stats) {
  const std::size_t count = end - begin;
  const std::size_t dim = data_->dim();
  rows_.resize(count);
  for (std::size_t i = 0; i < count; ++i) rows_[i] = candidates_[begin + i].row;
  std::sort(rows_.begin(), rows_.end());
  store_->prefetch(rows_);
  const float* base = store_->contiguous();
  const std::uint32_t* rows = rows_.data();
  if (base == nullptr) {
    store_->read(rows_, fetched_.data());
    base = fetched_.data();
    rows = nullptr;
  }
  metric_distances(data_->metric(), query_, query_norm_, base, dim, rows, count, dim, norms_.data(),
                   distances_.data());
  for (std::size_t i = 0; i < count; ++i) {
    const RowDistance result{distances_[i], data_->id_of(rows_[i]), rows_[i]};
    if (results_.size() < request_.k) {
      results_.push_back(result);
      std::push_heap(results_.begin(), results_.end());
    } else if (result < results_.front()) {
      std::pop_heap(results_.begin(), results_.end());
      results_.back() = result;
      std::push_heap(results_.begin(), results_.end());
    }
  }
  stats.vectors_read += count;
  stats.vector_bytes_read += count * dim * sizeof(float);
}

float Searcher::exact_threshold() const {
  return results_.size() < request_.k ? kInfinity
                                      : code_.distance_map.to_frame(results_.front().distance);
}

// Without refine codes upper bounds are too loose to be of use; exact distances of the most
// promising candidates lower the threshold instead, whatever store they come from.
void Searcher::tighten_by_exact(SearchStats& stats) {
  const std::size_t batch = request_.k + kReadMargin;
  if (results_.size() == request_.k && candidates_.size() < 2 * batch) return;
  const std::size_t count = std::min(batch, candidates_.size());
  const auto cut = candidates_.begin() + static_cast<std::ptrdiff_t>(count);
  if (cut != candidates_.end()) std::nth_element(candidates_.begin(), cut, candidates_.end());
  read_exact(0, count, stats);
  candidates_.erase(candidates_.begin(), cut);
  threshold_ = std::min(threshold_, exact_threshold());
  std::erase_if(candidates_, [&](const Candidate& c) { return c.bound >= threshold_; });
}

void Searcher::rerank_by_bounds(SearchStats& stats) {
  std::erase_if(candidates_, [&](const Candidate& c) { return !(c.bound < threshold_); });
  std::sort(candidates_.begin(), candidates_.end());
  std::size_t chunk = request_.k + kReadMargin;
  for (std::size_t begin = 0; begin < candidates_.size();) {
    const float limit = exact_threshold();
    std::size_t end = begin;
    while (end < candidates_.size() && end - begin < chunk && candidates_[end].bound < limit) ++end;
    if (end == begin) break;
    read_exact(begin, end, stats);
    begin = end;
    chunk = std::max(kReadMargin, request_.k / 4);
  }
}

void Searcher::rerank_fixed(SearchStats& stats) {
  const std::size_t count = std::min(threshold_rank_, candidates_.size());
  const auto cut = candidates_.begin() + static_cast<std::ptrdiff_t>(count);
  if (cut != candidates_.end()) std::nth_element(candidates_.begin(), cut, candidates_.end());
  for (std::size_t begin = 0; begin < count; begin += kReadChunk) {
    read_exact(begin, std::min(count, begin + kReadChunk), stats);
  }
}

}  // namespace cairn::index

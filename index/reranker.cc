#include "index/reranker.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "index/metric_distance.h"
#include "quantize/kernels/kernels.h"

namespace cairn::index {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Vectors read at once: enough to keep a slow store busy, and the margin over k of the first read.
constexpr std::size_t kReadChunk = 1024;
constexpr std::size_t kReadMargin = 8;

}  // namespace

void Reranker::start(const IndexData& data, const VectorStore& store, const float* query,
                     const SearchRequest& request) {
  data_ = &data;
  store_ = &store;
  query_ = query;
  query_norm_ = data.metric() == Metric::cosine ? std::sqrt(squared_norm(query, data.dim())) : 0;
  k_ = request.k;
  results_.clear();
}

void Reranker::tighten(QueryState& state) {
  Candidates& candidates = state.candidates;
  const std::size_t batch = k_ + kReadMargin;
  if (results_.size() == k_ && candidates.size() < 2 * batch) return;
  sort_candidates(state);
  const std::size_t count = std::min(batch, sorted_rows_.size());
  read({sorted_rows_.data(), count}, state.stats);
  state.threshold = std::min(state.threshold, exact_threshold(state));
  std::size_t kept = 0;
  for (std::size_t i = count; i < sorted_rows_.size(); ++i) {
    if (!(sorted_lower_[i] < state.threshold)) break;
    candidates.rows[kept] = sorted_rows_[i];
    candidates.lower[kept] = sorted_lower_[i];
    ++kept;
  }
  candidates.resize(kept);
}

std::span<const RowDistance> Reranker::finish(QueryState& state) {
  sort_candidates(state);
  const std::span<const std::uint32_t> rows = sorted_rows_;
  if (state.request.rerank != 0) {
    const std::size_t count = std::min(state.threshold_rank, rows.size());
    for (std::size_t begin = 0; begin < count; begin += kReadChunk) {
      read(rows.subspan(begin, std::min(count - begin, kReadChunk)), state.stats);
    }
  } else {
    std::size_t chunk = k_ + kReadMargin;
    for (std::size_t begin = 0; begin < rows.size();) {
      const float limit = exact_threshold(state);
      std::size_t end = begin;
      while (end < rows.size() && end - begin < chunk && sorted_lower_[end] < limit) ++end;
      if (end == begin) break;
      read(rows.subspan(begin, end - begin), state.stats);
      begin = end;
      chunk = std::max(kReadMargin, k_ / 4);
    }
  }
  std::sort_heap(results_.begin(), results_.end());
  return results_;
}

// Ties by row, so that the order of `candidates` does not matter.
void Reranker::sort_candidates(const QueryState& state) {
  const kernels::Kernels& k = kernels::active();
  const Candidates& all = state.candidates;
  places_.reserve_discarding(all.size() + 16);
  lower_.reserve_discarding(all.size() + 16);
  const std::size_t count =
      k.take_between(all.lower.data(), all.size(), -kInfinity,
                     std::nextafter(state.threshold, -kInfinity), places_.data(), lower_.data());
  order_.resize(count);
  std::iota(order_.begin(), order_.end(), 0u);
  std::sort(order_.begin(), order_.end(), [&](std::uint32_t a, std::uint32_t b) {
    return lower_[a] != lower_[b] ? lower_[a] < lower_[b]
                                  : all.rows[places_[a]] < all.rows[places_[b]];
  });
  sorted_rows_.resize(count);
  sorted_lower_.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    sorted_rows_[i] = all.rows[places_[order_[i]]];
    sorted_lower_[i] = lower_[order_[i]];
  }
}

void Reranker::read(std::span<const std::uint32_t> rows, SearchStats& stats) {
  const std::size_t count = rows.size();
  const std::size_t dim = data_->dim();
  rows_.assign(rows.begin(), rows.end());
  std::sort(rows_.begin(), rows_.end());
  distances_.resize(count);
  norms_.resize(count);
  store_->prefetch(rows_);
  const float* base = store_->contiguous();
  const std::uint32_t* places = rows_.data();
  if (base == nullptr) {
    fetched_.reserve_discarding(count * dim);
    store_->read(rows_, fetched_.data());
    base = fetched_.data();
    places = nullptr;
  }
  metric_distances(data_->metric(), query_, query_norm_, base, dim, places, count, dim,
                   norms_.data(), distances_.data());
  for (std::size_t i = 0; i < count; ++i) {
    const RowDistance result{distances_[i], data_->id_of(rows_[i]), rows_[i]};
    if (results_.size() < k_) {
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

float Reranker::exact_threshold(const QueryState& state) const {
  return results_.size() < k_ ? kInfinity
                              : state.code.distance_map.to_frame(results_.front().distance);
}

}  // namespace cairn::index

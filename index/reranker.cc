#include "index/reranker.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/prefetch.h"
#include "index/metric_distance.h"
#include "quantize/kernels/kernels.h"

namespace cairn::index {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Vectors read at once: enough to keep a slow store busy, and the margin over k of the first read.
constexpr std::size_t kReadChunk = 1024;
constexpr std::size_t kReadMargin = 8;
// Where ties do not matter, reads stop after this many times as many as it took to find the
// results.
constexpr std::size_t kTieReads = 8;
// Of each vector this much is asked for ahead: the processor follows from there.
constexpr std::size_t kMaxPrefetchBytes = 1024;

}  // namespace

void Reranker::start(const IndexData& data, const VectorStore& store, const float* query,
                     const SearchRequest& request) {
  data_ = &data;
  store_ = &store;
  query_ = query;
  query_norm2_ = data.metric() == Metric::cosine ? precise_squared_norm(query, data.dim()) : 0;
  request_ = request;
  k_ = request.k;
  results_.clear();
  is_prepared_ = false;
  announced_ = 0;
}

void Reranker::prepare(const QueryState& state) {
  sort_candidates(state);
  is_prepared_ = true;
  announced_ = first_chunk(state);
  announce({sorted_rows_.data(), announced_});
  const float* base = store_->contiguous();
  if (base == nullptr) return;
  const std::size_t bytes = std::min(data_->dim() * sizeof(float), kMaxPrefetchBytes);
  for (std::size_t i = 0; i < std::min(announced_, k_ + kReadMargin); ++i) {
    base::prefetch(base + sorted_rows_[i] * data_->dim(), bytes);
  }
}

void Reranker::tighten(QueryState& state) {
  Candidates& candidates = state.candidates;
  const std::size_t batch = k_ + kReadMargin;
  if (results_.size() == k_ && candidates.size() < 2 * batch) return;
  sort_candidates(state);
  const std::size_t count = std::min(batch, sorted_rows_.size());
  read({sorted_rows_.data(), count}, state.stats);
  if (results_.size() == k_) {
    state.threshold.lower_to(state.code.distance_map.to_frame(results_.back().distance));
  }
  std::size_t kept = 0;
  for (std::size_t i = count; i < sorted_rows_.size(); ++i) {
    if (!(sorted_lower_[i] < state.threshold.value())) break;
    candidates.rows[kept] = sorted_rows_[i];
    candidates.lower[kept] = sorted_lower_[i];
    ++kept;
  }
  candidates.resize(kept);
}

std::span<const RowDistance> Reranker::finish(QueryState& state) {
  if (!is_prepared_) sort_candidates(state);
  if (request_.rerank != 0) {
    finish_fixed(state);
  } else if (wants_all()) {
    finish_range(state);
  } else {
    finish_by_bounds(state);
  }
  return near_results();
}

// Whether every candidate within the range is a result, with no limit to their number.
bool Reranker::wants_all() const noexcept {
  const std::size_t rows = request_.filter != nullptr ? request_.filter->rows() : data_->rows();
  return request_.is_range && k_ == rows;
}

void Reranker::finish_fixed(QueryState& state) {
  const std::span<const std::uint32_t> rows = sorted_rows_;
  const std::size_t count = std::min(state.threshold.k(), rows.size());
  for (std::size_t begin = 0; begin < count; begin += kReadChunk) {
    if (begin != 0 && is_late(state.stats)) return;
    read(rows.subspan(begin, std::min(count - begin, kReadChunk)), state.stats);
  }
}

void Reranker::finish_by_bounds(QueryState& state) {
  const std::span<const std::uint32_t> rows = sorted_rows_;
  std::size_t chunk = k_ + kReadMargin;
  std::size_t last_gain = 0;  // reads before the k-th distance last became less
  float kth = kInfinity;
  for (std::size_t begin = 0; begin < rows.size();) {
    if (results_.size() == k_ && results_.back().distance < kth) {
      kth = results_.back().distance;
      last_gain = begin;
    }
    // Reads without a gain become likelier the more were read, but not so many times as many.
    if (request_.leaves_ties && begin > kTieReads * (k_ + last_gain)) return;
    const float limit = exact_threshold(state);
    std::size_t end = begin;
    while (end < rows.size() && end - begin < chunk && sorted_lower_[end] < limit) ++end;
    if (end == begin || (begin != 0 && is_late(state.stats))) return;
    read(rows.subspan(begin, end - begin), state.stats);
    begin = end;
    chunk = std::max({kReadMargin, k_ / 4, begin / 8});
  }
}

// All candidates count, so they are put in order once.
void Reranker::finish_range(QueryState& state) {
  const std::span<const std::uint32_t> rows = sorted_rows_;
  for (std::size_t begin = 0; begin < rows.size(); begin += kReadChunk) {
    if (begin != 0 && is_late(state.stats)) break;
    const std::size_t count = std::min(rows.size() - begin, kReadChunk);
    compute_distances(rows.subspan(begin, count), state.stats);
    for (std::size_t i = 0; i < count; ++i) {
      if (!is_near(distances_[i])) continue;
      results_.push_back({distances_[i], data_->id_of(rows_[i]), rows_[i]});
    }
  }
  std::sort(results_.begin(), results_.end());
}

std::span<const RowDistance> Reranker::settle_allowed(SearchStats& stats) {
  const std::span<const std::uint32_t> rows = request_.filter->listed_rows();
  for (std::size_t begin = 0; begin < rows.size(); begin += kReadChunk) {
    if (begin != 0 && is_late(stats)) break;
    compute_distances(rows.subspan(begin, std::min(rows.size() - begin, kReadChunk)), stats);
    add_results(keep_nearest());
  }
  return near_results();
}

// Packs those of rows_ and distances_ together that may be among the results; returns how many.
std::size_t Reranker::keep_nearest() {
  const std::size_t count = rows_.size();
  const std::size_t wanted = k_ + kReadMargin;
  if (count <= 2 * wanted) return count;
  const float cut = kernels::active().find_cut(distances_.data(), count, k_, wanted);
  std::size_t kept = 0;
  for (std::size_t i = 0; i < count; ++i) {
    rows_[kept] = rows_[i];
    distances_[kept] = distances_[i];
    kept += distances_[i] <= cut ? 1 : 0;
  }
  return kept;
}

bool Reranker::is_near(float distance) const noexcept {
  return distance <= request_.max_distance && distance < kInfinity;
}

// The results but those that are too far away.
std::span<const RowDistance> Reranker::near_results() {
  while (!results_.empty() && !is_near(results_.back().distance)) results_.pop_back();
  return results_;
}

// Candidates that are read at once, before any exact distance is known: all that a search usually
// needs.
std::size_t Reranker::first_chunk(const QueryState& state) const {
  const std::size_t chunk =
      state.request.rerank != 0 ? std::min(state.threshold.k(), kReadChunk) : k_ + kReadMargin;
  return std::min(chunk, sorted_rows_.size());
}

bool Reranker::is_late(SearchStats& stats) const {
  if (!request_.is_late()) return false;
  stats.stop_reason = StopReason::deadline;
  return true;
}

// Ties by row, so that the order of `candidates` does not matter.
void Reranker::sort_candidates(const QueryState& state) {
  const kernels::Kernels& k = kernels::active();
  const Candidates& all = state.candidates;
  places_.reserve_discarding(all.size() + 16);
  lower_.reserve_discarding(all.size() + 16);
  const std::size_t count = k.take_between(all.lower.data(), all.size(), -kInfinity,
                                           std::nextafter(state.threshold.value(), -kInfinity),
                                           places_.data(), lower_.data());
  sorted_rows_.resize(count);
  sorted_lower_.resize(count);
  const std::span<const std::uint32_t> ranks = ranking_.rank({lower_.data(), count});
  for (std::size_t i = 0; i < count; ++i) {
    sorted_rows_[ranks[i]] = all.rows[places_[i]];
    sorted_lower_[ranks[i]] = lower_[i];
  }
  for (std::size_t begin = 0; begin < count;) {
    std::size_t end = begin + 1;
    while (end < count && sorted_lower_[end] == sorted_lower_[begin]) ++end;
    if (end - begin > 1) {
      std::sort(sorted_rows_.begin() + static_cast<std::ptrdiff_t>(begin),
                sorted_rows_.begin() + static_cast<std::ptrdiff_t>(end));
    }
    begin = end;
  }
}

void Reranker::announce(std::span<const std::uint32_t> rows) {
  rows_.assign(rows.begin(), rows.end());
  if (!std::is_sorted(rows_.begin(), rows_.end())) std::sort(rows_.begin(), rows_.end());
  store_->prefetch(rows_);
}

void Reranker::read(std::span<const std::uint32_t> rows, SearchStats& stats) {
  compute_distances(rows, stats);
  add_results(rows.size());
}

// Fills rows_ with the rows in ascending order, and distances_.
void Reranker::compute_distances(std::span<const std::uint32_t> rows, SearchStats& stats) {
  const std::size_t count = rows.size();
  const std::size_t dim = data_->dim();
  // The first rows of finish() may be announced already.
  if (std::exchange(announced_, 0) != count) announce(rows);
  distances_.resize(count);
  for (const std::uint32_t row : rows_) data_->prefetch_id(row);
  data_->touch_vectors(rows_);
  const float* base = store_->contiguous();
  const std::uint32_t* places = rows_.data();
  if (base == nullptr) {
    fetched_.reserve_discarding(count * dim);
    store_->read(rows_, fetched_.data());
    base = fetched_.data();
    places = nullptr;
  }
  metric_distances(data_->metric(), query_, query_norm2_, base, dim, places, count, dim,
                   distances_.data());
  // Only damaged vectors give what is no finite number. They are far from everything.
  for (float& distance : distances_) {
    if (!(std::fabs(distance) < kInfinity)) distance = kInfinity;
  }
  stats.vectors_read += count;
  stats.vector_bytes_read += count * dim * sizeof(float);
}

// Merges what compute_distances() left in rows_ and distances_ into the results.
void Reranker::add_results(std::size_t count) {
  const std::size_t known = results_.size();
  unsorted_.assign(results_.begin(), results_.end());
  distances_.resize(count + known);
  for (std::size_t i = 0; i < known; ++i) distances_[count + i] = results_[i].distance;
  for (std::size_t i = 0; i < count; ++i) {
    unsorted_.push_back({distances_[i], data_->id_of(rows_[i]), rows_[i]});
  }
  std::rotate(distances_.begin(), distances_.begin() + static_cast<std::ptrdiff_t>(count),
              distances_.end());
  const std::span<const std::uint32_t> ranks = ranking_.rank(distances_);
  results_.resize(unsorted_.size());
  for (std::size_t i = 0; i < unsorted_.size(); ++i) results_[ranks[i]] = unsorted_[i];
  for (auto begin = results_.begin(); begin != results_.end();) {
    auto end = begin + 1;
    while (end != results_.end() && end->distance == begin->distance) ++end;
    if (end - begin > 1) std::sort(begin, end);
    begin = end;
  }
  if (results_.size() > k_) results_.resize(k_);
}

float Reranker::exact_threshold(const QueryState& state) const {
  return results_.size() < k_ ? kInfinity : state.threshold_of(results_.back().distance);
}

}  // namespace cairn::index

#include "cairn/exact_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "cairn/error.h"

#include "base/checked.h"
#include "base/parallel.h"
#include "index/metric_distance.h"
#include "index/query_progress.h"
#include "index/validate.h"

namespace cairn {
namespace {

using index::inner_product_distance;

// A tile of base rows stays in L2 while a block of queries, a share of L2 too, passes over it.
constexpr std::size_t kTileBytes = std::size_t{192} << 10;
constexpr std::size_t kMinTileRows = 16;
constexpr std::size_t kMaxTileRows = 1024;
constexpr std::size_t kQueryBlockBytes = std::size_t{128} << 10;
constexpr std::size_t kMinQueryBlock = 8;
constexpr std::size_t kMaxQueryBlock = 64;
constexpr std::size_t kTasksPerThread = 4;

[[noreturn]] void refuse(const std::string& message) {
  throw Error(ErrorCode::invalid_argument, message);
}

std::size_t rows_in(std::size_t bytes, std::size_t dim, std::size_t low, std::size_t high) {
  return std::clamp(bytes / (dim * sizeof(float)), low, high);
}

// The nearest `capacity` of the rows offered in ascending id order: a max-heap whose front is the
// one to beat. A later row as far as the front loses to it by its larger id.
class NearestHeap {
 public:
  explicit NearestHeap(std::size_t capacity) : capacity_(capacity) { heap_.reserve(capacity); }

  void offer_run(const float* distances, std::size_t count, VectorId first_id) {
    constexpr std::size_t kStride = 16;
    std::size_t i = 0;
    for (; i + kStride <= count; i += kStride) {
      unsigned any = 0;
      for (std::size_t j = 0; j < kStride; ++j) any |= distances[i + j] < worst_ ? 1u : 0u;
      if (any == 0) continue;
      for (std::size_t j = i; j < i + kStride; ++j) offer(distances[j], first_id + j);
    }
    for (; i < count; ++i) offer(distances[i], first_id + i);
  }

  void offer(float distance, VectorId id) {
    if (!(distance < worst_)) return;
    if (heap_.size() == capacity_) {
      std::pop_heap(heap_.begin(), heap_.end());
      heap_.back() = {id, distance};
    } else {
      heap_.push_back({id, distance});
    }
    std::push_heap(heap_.begin(), heap_.end());
    if (heap_.size() == capacity_) worst_ = heap_.front().distance;
  }

  // What the distance of the next hit must stay below.
  float worst() const noexcept { return worst_; }
  const std::vector<Neighbor>& hits() const noexcept { return heap_; }

 private:
  std::size_t capacity_;
  float worst_ = std::numeric_limits<float>::infinity();
  std::vector<Neighbor> heap_;
};

// Inverse Euclidean norms of all rows.
std::vector<float> inverse_norms(MatrixView vectors, unsigned threads) {
  std::vector<float> norms(vectors.rows);
  base::parallel_chunks(
      vectors.rows, kMaxTileRows, threads, [&](std::size_t begin, std::size_t end, unsigned) {
        for (std::size_t row = begin; row < end; ++row) {
          norms[row] = 1.0f / std::sqrt(index::squared_norm(vectors.row(row), vectors.dim));
        }
      });
  return norms;
}

// How far a cosine of float32 sums may be off: three sums over dim terms in 16 lanes, two roots,
// two reciprocals and two products.
float cosine_rounding(std::size_t dim) {
  return (2 * (static_cast<float>(dim) / 16 + 8) + 8) * 0x1p-24f;
}

class BruteForce {
 public:
  BruteForce(MatrixView base, MatrixView queries, std::size_t k, Metric metric, unsigned threads,
             const std::function<bool(std::size_t)>& on_query)
      : base_(base),
        queries_(queries),
        k_(k),
        metric_(metric),
        threads_(threads),
        progress_("exact search", queries.rows,
                  static_cast<double>(queries.rows) * static_cast<double>(base.rows), on_query) {
    if (metric == Metric::cosine) {
      base_norms_ = inverse_norms(base, threads);
      query_norms_ = inverse_norms(queries, threads);
    }
  }

  // Work is cut into blocks of queries times ranges of rows; rows are cut only as far as it takes
  // to give every thread something to do. How it is cut cannot be seen in the results, since
  // neighbours are in a total order.
  BatchResult run() {
    block_ = rows_in(kQueryBlockBytes, base_.dim, kMinQueryBlock, kMaxQueryBlock);
    tile_ = rows_in(kTileBytes, base_.dim, kMinTileRows, kMaxTileRows);
    const std::size_t num_blocks = (queries_.rows + block_ - 1) / block_;
    const std::size_t num_tiles = (base_.rows + tile_ - 1) / tile_;
    const std::size_t wanted = (threads_ * kTasksPerThread + num_blocks - 1) / num_blocks;
    const std::size_t num_ranges =
        threads_ == 1 ? 1 : std::clamp<std::size_t>(num_tiles, 1, wanted);

    std::vector<std::vector<NearestHeap>> partial(num_blocks * num_ranges);
    base::parallel_for(partial.size(), threads_, [&](std::size_t task, unsigned) {
      const std::size_t range = task % num_ranges;
      partial[task] = scan(task / num_ranges, num_tiles * range / num_ranges,
                           num_tiles * (range + 1) / num_ranges);
    });
    progress_.finish();
    return merge(partial, num_ranges);
  }

 private:
  std::vector<NearestHeap> scan(std::size_t block, std::size_t first_tile, std::size_t last_tile) {
    const std::size_t first_query = block * block_;
    const std::size_t m = std::min(block_, queries_.rows - first_query);
    std::vector<NearestHeap> heaps(m, NearestHeap(std::min(k_, base_.rows)));
    std::vector<float> values(m * tile_);
    for (std::size_t tile = first_tile; tile < last_tile; ++tile) {
      const std::size_t first_row = tile * tile_;
      const std::size_t n = std::min(tile_, base_.rows - first_row);
      fill_distances(first_query, m, first_row, n, values.data());
      for (std::size_t i = 0; i < m; ++i) {
        const float* const line = values.data() + i * n;
        if (metric_ == Metric::cosine) {
          offer_precise(first_query + i, line, n, first_row, heaps[i]);
        } else {
          heaps[i].offer_run(line, n, first_row);
        }
      }
      progress_.advance(m * n);
    }
    return heaps;
  }

  void fill_distances(std::size_t first_query, std::size_t m, std::size_t first_row, std::size_t n,
                      float* values) const {
    const kernels::Kernels& kernel = kernels::active();
    const float* const queries = queries_.row(first_query);
    const float* const rows = base_.row(first_row);
    if (metric_ == Metric::l2) {
      kernel.l2sq_block(queries, m, rows, n, base_.dim, values);
      return;
    }
    kernel.dot_block(queries, m, rows, n, base_.dim, values);
    if (metric_ == Metric::inner_product) {
      for (std::size_t i = 0; i < m * n; ++i) values[i] = inner_product_distance(values[i]);
      return;
    }
    // What the distance is at least.
    const float rounding = cosine_rounding(base_.dim);
    for (std::size_t i = 0; i < m; ++i) {
      const float query_norm = query_norms_[first_query + i];
      float* const line = values + i * n;
      for (std::size_t j = 0; j < n; ++j) {
        line[j] = 1 - line[j] * (query_norm * base_norms_[first_row + j]) - rounding;
      }
    }
  }

  // Offers the rows whose lower bounds may win, by the distances that they really have: few, but
  // for rows that are all about as near.
  void offer_precise(std::size_t query, const float* bounds, std::size_t count,
                     std::size_t first_row, NearestHeap& heap) const {
    constexpr std::size_t kChunk = 32;
    const float* const values = queries_.row(query);
    const double norm2 = index::precise_squared_norm(values, base_.dim);
    std::uint32_t rows[kChunk];
    float distances[kChunk];
    for (std::size_t i = 0; i < count;) {
      std::size_t chosen = 0;
      for (; i < count && chosen < kChunk; ++i) {
        rows[chosen] = static_cast<std::uint32_t>(i);
        chosen += bounds[i] < heap.worst() ? 1 : 0;
      }
      index::metric_distances(metric_, values, norm2, base_.row(first_row), base_.dim, rows, chosen,
                              base_.dim, distances);
      for (std::size_t j = 0; j < chosen; ++j) heap.offer(distances[j], first_row + rows[j]);
    }
  }

  BatchResult merge(const std::vector<std::vector<NearestHeap>>& partial,
                    std::size_t num_ranges) const {
    BatchResult result{queries_.rows, k_, {}, {}};
    result.ids.assign(queries_.rows * k_, kNoId);
    result.distances.assign(queries_.rows * k_, std::numeric_limits<float>::infinity());
    std::vector<Neighbor> hits;
    for (std::size_t query = 0; query < queries_.rows; ++query) {
      hits.clear();
      for (std::size_t range = 0; range < num_ranges; ++range) {
        const NearestHeap& heap = partial[query / block_ * num_ranges + range][query % block_];
        hits.insert(hits.end(), heap.hits().begin(), heap.hits().end());
      }
      std::sort(hits.begin(), hits.end());
      for (std::size_t rank = 0; rank < std::min(k_, hits.size()); ++rank) {
        result.ids[query * k_ + rank] = hits[rank].id;
        result.distances[query * k_ + rank] = hits[rank].distance;
      }
    }
    return result;
  }

  MatrixView base_;
  MatrixView queries_;
  std::size_t k_;
  Metric metric_;
  unsigned threads_;
  index::QueryProgress progress_;
  std::size_t block_ = 0;          // queries that pass over a tile together
  std::size_t tile_ = 0;           // rows
  std::vector<float> base_norms_;  // inverse, under cosine
  std::vector<float> query_norms_;
};

void check_columns(const BatchResult& result, const char* what, std::size_t k) {
  const bool fits = !base::is_beyond_memory(result.queries, result.k, sizeof(VectorId));
  const std::size_t results = fits ? result.queries * result.k : 0;
  if (!fits || result.ids.size() != results ||
      (!result.distances.empty() && result.distances.size() != results)) {
    refuse(std::string("recall: ") + what + " has " + std::to_string(result.ids.size()) +
           " ids and " + std::to_string(result.distances.size()) + " distances; expected " +
           std::to_string(result.queries) + " times " + std::to_string(result.k));
  }
  if (result.k < k) {
    refuse(std::string("recall: ") + what + " has " + std::to_string(result.k) +
           " columns; expected at least k = " + std::to_string(k));
  }
}

// Hits of one query: distinct ids among the true k or, where distances are known on both sides or
// truth goes on beyond rank k, exactly as far as the k-th.
std::size_t count_hits(const BatchResult& found, const BatchResult& truth, std::size_t query,
                       std::size_t k) {
  const VectorId* const true_ids = truth.ids.data() + query * truth.k;
  const float* const true_distances =
      truth.distances.empty() ? nullptr : truth.distances.data() + query * truth.k;
  std::size_t true_count = k;
  if (true_distances != nullptr) {
    while (true_count < truth.k && true_distances[true_count] == true_distances[k - 1]) {
      ++true_count;
    }
  }
  std::size_t hits = 0;
  const VectorId* const ids = found.ids.data() + query * found.k;
  for (std::size_t rank = 0; rank < k; ++rank) {
    if (ids[rank] == kNoId || std::find(ids, ids + rank, ids[rank]) != ids + rank) continue;
    const bool is_as_far = true_distances != nullptr && !found.distances.empty() &&
                           found.distances[query * found.k + rank] == true_distances[k - 1];
    if (is_as_far ||
        std::find(true_ids, true_ids + true_count, ids[rank]) != true_ids + true_count) {
      ++hits;
    }
  }
  return hits;
}

}  // namespace

BatchResult exact_search(MatrixView base, MatrixView queries, std::size_t k, Metric metric,
                         unsigned threads, const std::function<bool(std::size_t)>& on_query) {
  if (k == 0 || k > kMaxRows) {
    refuse("exact search: k is " + std::to_string(k) + "; expected 1 to " +
           std::to_string(kMaxRows));
  }
  if (queries.dim != base.dim) {
    refuse("exact search: queries have dimension " + std::to_string(queries.dim) +
           "; expected that of the base, " + std::to_string(base.dim));
  }
  index::check_result_size(queries.rows, k);
  index::validate_rows(base, metric, "base vectors", threads);
  index::validate_rows(queries, metric, "queries", threads);
  if (queries.rows == 0) return {0, k, {}, {}};
  return BruteForce(base, queries, k, metric, base::resolve_threads(threads), on_query).run();
}

double recall_at_k(const BatchResult& found, const BatchResult& truth, std::size_t k) {
  if (k == 0) refuse("recall: k is 0; expected at least 1");
  if (found.queries != truth.queries) {
    refuse("recall: results of " + std::to_string(found.queries) + " queries; truth is of " +
           std::to_string(truth.queries));
  }
  check_columns(found, "result", k);
  check_columns(truth, "truth", k);
  std::size_t hits = 0;
  std::size_t expected = 0;
  for (std::size_t query = 0; query < truth.queries; ++query) {
    const auto first = truth.ids.begin() + static_cast<std::ptrdiff_t>(query * truth.k);
    const auto last = first + static_cast<std::ptrdiff_t>(k);
    const auto wanted =
        static_cast<std::size_t>(k) - static_cast<std::size_t>(std::count(first, last, kNoId));
    expected += wanted;
    hits += std::min(wanted, count_hits(found, truth, query, k));
  }
  return expected == 0 ? 1.0 : static_cast<double>(hits) / static_cast<double>(expected);
}

}  // namespace cairn

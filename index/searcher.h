#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "cairn/stats.h"
#include "cairn/types.h"
#include "cairn/vector_store.h"

#include "base/aligned_buffer.h"
#include "index/index_data.h"
#include "index/navigator.h"
#include "quantize/query_code.h"

namespace cairn::index {

// One query, with every default resolved.
struct SearchRequest {
  std::size_t k = 10;      // at least 1, at most rows
  std::size_t probes = 1;  // leaves to scan, at least 1
  std::size_t rerank = 0;  // 0: bound-driven; else exact distances of this many candidates
  unsigned threads = 1;
};

// A result as a row number, in the index's order.
struct RowDistance {
  float distance;  // as users see it
  VectorId id;
  std::uint32_t row;

  // Worse is greater: by distance, ties by id.
  friend bool operator<(const RowDistance& a, const RowDistance& b) noexcept {
    return a.distance != b.distance ? a.distance < b.distance : a.id < b.id;
  }
};

// The path of a query: navigate, scan leaves in rounds, refine survivors, rerank by exact distance.
//
// Thresholds change only between rounds, and each round's work is fixed before it begins; so the
// result depends neither on threads nor on the order in which a round's leaves are scanned, nor on
// the store behind the vectors.
// Holds all scratch memory; nothing is allocated once it has grown to the sizes asked for. One per
// thread.
class Searcher {
 public:
  // The results, nearest first, valid until the next call. `query` has data.dim() values that
  // passed validation; data.rows() > 0.
  std::span<const RowDistance> search(const IndexData& data, const VectorStore& store,
                                      const float* query, const SearchRequest& request,
                                      SearchStats& stats);

  // The leaves that the last search scanned, nearest first.
  std::span<const RankedList> scanned_leaves() const noexcept { return leaves_; }

 private:
  // A row that may be among the results: a lower bound of its distance (its estimate, if a number
  // of candidates was asked for).
  struct Candidate {
    float bound;
    std::uint32_t row;
    friend bool operator<(const Candidate& a, const Candidate& b) noexcept {
      return a.bound != b.bound ? a.bound < b.bound : a.row < b.row;
    }
  };
  // What one thread needs to scan leaves, and what it found in a round.
  struct Worker {
    base::AlignedArray<std::uint32_t> index;
    base::AlignedArray<float> value;
    base::AlignedArray<float> upper;
    std::vector<Candidate> candidates;
    std::vector<float> uppers;  // upper bounds below the threshold
    std::size_t codes_scanned = 0;
    std::size_t codes_refined = 0;
  };

  // Children of one leaf that passed the first stage: places in the leaf, and values without the
  // leaf's own distance. Parts of a worker's arrays.
  struct Survivors {
    std::uint32_t* index;
    float* value;
    std::size_t count;
  };

  void reserve(std::size_t max_leaf);
  void scan_round(std::size_t begin, std::size_t end, SearchStats& stats);
  void scan_group(std::span<const RankedList> leaves, Worker& worker) const;
  void scan_leaf(const RankedList& leaf, Survivors& survivors, Worker& worker) const;
  void refine(const RankedList& leaf, const Survivors& survivors, Worker& worker) const;
  float first_threshold(const RankedList& leaf, const Survivors& survivors, Worker& worker) const;
  void lower_threshold(float upper);
  // Reads the vectors of candidates_[begin, end) and puts their exact distances into results_.
  void read_exact(std::size_t begin, std::size_t end, SearchStats& stats);
  void tighten_by_exact(SearchStats& stats);
  void rerank_by_bounds(SearchStats& stats);
  void rerank_fixed(SearchStats& stats);
  float exact_threshold() const;

  quantize::QueryCode code_;
  Navigator navigator_;
  std::vector<Worker> workers_;
  std::vector<Candidate> candidates_;
  std::vector<float> nearest_uppers_;  // max-heap of the threshold_rank_ least upper bounds
  std::vector<RowDistance> results_;   // max-heap of the k nearest, then sorted
  std::vector<std::uint32_t> rows_;
  base::AlignedArray<float> distances_;
  base::AlignedArray<float> norms_;
  base::AlignedArray<float> fetched_;

  // Of the search under way.
  const IndexData* data_ = nullptr;
  const VectorStore* store_ = nullptr;
  const float* query_ = nullptr;
  float query_norm_ = 0;
  SearchRequest request_;
  std::span<const RankedList> leaves_;
  float threshold_ = 0;  // candidates with bounds at or above it are out
  std::size_t threshold_rank_ = 0;
  float scan_deviations_ = 0;
  float refine_deviations_ = 0;
};

}  // namespace cairn::index

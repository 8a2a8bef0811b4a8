#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/aligned_buffer.h"
#include "base/raw_vector.h"
#include "index/index_data.h"
#include "index/leaf_bounds.h"
#include "index/query_state.h"

namespace cairn::index {

// Rows that passed the first stage, of some leaves: what the second stage needs of each.
struct Survivors {
  base::AlignedArray<std::uint32_t> rows;
  base::AlignedArray<float> lower;   // the first stage's bounds
  base::AlignedArray<float> base;    // of the leaf's bounds
  base::AlignedArray<float> spread;  // the same
  std::size_t count = 0;

  // What a scan of one leaf may write.
  static std::size_t room_for_leaf(const IndexData& data) noexcept {
    return (data.max_leaf_size() + 31) / 32 * 32 + 32;
  }
  void reserve(std::size_t room);
  // Sets base and spread of the survivors from `first` on.
  void set_bounds(std::size_t first, const LeafBounds& bounds);
};

// The second stage: appends the survivors whose bounds stay below the threshold.
void append_refined(const IndexData& data, const kernels::RefineQuery& query,
                    const Survivors& survivors, float threshold, Candidates& out);
// Where there are no refine codes: appends all survivors.
void append_unrefined(const SearchRequest& request, const Survivors& survivors, Candidates& out);

// Scans leaves for one query: binary codes first, refine codes of what survives. Holds scratch
// memory only; one per thread.
class LeafScanner {
 public:
  // Leaves that are scanned before their survivors' refine codes are read.
  static constexpr std::size_t kGroup = 8;
  // Appends the candidates of leaves [begin, end) of `query`'s list, at most kGroup and of one
  // round. The state stays as it is, so that several threads may scan for one query.
  void scan_group(const IndexData& data, const QueryState& query, std::size_t begin,
                  std::size_t end, Candidates& out);

  std::size_t codes_scanned = 0;  // since the caller last set them
  std::size_t codes_refined = 0;

 private:
  void scan_leaf(const IndexData& data, const QueryState& query, const RankedList& leaf,
                 const std::uint8_t* next);
  std::size_t scan_all(const IndexData& data, const QueryState& query, const ListEntry& list,
                       const LeafBounds& bounds, const std::uint8_t* next, std::uint32_t* rows,
                       float* lower);
  std::size_t scan_allowed(const IndexData& data, const QueryState& query, const ListEntry& list,
                           const LeafBounds& bounds, const std::uint8_t* next, std::uint32_t* rows,
                           float* lower);
  void refine_best_first(const IndexData& data, const QueryState& query, float margin,
                         Candidates& out);
  void refine_between(const IndexData& data, const QueryState& query, float above, float limit,
                      float threshold, Candidates& out);

  Survivors survivors_;
  Survivors chosen_;
  base::AlignedArray<std::uint32_t> places_;
  base::RawVector<float> uppers_;
};

}  // namespace cairn::index

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/aligned_buffer.h"
#include "index/index_data.h"
#include "index/query_state.h"

namespace cairn::index {

// Rows that passed the first stage, of some leaves: what the second stage needs of each.
struct Survivors {
  base::AlignedArray<std::uint32_t> rows;
  base::AlignedArray<float> lower;   // the first stage's bounds
  base::AlignedArray<float> base;    // squared distance of the query to the leaf's centre
  base::AlignedArray<float> spread;  // see kernels::refine_rows
  std::size_t count = 0;

  void reserve(std::size_t room);
};

// Scans leaves for one query: binary codes first, refine codes of what survives. Holds scratch
// memory only; one per thread.
class LeafScanner {
 public:
  // Leaves that are scanned before their survivors' refine codes are read.
  static constexpr std::size_t kGroup = 8;

  // Appends the candidates of at most kGroup leaves of `query`, given as places in its list. The
  // state stays as it is, so that several threads may scan groups of one round.
  void scan_group(const IndexData& data, const QueryState& query, std::size_t begin,
                  std::size_t end, Candidates& out);

  std::size_t codes_scanned = 0;  // since the caller last set them
  std::size_t codes_refined = 0;

 private:
  void scan_leaf(const IndexData& data, const QueryState& query, const RankedList& leaf,
                 const std::uint8_t* next);
  void take_unrefined(const QueryState& query, Candidates& out) const;
  void refine(const IndexData& data, const QueryState& query, Candidates& out);
  void refine_between(const IndexData& data, const QueryState& query, float above, float limit,
                      float threshold, Candidates& out);

  Survivors survivors_;
  Survivors chosen_;
  base::AlignedArray<std::uint32_t> places_;
  std::vector<float> uppers_;
};

}  // namespace cairn::index

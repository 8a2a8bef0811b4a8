#pragma once

#include <cstddef>

#include "index/index_data.h"
#include "index/query_state.h"

namespace cairn::index {

// How far a search goes whose number of leaves cannot be told beforehand: because a filter leaves
// few rows in some leaves and many in others, or because all within a distance are sought.

// What such a search has seen, leaves in the order of their distance.
struct Scanned {
  std::size_t leaves = 0;        // scanned
  std::size_t rows = 0;          // in these, and in those without allowed rows that are as near
  std::size_t allowed = 0;       // of these, allowed
  std::size_t found = 0;         // of these, perhaps within the distance asked for
  std::size_t found_lately = 0;  // of these, in the leaves since the last look
};

// Whether reading all rows that the request's filter allows takes less time than to look for the
// best of them by codes. The store has no say in this, since results must not depend on it.
bool is_exact_cheaper(const IndexData& data, const SearchRequest& request);

// The number of leaves to scan before there is anything to go by.
std::size_t first_leaves(const IndexData& data, const SearchRequest& request);
// The number of leaves to scan, in all, before the next look; at most scanned.leaves: enough.
std::size_t leaves_wanted(const IndexData& data, const SearchRequest& request,
                          const Scanned& scanned);

}  // namespace cairn::index

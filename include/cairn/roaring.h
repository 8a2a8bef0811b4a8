#pragma once

// Filters of CRoaring bitmaps. Cairn itself neither needs nor includes CRoaring: include its header
// first. Not part of cairn/cairn.h.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cairn/filter.h"
#include "cairn/types.h"

namespace cairn {

/// Allows the ids that are set in a roaring::Roaring or Roaring64Map of CRoaring's C++ interface.
/// Copies them: an eighth of a byte for each id up to the largest, or 8 bytes for each that is set,
/// whichever is less. Cost: O(cardinality).
template <typename Bitmap>
requires requires(const Bitmap& bitmap) {
  bitmap.cardinality();
  bitmap.maximum();
  *bitmap.begin();
}
Filter filter_from_roaring(const Bitmap& bitmap) {
  const std::uint64_t count = bitmap.cardinality();
  if (count == 0) return Filter::from_ids({});
  const std::uint64_t words = std::uint64_t{bitmap.maximum()} / 64 + 1;
  // Counted, since not every compiler compares iterators whose comparison is no const member.
  auto id = bitmap.begin();
  if (words <= count) {
    std::vector<std::uint64_t> bits(words, 0);
    for (std::uint64_t i = 0; i < count; ++i, ++id) {
      bits[*id / 64] |= std::uint64_t{1} << (*id % 64);
    }
    return Filter::from_bitmap(bits);
  }
  std::vector<VectorId> ids;
  ids.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i, ++id) ids.push_back(*id);
  return Filter::from_ids(ids);
}

/// The same of a roaring_bitmap_t of its C interface. Takes 4 bytes more per id while it copies.
template <typename Bitmap>
requires requires(const Bitmap& bitmap) { roaring_bitmap_get_cardinality(&bitmap); }
Filter filter_from_roaring(const Bitmap& bitmap) {
  std::vector<std::uint32_t> ids(roaring_bitmap_get_cardinality(&bitmap));
  roaring_bitmap_to_uint32_array(&bitmap, ids.data());
  if (ids.empty() || ids.back() / 64 >= ids.size()) {
    return Filter::from_ids(std::vector<VectorId>(ids.begin(), ids.end()));
  }
  std::vector<std::uint64_t> bits(ids.back() / 64 + 1, 0);
  for (const std::uint32_t id : ids) bits[id / 64] |= std::uint64_t{1} << (id % 64);
  return Filter::from_bitmap(bits);
}

}  // namespace cairn

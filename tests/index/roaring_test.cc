// cairn/roaring.h with Debian's CRoaring.

#include "cairn/roaring.h"

#include <memory>

#include <gtest/gtest.h>
#include <roaring/roaring.h>
#include <roaring/roaring.hh>
#include <roaring/roaring64map.hh>

#include "cairn/clustered_index.h"

#include "tests/util/random_vectors.h"

namespace {

using cairn::Filter;
using cairn::VectorId;

// Sparse and dense ones, by another path each.
TEST(Roaring, FiltersAllowWhatIsSet) {
  for (const std::uint32_t step : {1u, 3u, 1000u}) {
    Roaring bitmap;
    Roaring64Map wide;
    const std::unique_ptr<roaring_bitmap_t, void (*)(roaring_bitmap_t*)> plain(
        roaring_bitmap_create(), [](roaring_bitmap_t* b) { roaring_bitmap_free(b); });
    for (std::uint32_t id = 7; id < 100000; id += step) {
      bitmap.add(id);
      wide.add(std::uint64_t{id});
      roaring_bitmap_add(plain.get(), id);
    }
    for (const Filter& filter :
         {cairn::filter_from_roaring(bitmap), cairn::filter_from_roaring(wide),
          cairn::filter_from_roaring(*plain)}) {
      for (VectorId id = 0; id < 101000; ++id) {
        ASSERT_EQ(filter.allows(id), id >= 7 && id < 100000 && (id - 7) % step == 0) << id;
      }
      EXPECT_FALSE(filter.allows(VectorId{7} + (VectorId{1} << 32)));
    }
  }
}

TEST(Roaring, EmptyAndLargeIds) {
  EXPECT_FALSE(cairn::filter_from_roaring(Roaring()).allows(0));
  Roaring64Map wide;
  const VectorId large = (VectorId{1} << 60) + 5;
  wide.add(std::uint64_t{large});
  const Filter filter = cairn::filter_from_roaring(wide);
  EXPECT_TRUE(filter.allows(large));
  EXPECT_FALSE(filter.allows(5));
}

TEST(Roaring, FiltersSearches) {
  const cairn::test::Vectors rows = cairn::test::clustered_vectors(500, 16, 5, 1);
  const auto index = cairn::ClusteredIndex::build(rows.view());
  const Filter filter = cairn::filter_from_roaring(Roaring::bitmapOf(3, 9, 400, 77));
  EXPECT_EQ(index.search({rows.row(400), 16}, {.k = 10, .filter = &filter}).size(), 3u);
  EXPECT_EQ(index.search({rows.row(400), 16}, {.k = 10, .filter = &filter})[0].id, 400u);
}

}  // namespace

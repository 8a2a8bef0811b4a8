#include "storage/row_sorter.h"

#include <algorithm>
#include <numeric>

#include <gtest/gtest.h>

#include "base/random.h"
#include "tests/util/expect_error.h"
#include "tests/util/file_size_limit.h"
#include "tests/util/sample_container.h"
#include "tests/util/temp_dir.h"

namespace cairn::storage {
namespace {

using cairn::test::expect_error;
using cairn::test::FileSizeLimit;
using cairn::test::random_bytes;
using cairn::test::TempDir;

std::vector<std::uint32_t> shuffled_places(std::uint32_t count) {
  std::vector<std::uint32_t> places(count);
  std::iota(places.begin(), places.end(), 0u);
  base::Random random(1);
  for (std::size_t i = count; i-- > 1;) std::swap(places[i], places[random.below(i + 1)]);
  return places;
}

TEST(RowSorter, GivesRowsBackInOrderOfPlace) {
  const TempDir dir;
  constexpr std::size_t kRowBytes = 37;
  constexpr std::uint32_t kRows = 5000;
  const std::vector<std::byte> rows = random_bytes(kRows * kRowBytes, 2);
  for (const std::size_t buffer_bytes : {std::size_t{0}, std::size_t{1000}, std::size_t{1} << 20}) {
    RowSorter sorter(dir.path(), kRowBytes, {1, 1, 2000, 4999, kRows}, buffer_bytes);
    for (const std::uint32_t place : shuffled_places(kRows)) {
      sorter.put(place, std::span(rows).subspan(place * kRowBytes, kRowBytes));
    }
    std::vector<std::byte> sorted(rows.size());
    for (std::size_t bucket = 0; bucket < sorter.buckets(); ++bucket) {
      sorter.read_bucket(bucket, sorted.data() + sorter.begin(bucket) * kRowBytes);
    }
    EXPECT_EQ(sorted, rows);
    EXPECT_TRUE(dir.names().empty());
  }
}

TEST(RowSorter, TakesNoRows) {
  const TempDir dir;
  RowSorter sorter(dir.path(), 8, {}, 1000);
  EXPECT_EQ(sorter.buckets(), 0u);
}

TEST(RowSorter, NoticesAFullDiskBeforeTheFirstRow) {
  const TempDir dir;
  const FileSizeLimit limit(1 << 20);
  expect_error(ErrorCode::io, "temporary file", [&] { RowSorter(dir.path(), 1000, {2000}, 1000); });
  EXPECT_TRUE(dir.names().empty());
}

TEST(RowSorter, NamesAMissingDirectory) {
  const TempDir dir;
  expect_error(ErrorCode::io, (dir / "none").string(),
               [&] { RowSorter(dir / "none", 8, {10}, 1000); });
}

}  // namespace
}  // namespace cairn::storage

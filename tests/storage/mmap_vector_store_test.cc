#include <algorithm>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include "cairn/vector_store.h"

#include "base/random.h"
#include "storage/container.h"
#include "storage/file.h"
#include "storage/mapped_vectors.h"
#include "tests/util/bit_patterns.h"
#include "tests/util/expect_error.h"
#include "tests/util/sample_container.h"
#include "tests/util/temp_dir.h"

namespace cairn {
namespace {

using test::bits_of;
using test::bits_of_row;
using test::expect_error;
using test::odd_floats;
using test::TempDir;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(MmapVectorStore, KeepsBitPatterns) {
  const TempDir dir;
  for (const std::size_t dim : {1, 3, 16, 257, 5000}) {
    const auto values = odd_floats(50 * dim, dim);
    const auto created = MmapVectorStore::create(dir / "v", {values.data(), 50, dim});
    const auto opened = MmapVectorStore::open(dir / "v");
    for (const auto* store : {created.get(), opened.get()}) {
      EXPECT_EQ(store->rows(), 50u);
      EXPECT_EQ(store->dim(), dim);
      EXPECT_EQ(store->path(), dir / "v");
      EXPECT_EQ(bits_of({store->contiguous(), 50 * dim}), bits_of(values));
    }
  }
  EXPECT_THAT(dir.names(), ElementsAre("v"));
}

TEST(MmapVectorStore, GivesRowsWithoutCopying) {
  const TempDir dir;
  const auto values = odd_floats(30 * 24, 1);
  const auto store = MmapVectorStore::create(dir / "v", {values.data(), 30, 24});
  for (std::size_t row = 0; row < 30; ++row) {
    EXPECT_EQ(store->get(row).data(), store->contiguous() + 24 * row);
    EXPECT_EQ(store->get(row).size(), 24u);
    EXPECT_EQ(bits_of(store->get(row)), bits_of_row(values, 24, row));
  }
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(store->contiguous()) % 4096, 0u);
}

TEST(MmapVectorStore, RefusesRowsOutOfRange) {
  const TempDir dir;
  const auto values = odd_floats(6, 1);
  const auto store = MmapVectorStore::create(dir / "v", {values.data(), 3, 2});
  expect_error(ErrorCode::invalid_argument, "row is 3, expected less than 3",
               [&] { store->get(3); });
  expect_error(ErrorCode::invalid_argument, "row is", [&] { store->get(~std::size_t{0}); });
  const std::vector<std::uint32_t> rows = {0, 0xFFFFFFFF};
  std::vector<float> out(4);
  expect_error(ErrorCode::invalid_argument, "row is 4294967295",
               [&] { store->read(rows, out.data()); });
}

TEST(MmapVectorStore, RefusesBadShapesBeforeItTouchesTheFile) {
  const TempDir dir;
  const float value = 0;
  const auto refuse = [&](const std::string& text, MatrixView view) {
    expect_error(ErrorCode::invalid_argument, text,
                 [&] { MmapVectorStore::create(dir / "v", view); });
  };
  refuse("data is null", {nullptr, 1, 1});
  refuse("dim is 0", {&value, 1, 0});
  refuse("dim is 65537", {&value, 1, kMaxDim + 1});
  refuse("rows, expected at most 4294967294", {&value, kMaxRows + 1, 1});
  EXPECT_THAT(dir.names(), IsEmpty());
}

TEST(MmapVectorStore, MayBeEmpty) {
  const TempDir dir;
  const auto store = MmapVectorStore::create(dir / "v", {nullptr, 0, 5});
  EXPECT_EQ(store->rows(), 0u);
  EXPECT_EQ(store->dim(), 5u);
  store->prefetch({});
  store->read({}, nullptr);
  expect_error(ErrorCode::invalid_argument, "row is 0", [&] { store->get(0); });
}

TEST(MmapVectorStore, PullsFromAProducerInOrder) {
  const TempDir dir;
  const std::size_t rows = 50'000;
  const std::size_t dim = 48;
  const auto values = odd_floats(rows * dim, 3);
  std::size_t next = 0;
  std::size_t calls = 0;
  const auto copy = [&](std::size_t first, std::size_t count, float* out) {
    EXPECT_EQ(first, next);
    std::copy_n(values.data() + first * dim, count * dim, out);
    next = first + count;
    ++calls;
  };
  const auto store = MmapVectorStore::create(dir / "producer", rows, dim, copy);
  EXPECT_EQ(next, rows);
  EXPECT_GT(calls, 1u);
  EXPECT_EQ(bits_of({store->contiguous(), rows * dim}), bits_of(values));
  MmapVectorStore::create(dir / "matrix", {values.data(), rows, dim});
  EXPECT_EQ(test::read_file(dir / "producer"), test::read_file(dir / "matrix"));
}

TEST(MmapVectorStore, LeavesTheOldFileIfTheProducerThrows) {
  const TempDir dir;
  const auto values = odd_floats(10, 1);
  MmapVectorStore::create(dir / "v", {values.data(), 5, 2});
  const auto old_bytes = test::read_file(dir / "v");
  for (const char* name : {"v", "new"}) {
    EXPECT_THROW(MmapVectorStore::create(dir / name, 1'000'000, 4,
                                         [](std::size_t first, std::size_t, float*) {
                                           if (first > 0) throw std::runtime_error("no more");
                                         }),
                 std::runtime_error);
  }
  EXPECT_THAT(dir.names(), ElementsAre("v"));
  EXPECT_EQ(test::read_file(dir / "v"), old_bytes);
}

TEST(MmapVectorStore, KeepsServingAReplacedFile) {
  const TempDir dir;
  const auto old_values = odd_floats(4000, 1);
  const auto new_values = odd_floats(4000, 2);
  const auto old_store = MmapVectorStore::create(dir / "v", {old_values.data(), 40, 100});
  const auto new_store = MmapVectorStore::create(dir / "v", {new_values.data(), 100, 40});
  EXPECT_EQ(bits_of({old_store->contiguous(), 4000}), bits_of(old_values));
  EXPECT_EQ(bits_of({new_store->contiguous(), 4000}), bits_of(new_values));
}

TEST(MmapVectorStore, SaysWhatIsMissing) {
  const TempDir dir;
  const float value = 0;
  expect_error(ErrorCode::io, (dir / "missing").string(), [&] {
    MmapVectorStore::create(dir / "missing/v", {&value, 1, 1});
  });
  expect_error(ErrorCode::not_found, (dir / "v").string(),
               [&] { MmapVectorStore::open(dir / "v"); });
}

TEST(MmapVectorStore, OpensTheVectorsInsideAnIndex) {
  const TempDir dir;
  const auto values = odd_floats(7 * 24, 1);
  {
    storage::ContainerWriter writer(dir / "index", {.dim = 24, .count = 7, .metric = 1});
    writer.begin_section(storage::SectionType::lists, 1, 100);
    writer.append(test::random_bytes(100, 1));
    writer.begin_section(storage::SectionType::vectors, 96, 7, 12);
    writer.append(std::as_bytes(std::span(values)));
    writer.commit();
  }
  const auto store = MmapVectorStore::open(dir / "index");
  EXPECT_EQ(bits_of({store->contiguous(), values.size()}), bits_of(values));
  EXPECT_EQ(store->stats().disk_bytes, values.size() * 4);
}

TEST(MmapVectorStore, RefusesAContainerWithoutProperVectors) {
  const TempDir dir;
  test::write_sample_container(dir / "none");
  expect_error(ErrorCode::corrupt, "section vectors is missing",
               [&] { MmapVectorStore::open(dir / "none"); });
  const auto write = [&](std::uint64_t element_size, std::uint64_t count) {
    storage::ContainerWriter writer(
        dir / "bad", {.kind = storage::ContainerKind::vectors, .dim = 4, .count = 10});
    writer.begin_section(storage::SectionType::vectors, element_size, count);
    writer.append(test::random_bytes(element_size * count, 1));
    writer.commit();
  };
  write(8, 20);
  expect_error(ErrorCode::corrupt, "element_size is 8, expected 16",
               [&] { MmapVectorStore::open(dir / "bad"); });
  write(16, 9);
  expect_error(ErrorCode::corrupt, "count is 9, expected 10",
               [&] { MmapVectorStore::open(dir / "bad"); });
}

TEST(MmapVectorStore, ReportsWhatItHolds) {
  const TempDir dir;
  const auto values = odd_floats(30, 1);
  const auto store = MmapVectorStore::create(dir / "v", {values.data(), 10, 3});
  EXPECT_EQ(store->stats().kind, StorageKind::mmap);
  EXPECT_EQ(store->stats().ram_bytes, 0u);
  EXPECT_EQ(store->stats().disk_bytes, 120u);
}

class MmapPrefetch : public ::testing::Test {
 protected:
  static constexpr std::size_t kRows = 4000;
  static constexpr std::size_t kDim = 300;

  MmapPrefetch() : values_(odd_floats(kRows * kDim, 1)) {
    store_ = MmapVectorStore::create(dir_ / "v", {values_.data(), kRows, kDim});
  }

  std::vector<std::uint32_t> random_rows(std::size_t count) {
    std::vector<std::uint32_t> rows(count);
    for (std::uint32_t& row : rows) row = static_cast<std::uint32_t>(random_.below(kRows));
    std::ranges::sort(rows);
    return rows;
  }

  // Asks the system to drop the file's pages from memory, and says whether it did. The mapping
  // would hold them, so it is opened anew.
  bool drop_pages() {
    store_.reset();
    const storage::File file = storage::File::open_for_reading(dir_ / "v");
    posix_fadvise(file.descriptor(), 0, 0, POSIX_FADV_DONTNEED);
    store_ = MmapVectorStore::open(dir_ / "v");
    return !is_resident(kRows / 2);
  }

  bool is_resident(std::size_t row) const {
    const auto bytes = std::as_bytes(store_->get(row));
    return storage::is_resident(&bytes.front()) && storage::is_resident(&bytes.back());
  }

  bool becomes_resident(std::size_t row) const {
    for (int i = 0; i < 500 && !is_resident(row); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return is_resident(row);
  }

  TempDir dir_;
  base::Random random_{1};
  std::vector<float> values_;
  std::unique_ptr<MmapVectorStore> store_;
};

TEST_F(MmapPrefetch, DoesNotChangeResults) {
  for (int i = 0; i < 300; ++i) {
    const auto rows = random_rows(1 + random_.below(50));
    store_->prefetch(rows);
    std::vector<float> out(rows.size() * kDim);
    store_->read(rows, out.data());
    for (std::size_t r = 0; r < rows.size(); ++r) {
      ASSERT_EQ(bits_of_row(out, kDim, r), bits_of_row(values_, kDim, rows[r]));
    }
  }
}

TEST_F(MmapPrefetch, TakesAnyRows) {
  store_->prefetch({});
  for (const std::vector<std::uint32_t>& rows : std::vector<std::vector<std::uint32_t>>{
           {0}, {kRows - 1}, {0, kRows - 1}, {5, 5, 5}, {kRows}, {0, 0xFFFFFFFF}}) {
    store_->prefetch(rows);
  }
  std::vector<std::uint32_t> all(kRows);
  for (std::uint32_t row = 0; row < kRows; ++row) all[row] = row;
  store_->prefetch(all);
}

TEST_F(MmapPrefetch, BringsTheRowsAndOnlyThoseIntoMemory) {
  if (!drop_pages()) GTEST_SKIP() << "this file system keeps its pages in memory";
  const std::vector<std::uint32_t> rows = {100, 101, 1000, 3000};
  store_->prefetch(rows);
  for (const std::uint32_t row : rows) EXPECT_TRUE(becomes_resident(row)) << row;
  for (const std::uint32_t row : {500, 2000, 3500}) EXPECT_FALSE(is_resident(row)) << row;
}

// After a long warm spell prefetch() only takes samples, and a sample that misses wakes it up.
TEST_F(MmapPrefetch, WakesUpWhenPagesAreGone) {
  float sum = 0;
  for (std::size_t row = 0; row < kRows; ++row) sum += bits_of(store_->get(row))[0] & 1;
  EXPECT_GT(sum, 0);
  for (int i = 0; i < 1000; ++i) store_->prefetch(random_rows(20));

  // The system keeps pages that a mapping has in use, so the store lets go of them first.
  const std::size_t bytes = kRows * kDim * sizeof(float);
  ASSERT_EQ(madvise(const_cast<float*>(store_->contiguous()), bytes, MADV_DONTNEED), 0);
  const storage::File file = storage::File::open_for_reading(dir_ / "v");
  posix_fadvise(file.descriptor(), 0, 0, POSIX_FADV_DONTNEED);
  if (is_resident(2000)) GTEST_SKIP() << "this file system keeps its pages in memory";
  const std::vector<std::uint32_t> rows = {1000, 2000, 3000};
  store_->prefetch(rows);
  for (const std::uint32_t row : rows) EXPECT_TRUE(becomes_resident(row)) << row;
}

TEST_F(MmapPrefetch, WorksFromManyThreadsAndStores) {
  const auto second = MmapVectorStore::open(dir_ / "v");
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const MmapVectorStore& store = t % 2 == 0 ? *store_ : *second;
      base::Random random(static_cast<std::uint64_t>(t));
      for (int i = 0; i < 200; ++i) {
        std::vector<std::uint32_t> rows(10);
        for (std::uint32_t& row : rows) row = static_cast<std::uint32_t>(random.below(kRows));
        std::ranges::sort(rows);
        store.prefetch(rows);
        for (const std::uint32_t row : rows) {
          wrong[t] += bits_of(store.get(row)) != bits_of_row(values_, kDim, row);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(wrong, ElementsAre(0, 0, 0, 0));
}

}  // namespace
}  // namespace cairn

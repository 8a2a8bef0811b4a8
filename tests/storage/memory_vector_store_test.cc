#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include <gtest/gtest.h>

#include "cairn/vector_store.h"

#include "tests/util/bit_patterns.h"
#include "tests/util/expect_error.h"

namespace cairn {
namespace {

using test::bits_of;
using test::bits_of_row;
using test::expect_error;
using test::odd_floats;

TEST(MemoryVectorStore, KeepsBitPatterns) {
  for (const std::size_t dim : {1, 3, 16, 257}) {
    const auto values = odd_floats(50 * dim, dim);
    const MemoryVectorStore store(MatrixView{values.data(), 50, dim});
    EXPECT_EQ(store.rows(), 50u);
    EXPECT_EQ(store.dim(), dim);
    EXPECT_EQ(bits_of({store.contiguous(), 50 * dim}), bits_of(values));
    for (std::size_t row = 0; row < 50; ++row) {
      EXPECT_EQ(bits_of(store.get(row)), bits_of_row(values, dim, row));
    }
  }
}

TEST(MemoryVectorStore, ReadsRowsInTheOrderGiven) {
  const std::size_t dim = 7;
  const auto values = odd_floats(20 * dim, 1);
  const MemoryVectorStore store(MatrixView{values.data(), 20, dim});
  const std::vector<std::uint32_t> rows = {19, 0, 5, 5, 3};
  store.prefetch(rows);
  std::vector<float> out(rows.size() * dim);
  store.read(rows, out.data());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(bits_of_row(out, dim, i), bits_of_row(values, dim, rows[i]));
  }
  store.read({}, nullptr);
}

TEST(MemoryVectorStore, CopiesItsInput) {
  std::vector<float> values = {1, 2, 3, 4};
  const MemoryVectorStore store(MatrixView{values.data(), 2, 2});
  values[3] = 9;
  EXPECT_EQ(store.get(1)[1], 4.0f);
  EXPECT_EQ(store.get(1).data(), store.contiguous() + 2);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(store.contiguous()) % 64, 0u);
}

TEST(MemoryVectorStore, PullsFromAProducerInOrder) {
  const std::size_t rows = 100'000;
  const std::size_t dim = 24;
  const auto values = odd_floats(rows * dim, 3);
  std::size_t next = 0;
  std::size_t calls = 0;
  const MemoryVectorStore store(rows, dim, [&](std::size_t first, std::size_t count, float* out) {
    EXPECT_EQ(first, next);
    EXPECT_GT(count, 0u);
    std::copy_n(values.data() + first * dim, count * dim, out);
    next = first + count;
    ++calls;
  });
  EXPECT_EQ(next, rows);
  EXPECT_GT(calls, 1u);
  EXPECT_EQ(bits_of({store.contiguous(), rows * dim}), bits_of(values));
}

TEST(MemoryVectorStore, PassesOnWhatAProducerThrows) {
  EXPECT_THROW(
      MemoryVectorStore(
          10, 2, [](std::size_t, std::size_t, float*) { throw std::runtime_error("no more"); }),
      std::runtime_error);
}

TEST(MemoryVectorStore, MayBeEmpty) {
  const MemoryVectorStore store(MatrixView{nullptr, 0, 5});
  EXPECT_EQ(store.rows(), 0u);
  EXPECT_EQ(store.dim(), 5u);
  store.prefetch({});
  store.read({}, nullptr);
  expect_error(ErrorCode::invalid_argument, "row is 0, expected less than 0",
               [&] { store.get(0); });
}

TEST(MemoryVectorStore, RefusesRowsOutOfRange) {
  const auto values = odd_floats(6, 1);
  const MemoryVectorStore store(MatrixView{values.data(), 3, 2});
  expect_error(ErrorCode::invalid_argument, "row is 3, expected less than 3",
               [&] { store.get(3); });
  expect_error(ErrorCode::invalid_argument, "row is", [&] { store.get(~std::size_t{0}); });
  const std::vector<std::uint32_t> rows = {0, 3};
  std::vector<float> out(4, 7.0f);
  expect_error(ErrorCode::invalid_argument, "row is 3", [&] { store.read(rows, out.data()); });
  EXPECT_EQ(out[0], 7.0f);
}

TEST(MemoryVectorStore, RefusesBadShapes) {
  const float value = 0;
  const auto refuse = [](const std::string& text, MatrixView view) {
    expect_error(ErrorCode::invalid_argument, text, [&] { MemoryVectorStore{view}; });
  };
  refuse("data is null", {nullptr, 1, 1});
  refuse("dim is 0", {&value, 1, 0});
  refuse("dim is 65537", {&value, 1, kMaxDim + 1});
  refuse("rows, expected at most 4294967294", {&value, kMaxRows + 1, 1});
}

TEST(MemoryVectorStore, ReportsWhatItHolds) {
  const auto values = odd_floats(30, 1);
  const MemoryVectorStore store(MatrixView{values.data(), 10, 3});
  EXPECT_EQ(store.stats().kind, StorageKind::memory);
  EXPECT_EQ(store.stats().ram_bytes, 120u);
  EXPECT_EQ(store.stats().disk_bytes, 0u);
}

}  // namespace
}  // namespace cairn

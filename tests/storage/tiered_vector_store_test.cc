#include "cairn/tiered_vector_store.h"

#include <algorithm>
#include <atomic>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"
#include "storage/container.h"
#include "tests/util/bit_patterns.h"
#include "tests/util/encodable_vectors.h"
#include "tests/util/expect_error.h"
#include "tests/util/temp_dir.h"

namespace cairn {
namespace {

using test::bits_of;
using test::bits_of_row;
using test::expect_error;
using test::TempDir;
using test::Vectors;

// Rows of every encoding, one segment each, and rows of any bits.
Vectors mixed_vectors(std::size_t dim, std::size_t rows_each) {
  Vectors all{{}, 0, dim};
  for (const test::EncodableVectors& set : test::encodable_vectors(rows_each)) {
    const Vectors some = set.make(rows_each, dim);
    all.values.insert(all.values.end(), some.values.begin(), some.values.end());
    all.rows += rows_each;
  }
  const std::vector<float> odd = test::odd_floats(rows_each / 3 * dim, 1);
  all.values.insert(all.values.end(), odd.begin(), odd.end());
  all.rows += rows_each / 3;
  return all;
}

Vectors byte_vectors(std::size_t rows, std::size_t dim) {
  return test::make_vectors(rows, dim, [](base::Random& random, std::size_t) {
    return static_cast<float>(random.below(256));
  });
}

constexpr std::uint64_t hot_budget(std::size_t rows, std::size_t dim) {
  return rows * (dim * sizeof(float) + 8);
}

std::vector<float> read_row(const VectorStore& store, std::uint32_t row) {
  std::vector<float> values(store.dim());
  store.read({&row, 1}, values.data());
  return values;
}

// Reads in all ways, rows of small number more often than others, and compares bits.
void expect_serves(const VectorStore& store, const Vectors& vectors, std::uint64_t seed,
                   int rounds) {
  base::Random random(seed);
  std::vector<std::uint32_t> rows;
  std::vector<float> values;
  for (int round = 0; round < rounds; ++round) {
    rows.resize(1 + random.below(40));
    for (std::uint32_t& row : rows) {
      const double u = random.uniform();
      row = static_cast<std::uint32_t>(u * u * u * u * static_cast<double>(vectors.rows));
    }
    if (round % 3 != 0) std::sort(rows.begin(), rows.end());
    if (round % 2 == 0) store.prefetch(rows);
    values.assign(rows.size() * vectors.dim, -1.0f);
    store.read(rows, values.data());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      ASSERT_EQ(bits_of_row(values, vectors.dim, i), bits_of({vectors.row(rows[i]), vectors.dim}))
          << "row " << rows[i];
    }
  }
}

std::unique_ptr<TieredVectorStore> over_compressed(const std::filesystem::path& path,
                                                   const Vectors& vectors,
                                                   const TieredOptions& tiers,
                                                   const CompressionOptions& options = {}) {
  return std::make_unique<TieredVectorStore>(
      CompressedVectorStore::create(path, vectors.view(), options), tiers);
}

// Every row that was read was counted once in each tier that it was looked for in.
void expect_adds_up(const TieredStats& stats, std::uint64_t rows) {
  EXPECT_EQ(stats.hot.hits + stats.hot.misses, rows);
  EXPECT_EQ(stats.warm.hits + stats.warm.misses, stats.warm_is_on ? stats.hot.misses : 0);
  EXPECT_EQ(stats.cold.hits + stats.cold.misses,
            stats.warm_is_on ? stats.warm.misses : stats.hot.misses);
}

TEST(TieredVectorStore, HoldsAnyBits) {
  const TempDir dir;
  const Vectors vectors = mixed_vectors(64, 256);
  const CompressionOptions kOptions[] = {
      {},
      {.zstd_level = 1},
      {.zstd_level = 3, .train_dictionary = true, .block_rows = 2},
      {.encoding = VectorEncoding::exponent},
      {.encoding = VectorEncoding::float32},
      {.encoding = VectorEncoding::float32, .zstd_level = 3},
  };
  for (const CompressionOptions& options : kOptions) {
    CompressedVectorStore::create(dir / "a", vectors.view(), options);
    for (const bool safe_reads : {false, true}) {
      for (const std::uint64_t hot : {std::uint64_t{0}, hot_budget(50, 64), hot_budget(5000, 64)}) {
        const TieredVectorStore store(
            CompressedVectorStore::open(dir / "a", {.safe_reads = safe_reads}),
            {.hot_bytes = hot, .warm_bytes = 40'000, .min_warm_ratio = 0});
        EXPECT_EQ(store.rows(), vectors.rows);
        EXPECT_EQ(store.dim(), vectors.dim);
        EXPECT_EQ(store.contiguous(), nullptr);
        expect_serves(store, vectors, 1, 300);
        const TieredStats stats = store.tier_stats();
        EXPECT_TRUE(stats.warm_is_on);
        EXPECT_GT(stats.warm.hits, 0u);
        EXPECT_EQ(stats.hot.hits > 0, hot > 0);
        EXPECT_LE(stats.warm.ram_bytes, 40'000 + 4 * vectors.rows);
        EXPECT_LE(stats.hot.ram_bytes, hot == 0 ? 0 : hot + 4 * vectors.rows);
      }
    }
  }
}

TEST(TieredVectorStore, CachesOverAnyStore) {
  const TempDir dir;
  const Vectors vectors = mixed_vectors(24, 200);
  const TieredVectorStore over_mmap(MmapVectorStore::create(dir / "a", vectors.view()),
                                    {.hot_bytes = hot_budget(100, 24)});
  expect_serves(over_mmap, vectors, 2, 200);
  const TieredVectorStore over_memory(std::make_unique<MemoryVectorStore>(vectors.view()),
                                      {.hot_bytes = hot_budget(100, 24)});
  expect_serves(over_memory, vectors, 3, 200);
  EXPECT_EQ(over_mmap.stats().kind, StorageKind::tiered);
  EXPECT_EQ(over_mmap.stats().disk_bytes, over_mmap.cold().stats().disk_bytes);
  EXPECT_STREQ(to_string(StorageKind::tiered), "tiered");

  auto inner = std::make_unique<TieredVectorStore>(MmapVectorStore::open(dir / "a"),
                                                   TieredOptions{.hot_bytes = 20'000});
  const TieredVectorStore nested(std::move(inner), {.hot_bytes = 4000});
  expect_serves(nested, vectors, 4, 200);
}

TEST(TieredVectorStore, PromotesOnRepeatedTouches) {
  const TempDir dir;
  const Vectors vectors = byte_vectors(1000, 32);
  const auto store = over_compressed(dir / "a", vectors, {.hot_bytes = hot_budget(100, 32)});
  for (int i = 0; i < 4; ++i) read_row(*store, 5);
  const TieredStats stats = store->tier_stats();
  EXPECT_EQ(stats.cold.hits, 2u);
  EXPECT_EQ(stats.hot.hits, 2u);
  EXPECT_EQ(stats.hot.promotions, 1u);
  EXPECT_EQ(stats.hot.units, 1u);
  EXPECT_EQ(stats.hot.bytes, 32 * sizeof(float));
  EXPECT_EQ(stats.hot.budget_bytes, hot_budget(100, 32));
  EXPECT_EQ(stats.hot.misses, 2u);
  EXPECT_EQ(store->stats().ram_bytes, stats.hot.ram_bytes + store->cold().stats().ram_bytes);
}

TEST(TieredVectorStore, MovesRowsFromWarmToHot) {
  const TempDir dir;
  const Vectors vectors = byte_vectors(200, 32);
  const auto store = over_compressed(
      dir / "a", vectors, {.hot_bytes = hot_budget(60, 32), .warm_bytes = hot_budget(100, 32)});
  // Sixty rows fill the hot tier; row 100 is warm until it is touched more often than one of them.
  for (int i = 0; i < 20; ++i) {
    for (std::uint32_t row = 0; row < 60; ++row) read_row(*store, row);
  }
  const TieredStats before = store->tier_stats();
  EXPECT_EQ(before.hot.units, 60u);
  EXPECT_EQ(before.warm.units, 0u);
  read_row(*store, 100);
  read_row(*store, 100);
  const TieredStats second = store->tier_stats();
  EXPECT_EQ(second.warm.units, 1u);
  EXPECT_EQ(second.warm.bytes, 32u);
  EXPECT_EQ(second.since(before).cold.hits, 2u);
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(bits_of(read_row(*store, 100)), bits_of({vectors.row(100), 32}));
  }
  const TieredStats stats = store->tier_stats();
  EXPECT_EQ(stats.since(second).cold.hits, 0u);
  EXPECT_GT(stats.since(second).warm.hits, 0u);
  EXPECT_GT(stats.since(second).hot.hits, 0u);
  EXPECT_EQ(stats.since(second).warm.moves, 1u);
  EXPECT_EQ(stats.since(second).hot.evictions, 1u);
  EXPECT_EQ(stats.warm.units, 0u);
  EXPECT_EQ(stats.hot.units, 60u);
  expect_adds_up(stats, 20 * 60 + 2 + 300);
}

TEST(TieredVectorStore, AScanDisplacesNothing) {
  const TempDir dir;
  const Vectors vectors = byte_vectors(20'000, 16);
  const auto store =
      over_compressed(dir / "a", vectors, {.hot_bytes = hot_budget(400, 16), .warm_bytes = 20'000});
  std::vector<std::uint32_t> rows(200);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::uint32_t>(i * 50);
  std::vector<float> out(20'000 * 16);
  for (int i = 0; i < 5; ++i) store->read(rows, out.data());
  const TieredStats before = store->tier_stats();
  EXPECT_GT(before.hot.units, 180u);
  std::vector<std::uint32_t> others;
  for (std::uint32_t row = 0; row < 20'000; ++row) {
    if (row % 50 != 0) others.push_back(row);
  }
  store->read(others, out.data());
  const TieredStats scan = store->tier_stats().since(before);
  EXPECT_EQ(scan.hot.promotions + scan.warm.promotions, 0u);
  EXPECT_EQ(scan.hot.units, before.hot.units);
  EXPECT_EQ(scan.cold.hits, others.size());
  store->read(rows, out.data());
  EXPECT_GE(store->tier_stats().since(before).hot.hits, before.hot.units);
}

TEST(TieredVectorStore, KeepsBlocksWarmAsTheyAreStored) {
  const TempDir dir;
  const Vectors vectors = test::make_vectors(4000, 64, [](base::Random& random, std::size_t) {
    return static_cast<float>(random.below(4));
  });
  const auto store = over_compressed(dir / "a", vectors, {.warm_bytes = 200'000},
                                     {.zstd_level = 3, .block_rows = 16});
  std::vector<std::uint32_t> rows(40);
  std::iota(rows.begin(), rows.end(), 96u);
  std::vector<float> out(rows.size() * 64);
  const auto read = [&] {
    store->read(rows, out.data());
    EXPECT_EQ(bits_of(out), bits_of({vectors.row(96), rows.size() * 64}));
  };
  read();
  EXPECT_EQ(store->tier_stats().warm.units, 0u) << "rows of a block are one touch";
  read();
  const TieredStats second = store->tier_stats();
  EXPECT_EQ(second.warm.units, 3u);
  EXPECT_EQ(second.warm.promotions, 3u);
  EXPECT_LT(second.warm.bytes, 48 * 64 * sizeof(float));
  read();
  EXPECT_EQ(store->tier_stats().since(second).warm.hits, 40u);
  EXPECT_EQ(store->tier_stats().since(second).cold.hits, 0u);
}

TEST(TieredVectorStore, TurnsTheWarmTierOffWhereItSavesLittle) {
  const TempDir dir;
  const Vectors noise = test::make_vectors(
      2000, 32, [](base::Random& random, std::size_t) { return test::gaussian(random); });
  const TieredOptions both{.hot_bytes = 20'000, .warm_bytes = 20'000};
  const auto little = over_compressed(dir / "a", noise, both);
  expect_serves(*little, noise, 1, 100);
  const TieredStats stats = little->tier_stats();
  EXPECT_FALSE(stats.warm_is_on);
  EXPECT_GT(stats.warm_ratio, 1.1);
  EXPECT_LT(stats.warm_ratio, 1.5);
  EXPECT_THAT(stats.warm_note,
              testing::MatchesRegex("float32 rows are 1\\.[12][0-9] times as large as stored ones, "
                                    "expected 1\\.50 or more"));
  EXPECT_EQ(stats.warm.ram_bytes, 0u);
  EXPECT_EQ(stats.warm.hits + stats.warm.misses, 0u);
  TieredOptions willing = both;
  willing.min_warm_ratio = 1;
  EXPECT_TRUE(over_compressed(dir / "a", noise, willing)->tier_stats().warm_is_on);

  const TieredVectorStore raw(MmapVectorStore::create(dir / "b", noise.view()), both);
  EXPECT_FALSE(raw.tier_stats().warm_is_on);
  EXPECT_EQ(raw.tier_stats().warm_ratio, 1.0);
  const auto bytes = over_compressed(dir / "c", byte_vectors(2000, 32), both);
  EXPECT_TRUE(bytes->tier_stats().warm_is_on);
  EXPECT_EQ(bytes->tier_stats().warm_note, "");
  EXPECT_GT(bytes->tier_stats().warm_ratio, 3.5);
  const auto none = over_compressed(dir / "c", byte_vectors(2000, 32), {.hot_bytes = 20'000});
  EXPECT_EQ(none->tier_stats().warm_note, "no bytes are given to it");
}

TEST(TieredVectorStore, CountsEveryRowOnce) {
  const TempDir dir;
  const Vectors vectors = byte_vectors(3000, 20);
  for (const std::uint64_t hot : {0, 10'000}) {
    for (const std::uint64_t warm : {0, 10'000}) {
      if (hot + warm == 0) continue;
      const auto store =
          over_compressed(dir / "a", vectors, {.hot_bytes = hot, .warm_bytes = warm});
      base::Random random(5);
      std::uint64_t rows_read = 0;
      std::vector<float> out(30 * 20);
      for (int i = 0; i < 2000; ++i) {
        std::vector<std::uint32_t> rows(random.below(30));
        for (std::uint32_t& row : rows) row = static_cast<std::uint32_t>(random.below(200));
        store->read(rows, out.data());
        rows_read += rows.size();
      }
      const TieredStats stats = store->tier_stats();
      if (hot > 0) expect_adds_up(stats, rows_read);
      EXPECT_EQ(stats.hot.hits + stats.warm.hits + stats.cold.hits, rows_read);
      EXPECT_EQ(stats.cold.misses, 0u);
      for (const TierStats* tier : {&stats.hot, &stats.warm, &stats.cold}) {
        EXPECT_EQ(tier->latency.total() > 0, tier->hits > 0);
        EXPECT_LE(tier->latency.total(), tier->hits);
        if (tier->hits == 0) continue;
        EXPECT_GT(tier->latency.quantile_ns(0.5), 0);
        EXPECT_LE(tier->latency.quantile_ns(0.5), tier->latency.quantile_ns(0.99));
      }
      const TieredStats nothing = stats.since(stats);
      EXPECT_EQ(nothing.hot.hits + nothing.warm.hits + nothing.cold.hits, 0u);
      EXPECT_EQ(nothing.hot.latency.total(), 0u);
      EXPECT_EQ(nothing.hot.bytes, stats.hot.bytes);
    }
  }
}

TEST(TieredVectorStore, RefusesWrongUse) {
  const TempDir dir;
  const Vectors vectors = byte_vectors(100, 16);
  std::unique_ptr<VectorStore> cold = CompressedVectorStore::create(dir / "a", vectors.view());
  const auto refuse = [&](const TieredOptions& options, const char* text) {
    expect_error(ErrorCode::invalid_argument, text,
                 [&] { const TieredVectorStore store(std::move(cold), options); });
    EXPECT_NE(cold, nullptr) << "taken although refused";
  };
  refuse({}, "hot_bytes and warm_bytes are both 0");
  refuse({.hot_bytes = 10}, "hot_bytes is 10, expected 0 or at least ");
  refuse({.warm_bytes = 10}, "warm_bytes is 10, expected 0 or at least ");
  refuse({.hot_bytes = 1000, .min_warm_ratio = -1}, "min_warm_ratio is -1");
  expect_error(ErrorCode::invalid_argument, "expected a cold store", [&] {
    const TieredVectorStore store(std::unique_ptr<VectorStore>(), {.hot_bytes = 1000});
  });
  const TieredVectorStore store(std::move(cold), {.hot_bytes = 1000});
  const std::vector<std::uint32_t> beyond = {3, 100};
  std::vector<float> out(32);
  expect_error(ErrorCode::invalid_argument, "row is 100, expected less than 100",
               [&] { store.read(beyond, out.data()); });
  store.prefetch(beyond);
  store.read({}, out.data());
  EXPECT_EQ(store.tier_stats().cold.hits, 0u);
}

TEST(TieredVectorStore, TakesAnyShape) {
  const TempDir dir;
  for (const std::size_t rows : {0, 1, 2, 1000}) {
    for (const std::size_t dim : {1, 3, 1000}) {
      const Vectors vectors = byte_vectors(rows, dim);
      const auto store =
          over_compressed(dir / "a", vectors, {.hot_bytes = 5000, .warm_bytes = 5000});
      if (rows > 0) expect_serves(*store, vectors, 7, 50);
      store->read({}, nullptr);
      store->prefetch({});
    }
  }
  const Vectors constant =
      test::make_vectors(500, 8, [](base::Random&, std::size_t) { return -0.0f; });
  const auto store = over_compressed(dir / "a", constant, {.hot_bytes = 500, .warm_bytes = 5000});
  EXPECT_FALSE(store->tier_stats().warm_is_on);
  expect_serves(*store, constant, 8, 50);
}

// Fails now and then, after it has written nonsense.
class FailingStore final : public VectorStore {
 public:
  explicit FailingStore(const Vectors& vectors) : vectors_(vectors) {}
  std::size_t rows() const noexcept override { return vectors_.rows; }
  std::size_t dim() const noexcept override { return vectors_.dim; }
  void read(std::span<const std::uint32_t> rows, float* out) const override {
    const bool fails = fails_always || (period > 0 && calls_++ % period == 0);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      for (std::size_t j = 0; j < vectors_.dim; ++j) {
        out[i * vectors_.dim + j] = fails ? -777.0f : vectors_.row(rows[i])[j];
      }
    }
    if (fails) throw Error(ErrorCode::io, "the disk is gone");
  }
  StoreStats stats() const override { return {}; }

  std::atomic<bool> fails_always{false};
  unsigned period = 0;

 private:
  const Vectors& vectors_;
  mutable std::atomic<unsigned> calls_{0};
};

TEST(TieredVectorStore, AFailingReadNeverPoisonsTheTiers) {
  const Vectors vectors = byte_vectors(500, 16);
  auto owned = std::make_unique<FailingStore>(vectors);
  FailingStore& cold = *owned;
  cold.period = 3;
  const TieredVectorStore store(std::move(owned), {.hot_bytes = hot_budget(100, 16)});
  base::Random random(3);
  std::size_t failures = 0;
  std::vector<float> out(10 * 16);
  for (int i = 0; i < 5000; ++i) {
    std::vector<std::uint32_t> rows(1 + random.below(10));
    for (std::uint32_t& row : rows) {
      row = static_cast<std::uint32_t>(random.below(i % 2 == 0 ? 50 : 500));
    }
    try {
      store.read(rows, out.data());
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(), "the disk is gone");
      ++failures;
      continue;
    }
    for (std::size_t k = 0; k < rows.size(); ++k) {
      ASSERT_EQ(bits_of_row(out, 16, k), bits_of({vectors.row(rows[k]), 16}));
    }
  }
  EXPECT_GT(failures, 100u);
  EXPECT_GT(store.tier_stats().cold.misses, 100u);
  // What is held stays readable without the disk.
  cold.fails_always = true;
  std::size_t served = 0;
  for (std::uint32_t row = 0; row < 500; ++row) {
    try {
      EXPECT_EQ(bits_of(read_row(store, row)), bits_of({vectors.row(row), 16}));
      ++served;
    } catch (const Error&) {
    }
  }
  EXPECT_EQ(served, store.tier_stats().hot.units);
  EXPECT_GT(served, 50u);
  cold.fails_always = false;
  cold.period = 0;
  expect_serves(store, vectors, 1, 100);
}

TEST(TieredVectorStore, ADamagedBlockCostsItsOwnRows) {
  const TempDir dir;
  const Vectors vectors = mixed_vectors(64, 256);
  for (const CompressionOptions& options :
       {CompressionOptions{.block_rows = 16},
        CompressionOptions{.zstd_level = 3, .block_rows = 16}}) {
    CompressedVectorStore::create(dir / "a", vectors.view(), options);
    const auto good = test::read_file(dir / "a");
    const storage::SectionInfo section =
        *storage::ContainerReader::open(dir / "a")->find(storage::SectionType::coded_vectors);
    base::Random random(7);
    std::size_t all_refused = 0;
    for (int round = 0; round < 20; ++round) {
      auto bad = good;
      bad[section.offset + random.below(section.bytes)] ^= std::byte{0x10};
      test::write_file(dir / "a", bad);
      const TieredVectorStore store(
          CompressedVectorStore::open(dir / "a"),
          {.hot_bytes = hot_budget(300, 64), .warm_bytes = 60'000, .min_warm_ratio = 0});
      std::vector<std::size_t> refused;
      for (int pass = 0; pass < 4; ++pass) {
        refused.push_back(0);
        for (std::uint32_t row = 0; row < vectors.rows; ++row) {
          try {
            ASSERT_EQ(bits_of(read_row(store, row)), bits_of({vectors.row(row), 64}));
          } catch (const Error& error) {
            ++refused.back();
            EXPECT_EQ(error.code(), ErrorCode::corrupt);
            EXPECT_THAT(error.what(),
                        testing::HasSubstr((dir / "a").string() + ": vectors: block "));
            EXPECT_THAT(error.what(), testing::HasSubstr("row " + std::to_string(row)));
          }
        }
      }
      EXPECT_THAT(refused, testing::Each(refused[0]));
      EXPECT_LE(refused[0], 256u);  // a preamble is a segment's
      all_refused += refused[0];
    }
    EXPECT_GT(all_refused, 100u);
  }
}

TEST(TieredVectorStore, ServesSeveralThreads) {
  const TempDir dir;
  const Vectors vectors = mixed_vectors(32, 200);
  for (const int level : {0, 1}) {
    const auto store = over_compressed(
        dir / "a", vectors,
        {.hot_bytes = hot_budget(150, 32), .warm_bytes = 100'000, .min_warm_ratio = 0},
        {.zstd_level = level});
    std::atomic<bool> is_done{false};
    std::thread watcher([&] {
      while (!is_done) {
        const TieredStats stats = store->tier_stats();
        EXPECT_LE(stats.hot.bytes, hot_budget(150, 32));
        EXPECT_LE(stats.warm.bytes, 100'000u);
        std::this_thread::yield();
      }
    });
    std::vector<std::thread> readers;
    for (unsigned i = 0; i < 4; ++i) {
      readers.emplace_back([&, i] { expect_serves(*store, vectors, i, 1000); });
    }
    for (std::thread& reader : readers) reader.join();
    is_done = true;
    watcher.join();
    EXPECT_GT(store->tier_stats().hot.hits, 0u);
    EXPECT_GT(store->tier_stats().warm.hits, 0u);
    EXPECT_GT(store->tier_stats().hot.evictions, 0u);
  }
}

TEST(TieredVectorStore, ServesMoreThreadsThanItHasSectionsFor) {
  const Vectors vectors = byte_vectors(500, 16);
  auto owned = std::make_unique<FailingStore>(vectors);
  owned->period = 50;
  const TieredVectorStore store(std::move(owned), {.hot_bytes = hot_budget(100, 16)});
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 100; ++i) {
    threads.emplace_back([&, i] {
      base::Random random(i);
      for (int k = 0; k < 200; ++k) {
        const auto row = static_cast<std::uint32_t>(random.below(150));
        try {
          EXPECT_EQ(bits_of(read_row(store, row)), bits_of({vectors.row(row), 16}));
        } catch (const Error&) {
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(store.tier_stats().hot.hits, 0u);
}

}  // namespace
}  // namespace cairn

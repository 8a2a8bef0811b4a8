// ClusteredIndex with files: saving, opening, moving full vectors between stores.

#include <cstring>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cairn/clustered_index.h"
#include "cairn/error.h"

#include "base/random.h"
#include "tests/util/expect_error.h"
#include "tests/util/file_size_limit.h"
#include "tests/util/random_vectors.h"
#include "tests/util/temp_dir.h"

namespace cairn {
namespace {

using test::clustered_vectors;
using test::TempDir;
using test::Vectors;

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::size_t entries_in(const std::filesystem::path& dir) {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(dir)) ++count;
  return count;
}

// Ids and distances as bits, for all queries under a few options.
std::vector<std::uint64_t> answers(const ClusteredIndex& index, const Vectors& queries) {
  std::vector<std::uint64_t> bits;
  for (const SearchOptions& options : {SearchOptions{.k = 10}, SearchOptions{.k = 3, .probes = 2},
                                       SearchOptions{.k = 5, .probes = 1000, .rerank_factor = 8}}) {
    const BatchResult result = index.search_batch(queries.view(), options);
    for (std::size_t i = 0; i < result.ids.size(); ++i) {
      std::uint32_t distance;
      std::memcpy(&distance, &result.distances[i], sizeof(distance));
      bits.push_back(result.ids[i]);
      bits.push_back(distance);
    }
  }
  return bits;
}

// A store without contiguous rows.
class CopyingStore final : public VectorStore {
 public:
  explicit CopyingStore(const ClusteredIndex& index)
      : rows_(index.size()), dim_(index.dim()), values_(rows_ * dim_) {
    index.read_rows(0, rows_, values_.data());
  }
  std::size_t rows() const noexcept override { return rows_; }
  std::size_t dim() const noexcept override { return dim_; }
  void read(std::span<const std::uint32_t> rows, float* out) const override {
    for (const std::uint32_t row : rows) {
      std::copy_n(values_.data() + row * dim_, dim_, out);
      out += dim_;
    }
  }
  StoreStats stats() const override { return {.ram_bytes = values_.size() * sizeof(float)}; }

 private:
  std::size_t rows_;
  std::size_t dim_;
  std::vector<float> values_;
};

TEST(IndexStorage, EveryStoreGivesTheSameAnswers) {
  const TempDir dir;
  const Vectors rows = clustered_vectors(3000, 50, 30, 1);
  const Vectors queries = clustered_vectors(40, 50, 30, 2);
  for (const Metric metric : {Metric::l2, Metric::inner_product, Metric::cosine}) {
    for (const unsigned refine_bits : {0u, 4u}) {
      ClusteredIndex index =
          ClusteredIndex::build(rows.view(), {.metric = metric, .refine_bits = refine_bits});
      const std::vector<std::uint64_t> expected = answers(index, queries);
      EXPECT_EQ(index.storage_kind(), StorageKind::memory);
      const std::size_t in_memory = index.memory_usage_bytes();
      index.use_mmap_storage(dir.path() / "vectors");
      EXPECT_TRUE(index.is_using_mmap());
      EXPECT_EQ(index.memory_usage_bytes() + 3000 * 50 * sizeof(float), in_memory);
      EXPECT_EQ(answers(index, queries), expected);
      EXPECT_THROW(index.use_mmap_storage(dir.path() / "again"), Error);
      EXPECT_FALSE(std::filesystem::exists(dir.path() / "again"));
      index.save(dir.path() / "index.cairn");
      index.use_storage(std::make_unique<CopyingStore>(index));
      EXPECT_EQ(index.storage_kind(), StorageKind::custom);
      EXPECT_EQ(answers(index, queries), expected);
      index.use_memory_storage();
      EXPECT_EQ(answers(index, queries), expected);

      ClusteredIndex opened = ClusteredIndex::open(dir.path() / "index.cairn", {.verify = true});
      EXPECT_TRUE(opened.is_using_mmap());
      EXPECT_TRUE(opened.stats().index_is_mapped);
      EXPECT_EQ(answers(opened, queries), expected);
      opened.use_memory_storage();
      EXPECT_EQ(answers(opened, queries), expected);
      opened.save(dir.path() / "again.cairn");
      EXPECT_EQ(read_file(dir.path() / "index.cairn"), read_file(dir.path() / "again.cairn"));
      const ClusteredIndex safe =
          ClusteredIndex::open(dir.path() / "index.cairn", {.safe_reads = true});
      EXPECT_EQ(answers(safe, queries), expected);
      opened.use_mmap_storage(dir.path() / "more");
      EXPECT_EQ(answers(opened, queries), expected);
    }
  }
}

TEST(IndexStorage, EncodedVectorsGiveTheSameAnswers) {
  const TempDir dir;
  const Vectors rows = clustered_vectors(3000, 50, 30, 1);
  const Vectors queries = clustered_vectors(40, 50, 30, 2);
  for (const Metric metric : {Metric::l2, Metric::inner_product, Metric::cosine}) {
    ClusteredIndex index = ClusteredIndex::build(rows.view(), {.metric = metric});
    const std::vector<std::uint64_t> expected = answers(index, queries);
    index.save(dir.path() / "raw.cairn");
    for (const int level : {0, 3}) {
      const CompressionOptions compression{.zstd_level = level};
      index.save(dir.path() / "coded.cairn", {.compression = compression});
      index.use_compressed_storage(dir.path() / "vectors", compression);
      EXPECT_EQ(index.storage_kind(), StorageKind::compressed);
      EXPECT_FALSE(index.is_using_mmap());
      EXPECT_LT(index.stats().vector_disk_bytes, rows.values.size() * sizeof(float));
      EXPECT_EQ(answers(index, queries), expected);
      for (const bool safe_reads : {false, true}) {
        ClusteredIndex opened = ClusteredIndex::open(dir.path() / "coded.cairn",
                                                     {.verify = true, .safe_reads = safe_reads});
        EXPECT_EQ(opened.storage_kind(), StorageKind::compressed);
        EXPECT_EQ(answers(opened, queries), expected);
        opened.save(dir.path() / "back.cairn");
        EXPECT_EQ(read_file(dir.path() / "back.cairn"), read_file(dir.path() / "raw.cairn"));
        opened.use_memory_storage();
        EXPECT_EQ(answers(opened, queries), expected);
      }
    }
  }
}

TEST(IndexStorage, TiersGiveTheSameAnswers) {
  const TempDir dir;
  const Vectors rows = clustered_vectors(3000, 50, 30, 1);
  const Vectors queries = clustered_vectors(40, 50, 30, 2);
  for (const Metric metric : {Metric::l2, Metric::inner_product, Metric::cosine}) {
    ClusteredIndex index = ClusteredIndex::build(rows.view(), {.metric = metric});
    const std::vector<std::uint64_t> expected = answers(index, queries);
    index.save(dir.path() / "raw");
    index.save(dir.path() / "coded", {.compression = CompressionOptions{.zstd_level = 3}});
    const TieredOptions tiers{.hot_bytes = 60'000, .warm_bytes = 100'000, .min_warm_ratio = 1};
    for (const char* name : {"raw", "coded"}) {
      for (const bool safe_reads : {false, true}) {
        ClusteredIndex opened = ClusteredIndex::open(dir.path() / name, {.safe_reads = safe_reads});
        EXPECT_FALSE(opened.tier_stats().has_value());
        opened.use_tiered_storage(tiers);
        EXPECT_EQ(opened.storage_kind(), StorageKind::tiered);
        EXPECT_FALSE(opened.is_using_mmap());
        for (int round = 0; round < 4; ++round) EXPECT_EQ(answers(opened, queries), expected);
        const TieredStats stats = *opened.tier_stats();
        EXPECT_GT(stats.hot.hits, 0u);
        EXPECT_EQ(opened.stats().vector_ram_bytes,
                  stats.hot.ram_bytes + stats.warm.ram_bytes + stats.cold.ram_bytes);
        EXPECT_EQ(opened.stats().vector_disk_bytes, stats.cold.bytes);
        opened.save(dir.path() / "again");
        EXPECT_EQ(read_file(dir.path() / "again"), read_file(dir.path() / "raw"));
        EXPECT_THROW(opened.use_tiered_storage(tiers), Error);
        EXPECT_EQ(answers(opened, queries), expected);
        opened.use_memory_storage();
        EXPECT_EQ(answers(opened, queries), expected);
      }
    }
    EXPECT_THROW(index.use_tiered_storage(tiers), Error);  // in memory, and no file given
    EXPECT_THROW(index.use_tiered_storage({.vectors_file = dir.path() / "cold"}), Error);
    EXPECT_FALSE(std::filesystem::exists(dir.path() / "cold"));
    TieredOptions written = tiers;
    written.vectors_file = dir.path() / "cold";
    written.compression.zstd_level = 1;
    index.use_tiered_storage(written);
    for (int round = 0; round < 3; ++round) EXPECT_EQ(answers(index, queries), expected);
    EXPECT_TRUE(index.tier_stats()->warm_is_on);
    EXPECT_GT(index.tier_stats()->warm.hits, 0u);
    std::filesystem::remove(dir.path() / "cold");
  }
}

TEST(IndexStorage, LossyVectorsAreAskedForByName) {
  const TempDir dir;
  const Vectors rows = clustered_vectors(2000, 20, 10, 1);
  ClusteredIndex index = ClusteredIndex::build(rows.view());
  const std::vector<float> exact = *index.vector(7);
  index.use_compressed_storage(dir.path() / "vectors", {.encoding = VectorEncoding::delta16});
  const std::vector<float> stored = *index.vector(7);
  for (std::size_t i = 0; i < exact.size(); ++i) EXPECT_NEAR(stored[i], exact[i], 1e-3);
  EXPECT_NE(stored, exact);
  EXPECT_EQ(index.search({rows.row(7), 20}, {.k = 1})[0].id, 7u);
}

TEST(IndexStorage, ATruncatedFileIsAnErrorWithSafeReads) {
  const TempDir dir;
  const Vectors rows = clustered_vectors(3000, 50, 30, 1);
  ClusteredIndex::build(rows.view()).save(dir.path() / "index");
  const ClusteredIndex index = ClusteredIndex::open(dir.path() / "index", {.safe_reads = true});
  index.vector(5);
  // Only the vectors' part goes, at the end of the file.
  std::filesystem::resize_file(dir.path() / "index",
                               std::filesystem::file_size(dir.path() / "index") - 100'000);
  EXPECT_THROW(index.vector(5), Error);
}

TEST(IndexStorage, SameSeedSameBytesWhateverTheThreads) {
  const TempDir dir;
  const Vectors rows = clustered_vectors(9000, 40, 90, 1);
  BuildOptions options{.metric = Metric::cosine, .threads = 1};
  ClusteredIndex::build(rows.view(), options).save(dir.path() / "one");
  options.threads = 2;
  ClusteredIndex::build(rows.view(), options).save(dir.path() / "two");
  options.threads = 5;
  ClusteredIndex::build(rows.view(), options).save(dir.path() / "five");
  options.seed = 2;
  ClusteredIndex::build(rows.view(), options).save(dir.path() / "other");
  const std::string one = read_file(dir.path() / "one");
  EXPECT_TRUE(one == read_file(dir.path() / "two"));
  EXPECT_TRUE(one == read_file(dir.path() / "five"));
  EXPECT_FALSE(one == read_file(dir.path() / "other"));
}

TEST(IndexStorage, EmptyAndTinyIndexesSurviveAFile) {
  const TempDir dir;
  for (const std::size_t n : {0, 1, 40}) {
    const Vectors rows = clustered_vectors(n, 5, 2, 3);
    const ClusteredIndex index = ClusteredIndex::build(rows.view());
    index.save(dir.path() / "index");
    ClusteredIndex opened = ClusteredIndex::open(dir.path() / "index", {.verify = true});
    EXPECT_EQ(opened.size(), n);
    const std::vector<float> query(5, 0.5f);
    EXPECT_EQ(opened.search(query), index.search(query));
    opened.use_memory_storage();
    EXPECT_EQ(opened.search(query), index.search(query));
  }
}

TEST(IndexStorage, FailedSaveLeavesThePreviousFile) {
  const TempDir dir;
  const Vectors rows = clustered_vectors(100, 5, 2, 3);
  const ClusteredIndex index = ClusteredIndex::build(rows.view());
  EXPECT_THROW(index.save(dir.path() / "missing" / "index"), Error);
  EXPECT_THROW(index.save(dir.path()), Error);  // a directory
  EXPECT_EQ(entries_in(dir.path()), 0u);
  EXPECT_THROW(ClusteredIndex::open(dir.path() / "nothing"), Error);
}

// Every way of writing an index or its vectors over an old file.
struct Conversion {
  const char* name;
  void (*run)(ClusteredIndex& index, const std::filesystem::path& path);
};

void PrintTo(const Conversion& conversion, std::ostream* out) { *out << conversion.name; }

const Conversion kConversions[] = {
    {"save", [](ClusteredIndex& index, const std::filesystem::path& path) { index.save(path); }},
    {"save_compressed",
     [](ClusteredIndex& index, const std::filesystem::path& path) {
       index.save(path, {.compression = CompressionOptions{}});
     }},
    {"save_zstd",
     [](ClusteredIndex& index, const std::filesystem::path& path) {
       index.save(path, {.compression = CompressionOptions{.zstd_level = 1}});
     }},
    {"use_mmap_storage", [](ClusteredIndex& index,
                            const std::filesystem::path& path) { index.use_mmap_storage(path); }},
    {"use_compressed_storage",
     [](ClusteredIndex& index, const std::filesystem::path& path) {
       index.use_compressed_storage(path);
     }},
    {"reopen_and_save",  // what `cairn recode` does: the file is read while it is replaced
     [](ClusteredIndex&, const std::filesystem::path& path) {
       ClusteredIndex::open(path).save(path, {.compression = CompressionOptions{}});
     }},
    {"create_mapped",
     [](ClusteredIndex& index, const std::filesystem::path& path) {
       MmapVectorStore::create(path, index.size(), index.dim(),
                               [&](std::size_t first, std::size_t count, float* out) {
                                 index.read_rows(first, count, out);
                               });
     }},
};

class FullDisk : public testing::TestWithParam<Conversion> {};

TEST_P(FullDisk, LeavesTheOldFileAndTheIndexAsTheyWere) {
  const TempDir dir;
  const std::filesystem::path path = dir / "index";
  const Vectors rows = clustered_vectors(4000, 40, 20, 3);
  ClusteredIndex index = ClusteredIndex::build(rows.view());
  index.save(path);
  const std::string before = read_file(path);
  const auto expected = answers(index, rows);
  for (const rlim_t bytes : {rlim_t{5000}, rlim_t{200'000}, rlim_t{400'000}}) {
    const StorageKind kind = index.storage_kind();
    {
      const test::FileSizeLimit limit(bytes);
      test::expect_error(ErrorCode::io, path.string(), [&] { GetParam().run(index, path); });
    }
    EXPECT_EQ(entries_in(dir.path()), 1u);
    EXPECT_TRUE(read_file(path) == before);
    EXPECT_EQ(index.storage_kind(), kind);
    EXPECT_EQ(answers(index, rows), expected);
    EXPECT_EQ(answers(ClusteredIndex::open(path), rows), expected);
  }
  GetParam().run(index, path);  // with room, it works
  EXPECT_EQ(answers(index, rows), expected);
}

INSTANTIATE_TEST_SUITE_P(Conversions, FullDisk, testing::ValuesIn(kConversions),
                         [](const auto& conversion) { return conversion.param.name; });

TEST(IndexStorage, NeverReplacesItsOwnFileByVectors) {
  const TempDir dir;
  const std::filesystem::path path = dir / "index";
  const Vectors rows = clustered_vectors(500, 8, 4, 3);
  ClusteredIndex::build(rows.view()).save(path);
  std::filesystem::create_symlink("index", dir / "symbolic");
  std::filesystem::create_hard_link(path, dir / "hard");
  ClusteredIndex index = ClusteredIndex::open(path);
  const auto expected = answers(index, rows);
  const auto refuses = [&](const std::filesystem::path& name) {
    const std::string text = "is the file of the index";
    test::expect_error(ErrorCode::invalid_argument, text,
                       [&] { index.use_compressed_storage(name); });
    test::expect_error(ErrorCode::invalid_argument, text, [&] {
      index.use_tiered_storage({.hot_bytes = 1000, .warm_bytes = 0, .vectors_file = name});
    });
    index.use_memory_storage();
    test::expect_error(ErrorCode::invalid_argument, text, [&] { index.use_mmap_storage(name); });
    EXPECT_EQ(answers(index, rows), expected);
    EXPECT_EQ(answers(ClusteredIndex::open(path), rows), expected);
  };
  for (const char* name : {"index", "symbolic", "hard"}) refuses(dir / name);
  index.save(path);  // over its own file: allowed, and protected as well
  refuses(path);
  index.use_mmap_storage(dir / "vectors");
  EXPECT_EQ(answers(index, rows), expected);
}

TEST(IndexStorage, RefusesForeignStores) {
  const Vectors rows = clustered_vectors(100, 5, 2, 3);
  ClusteredIndex index = ClusteredIndex::build(rows.view());
  EXPECT_THROW(index.use_storage(nullptr), Error);
  EXPECT_THROW(
      index.use_storage(std::make_unique<MemoryVectorStore>(MatrixView{rows.values.data(), 99, 5})),
      Error);
  EXPECT_EQ(index.search({rows.row(3), 5}, {.k = 1})[0].id, 3u);
}

// A damaged file is refused at open, or opens and answers without leaving its memory.
TEST(IndexStorage, DamageNeverCrashesASearch) {
  const TempDir dir;
  const Vectors rows = clustered_vectors(600, 12, 6, 3);
  const ClusteredIndex built =
      ClusteredIndex::build(rows.view(), {.branching_factor = 4, .max_leaf_size = 30});
  base::Random random(5);
  std::size_t refused = 0;
  std::size_t searched = 0;
  std::string good;
  for (int round = 0; round < 900; ++round) {
    if (round % 300 == 0) {
      SaveOptions options;
      if (round > 0) options.compression = CompressionOptions{.zstd_level = round / 300 - 1};
      built.save(dir.path() / "good", options);
      good = read_file(dir.path() / "good");
    }
    std::string bad = good;
    // Half of the rounds aim at the header and the small sections behind it.
    const std::size_t range =
        round % 2 == 0 ? bad.size() : std::min<std::size_t>(bad.size(), 12288);
    for (std::uint64_t flips = 1 + random.below(4); flips > 0; --flips) {
      char& byte = bad[random.below(range)];
      byte = static_cast<char>(byte ^ (1 << random.below(8)));
    }
    write_file(dir.path() / "bad", bad);
    try {
      // With checks few of these files would be searched.
      const ClusteredIndex index =
          ClusteredIndex::open(dir.path() / "bad", {.check_on_first_use = false});
      for (const std::size_t probes : {0, 3, 1000}) {
        index.search({rows.row(0), 12}, {.k = 10, .probes = probes});
        index.search({rows.row(0), 12}, {.k = 10, .probes = probes, .rerank_factor = 3});
      }
      index.vector(7);
      ++searched;
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 100u);
  EXPECT_GT(searched, 100u);
}

}  // namespace
}  // namespace cairn

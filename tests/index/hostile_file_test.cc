// Every public call on files that are damaged, or forged with right checksums: each gives an answer
// or an error; none crashes, hangs, or makes results up. Meant to run under sanitizers, too.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <new>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cairn/clustered_index.h"
#include "cairn/payload.h"

#include "index/index_data.h"
#include "tests/util/expect_error.h"
#include "tests/util/forged_file.h"
#include "tests/util/random_vectors.h"
#include "tests/util/temp_dir.h"

namespace cairn {
namespace {

using storage::SectionType;
using test::ForgedFile;
using test::Vectors;

constexpr std::size_t kRows = 1500;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct Variant {
  const char* name;
  Metric metric = Metric::l2;
  std::size_t dim = 16;
  unsigned refine_bits = 4;
  bool has_ids = false;
  bool has_payloads = false;
  std::size_t branching_factor = 0;
  VectorEncoding encoding = VectorEncoding::float32;  // float32: raw
  int zstd_level = 0;
};

constexpr Variant kVariants[] = {
    {.name = "l2"},
    {.name = "cosine_deep", .metric = Metric::cosine, .has_payloads = true, .branching_factor = 4},
    {.name = "ip_ids", .metric = Metric::inner_product, .refine_bits = 0, .has_ids = true},
    {.name = "delta_zstd", .dim = 24, .encoding = VectorEncoding::delta16, .zstd_level = 1},
};

class HostileFile : public testing::Test {
 protected:
  static Vectors rows_of(const Variant& variant) {
    return test::clustered_vectors(kRows, variant.dim, 20, 7);
  }

  void build(const Variant& variant) {
    variant_ = variant;
    rows_ = rows_of(variant);
    std::vector<VectorId> ids;
    for (std::size_t i = 0; i < kRows && variant.has_ids; ++i) ids.push_back(10 * i + 3);
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < kRows; ++i) texts.push_back(std::to_string(i * i));
    MemoryPayloadSource payloads(texts);
    BuildOptions options{.metric = variant.metric,
                         .branching_factor = variant.branching_factor,
                         .max_leaf_size = 40,
                         .refine_bits = variant.refine_bits,
                         .threads = 1};
    if (variant.has_payloads) options.payloads = &payloads;
    SaveOptions save;
    if (variant.encoding != VectorEncoding::float32) {
      save.compression = CompressionOptions{
          .encoding = variant.encoding, .zstd_level = variant.zstd_level, .threads = 1};
    }
    ClusteredIndex::build(rows_.view(), options, ids).save(sound(), save);
  }

  std::filesystem::path sound() const { return dir_ / "sound.cairn"; }
  std::filesystem::path bad() const { return dir_ / "bad.cairn"; }

  // Makes one call; errors of the library and of memory are answers.
  static void attempt(const std::function<void()>& call) {
    try {
      call();
    } catch (const Error&) {
    } catch (const std::bad_alloc&) {
    }
  }

  static void check_hits(const std::vector<Neighbor>& hits) {
    for (std::size_t i = 0; i < hits.size(); ++i) {
      EXPECT_TRUE(std::isfinite(hits[i].distance));
      EXPECT_LE(hits[i == 0 ? 0 : i - 1].distance, hits[i].distance);
    }
  }

  // Every call on the file at bad(). Returns whether it opened.
  bool drive() {
    attempt([&] { ClusteredIndex::open(bad(), {.verify = true}); });
    bool opened = false;
    for (const bool safe : {false, true}) {
      attempt([&] {
        ClusteredIndex index = ClusteredIndex::open(bad(), {.safe_reads = safe});
        opened = true;
        drive_searches(index);
        drive_rest(index);
      });
    }
    return opened;
  }

  void drive_searches(const ClusteredIndex& index) {
    const std::size_t dim = variant_.dim;
    std::vector<VectorId> ids;
    for (std::size_t i = 0; i < kRows; i += 2) ids.push_back(variant_.has_ids ? 10 * i + 3 : i);
    const Filter filter = Filter::from_ids(ids);
    for (std::size_t q = 0; q < 3; ++q) {
      const std::span<const float> query(rows_.row(q * 400), dim);
      SearchStats stats;
      std::vector<Neighbor> out(20);
      const auto search = [&](const SearchOptions& options) {
        attempt([&] { check_hits(index.search(query, options)); });
      };
      attempt([&] { index.search(query, {.k = 20}, out, &stats); });
      search({.k = 5, .target_recall = 1});
      search({.k = 5, .target_recall = 0.99995f});
      search({.k = 5, .probes = 3, .threads = 2});
      search({.k = 5, .rerank_factor = 4});
      search({.k = 5, .filter = &filter});
      search({.k = kRows, .target_recall = 0.5f, .filter = &filter});
      search({.k = 5, .max_microseconds = 1});
      search({.k = 5, .max_distance = 1});
      attempt([&] {
        const PreparedFilter prepared = index.prepare(filter);
        check_hits(index.search(query, {.k = 5, .prepared_filter = &prepared}));
      });
      attempt([&] { check_hits(index.range_search(query, 2)); });
      attempt([&] { check_hits(index.range_search(query, 1e30f, {.filter = &filter})); });
      attempt([&] { index.range_search(query, 2, {.limit = 3, .max_microseconds = 1}); });
    }
    const MatrixView queries{rows_.values.data(), 60, dim};
    attempt([&] { index.search_batch(queries, {.k = 5}); });
    attempt([&] { index.search_batch(queries, {.k = 5, .target_recall = 1, .threads = 2}); });
    attempt([&] { index.search_batch(queries, {.k = 5, .filter = &filter}); });
  }

  void drive_rest(ClusteredIndex& index) {
    const VectorId some = variant_.has_ids ? 13 : 1;
    attempt([&] { index.stats(); });
    attempt([&] { index.memory_usage_bytes(); });
    attempt([&] { index.calibrated_probes(0.95f, 10); });
    attempt([&] { index.vector(some); });
    attempt([&] { index.contains(some); });
    attempt([&] { index.ids(); });
    attempt([&] { index.payload(some); });
    attempt([&] { index.payloads(std::vector<VectorId>{some, some + 10, some + 20}); });
    attempt([&] { index.warm(); });
    index.trim();
    attempt([&] { index.calibrate({rows_.values.data(), 50, variant_.dim}, 1); });
    attempt([&] { index.search({rows_.row(0), variant_.dim}); });
    attempt([&] { index.save(dir_ / "again.cairn"); });
    attempt([&] { index.use_compressed_storage(dir_ / "vectors.cairn"); });
    attempt([&] {
      index.use_tiered_storage({.hot_bytes = 1 << 16, .warm_bytes = 1 << 16, .min_warm_ratio = 0});
    });
    for (int i = 0; i < 3; ++i) {
      attempt([&] { check_hits(index.search({rows_.row(9), variant_.dim}, {.k = 50})); });
    }
    attempt([&] { index.use_mmap_storage(dir_ / "vectors.cairn"); });
    attempt([&] { index.use_memory_storage(); });
    attempt([&] { check_hits(index.search({rows_.row(9), variant_.dim})); });
  }

  // Expects that a forged file is refused when it is opened, and by what words.
  void expect_refused(const std::string& text, const std::function<void(ForgedFile&)>& change) {
    ForgedFile file(sound());
    change(file);
    file.write(bad());
    test::expect_error(ErrorCode::corrupt, text, [&] { ClusteredIndex::open(bad()); });
  }

  test::TempDir dir_;
  Variant variant_;
  Vectors rows_;
};

TEST_F(HostileFile, SoundFilesGiveAnswers) {
  for (const Variant& variant : kVariants) {
    SCOPED_TRACE(variant.name);
    build(variant);
    ForgedFile(sound()).write(bad());
    EXPECT_EQ(test::read_file(bad()), test::read_file(sound()));
    EXPECT_TRUE(drive());
    EXPECT_FALSE(testing::Test::HasFailure());
  }
}

// The first page of each section in turn, all ones (NaN, huge counts) and all zeros.
TEST_F(HostileFile, DamagedPagesCrashNothing) {
  for (const Variant& variant : kVariants) {
    build(variant);
    const std::size_t sections = ForgedFile(sound()).num_sections();
    for (std::size_t section = 0; section < sections; ++section) {
      for (const int value : {0xFF, 0}) {
        SCOPED_TRACE(std::string(variant.name) + ", section " + std::to_string(section));
        ForgedFile file(sound());
        std::vector<std::byte>& bytes = file.bytes(section);
        std::fill_n(bytes.begin(), std::min<std::size_t>(4096, bytes.size()),
                    static_cast<std::byte>(value));
        file.write(bad());
        drive();
      }
    }
  }
}

void drive_mutations(const std::function<void(const Variant&)>& build,
                     const std::filesystem::path& sound, const std::filesystem::path& bad,
                     const std::function<void()>& drive, std::uint64_t seed, std::size_t count) {
  base::Random random(seed);
  constexpr std::uint32_t kValues[] = {0,          1,          0xFFFFFFFF, 0x7FFFFFFF, 0x80000000,
                                       0x7F800000, 0xFF800000, 0x7FC00000, 0x7F7FFFFF, 0x00000001};
  for (const Variant& variant : kVariants) {
    build(variant);
    const ForgedFile original(sound);
    for (std::size_t i = 0; i < count; ++i) {
      ForgedFile file = original;
      const std::size_t changes = 1 + random.below(3);
      for (std::size_t c = 0; c < changes; ++c) {
        std::vector<std::byte>& bytes = file.bytes(random.below(file.num_sections()));
        if (bytes.size() < 4) continue;
        const std::size_t at = random.below(bytes.size() / 4) * 4;
        const auto value = random.below(3) == 0 ? static_cast<std::uint32_t>(random.next())
                                                : kValues[random.below(std::size(kValues))];
        std::memcpy(bytes.data() + at, &value, sizeof value);
      }
      file.write(bad);
      drive();
    }
  }
}

TEST_F(HostileFile, MutationsCrashNothing) {
  drive_mutations([&](const Variant& v) { build(v); }, sound(), bad(), [&] { drive(); }, 1, 15);
}

class ManyMutations : public HostileFile, public testing::WithParamInterface<std::uint64_t> {};
INSTANTIATE_TEST_SUITE_P(Slow, ManyMutations, testing::Range<std::uint64_t>(10, 14));

TEST_P(ManyMutations, CrashNothing) {
  drive_mutations([&](const Variant& v) { build(v); }, sound(), bad(), [&] { drive(); }, GetParam(),
                  80);
}

TEST_F(HostileFile, VectorsThatAreNoNumbersAreNoResults) {
  build(kVariants[2]);
  ForgedFile file(sound());
  std::vector<std::byte>& vectors = file.bytes(SectionType::vectors);
  std::fill(vectors.begin(), vectors.begin() + static_cast<std::ptrdiff_t>(vectors.size() / 2),
            std::byte{0xFF});
  file.write(bad());
  const ClusteredIndex index = ClusteredIndex::open(bad());
  for (std::size_t q = 0; q < 50; ++q) {
    const std::vector<Neighbor> hits =
        index.search({rows_.row(q), variant_.dim}, {.k = 100, .target_recall = 1});
    std::set<VectorId> ids;
    for (const Neighbor& hit : hits) {
      EXPECT_TRUE(ids.insert(hit.id).second);
      EXPECT_TRUE(std::isfinite(hit.distance));
      EXPECT_NE(hit.distance, 0);
    }
  }
}

TEST_F(HostileFile, FiltersFindNothingWhereNoLeafCanBeRanked) {
  build(kVariants[0]);
  ForgedFile file(sound());
  std::fill(file.bytes(SectionType::blocks).begin(), file.bytes(SectionType::blocks).end(),
            std::byte{0xFF});
  file.write(bad());
  const ClusteredIndex index = ClusteredIndex::open(bad());
  std::vector<VectorId> even;
  for (VectorId id = 0; id < kRows; id += 2) even.push_back(id);
  const Filter filter = Filter::from_ids(even);
  EXPECT_NO_THROW(index.search({rows_.row(0), 16}, {.k = 3, .probes = 2, .filter = &filter}));
  EXPECT_NO_THROW(index.range_search({rows_.row(0), 16}, 3, {.filter = &filter}));
}

TEST_F(HostileFile, RulesOfTheFormatAreChecked) {
  build(kVariants[0]);
  constexpr std::size_t kEntry = sizeof(index::ListEntry);
  expect_refused("mean or largest norm is beyond", [](ForgedFile& file) {
    for (std::size_t i = 0; i < 16; ++i) file.set(SectionType::mean, 4 * i, 1e30f);
  });
  expect_refused("no children", [](ForgedFile& file) {
    // The first leaf gives its rows to the second.
    index::ListEntry leaves[2];
    std::byte* const lists = file.bytes(SectionType::lists).data() + kEntry;
    std::memcpy(leaves, lists, sizeof leaves);
    leaves[1].num_children += leaves[0].num_children;
    leaves[1].first_child = leaves[0].first_child;
    leaves[1].first_block = leaves[0].first_block;
    leaves[0].num_children = 0;
    std::memcpy(lists, leaves, sizeof leaves);
  });
  expect_refused("largest error scale", [](ForgedFile& file) {
    file.set(SectionType::lists, kEntry + offsetof(index::ListEntry, refine_limit), kNan);
  });
  expect_refused("error scale", [](ForgedFile& file) {
    file.set(SectionType::lists, kEntry + offsetof(index::ListEntry, scan_sigma), -1.0f);
  });
  expect_refused("stop rule 0 is out of range", [](ForgedFile& file) {
    file.set(SectionType::stop_rules, offsetof(index::StopEntry, mean_leaves), 3e38f);
  });
  expect_refused("calibration entry 0 is out of range", [](ForgedFile& file) {
    file.set(SectionType::calibration, offsetof(index::CalibrationEntry, probes), 1e30f);
  });
  expect_refused("navigation width", [](ForgedFile& file) {
    file.set(SectionType::query_profile, offsetof(index::QueryProfile, navigation_width),
             std::uint32_t{1} << 20);
  });
}

// One flipped bit in each large section, checksums as they were.
TEST_F(HostileFile, DamageIsAnErrorWhenItIsTouched) {
  build(kVariants[2]);
  const std::vector<std::byte> sound_bytes = test::read_file(sound());
  const auto reader = storage::ContainerReader::open(sound());
  for (const auto& [type, name] : {std::pair{SectionType::blocks, "section blocks block 0"},
                                   std::pair{SectionType::centroids, "section centroids block 0"},
                                   std::pair{SectionType::ids, "section ids block 0"},
                                   std::pair{SectionType::id_order, "section id_order block 0"},
                                   std::pair{SectionType::vectors, "section vectors block 1"}}) {
    SCOPED_TRACE(name);
    std::vector<std::byte> bytes = sound_bytes;
    const storage::SectionInfo& section = *reader->find(type);
    const std::size_t in_section = type == SectionType::vectors ? 65536 : 0;
    bytes[section.offset + in_section + 100] ^= std::byte{0x10};
    test::write_file(bad(), bytes);
    ClusteredIndex index = ClusteredIndex::open(bad());
    const MatrixView queries{rows_.values.data(), kRows, variant_.dim};
    const auto touch = [&] {
      if (type == SectionType::id_order) {
        for (VectorId id = 3; id < 10 * kRows; id += 10) index.contains(id);
      } else {
        index.search_batch(queries, {.k = 20, .target_recall = 1});
      }
    };
    test::expect_error(ErrorCode::corrupt, name, touch);
    test::expect_error(ErrorCode::corrupt, name, touch);
    test::expect_error(ErrorCode::corrupt, name, [&] { index.save(dir_ / "copy.cairn"); });
    EXPECT_FALSE(std::filesystem::exists(dir_ / "copy.cairn"));
    if (type == SectionType::vectors) {
      test::expect_error(ErrorCode::corrupt, name, [&] { index.use_memory_storage(); });
      EXPECT_TRUE(index.is_using_mmap());
      // Vectors elsewhere in the file stay readable.
      EXPECT_EQ(index.search_batch({rows_.values.data(), 1, variant_.dim}, {.k = 1}).ids.size(),
                1u);
    }
    const ClusteredIndex unchecked = ClusteredIndex::open(bad(), {.check_on_first_use = false});
    EXPECT_NO_THROW(unchecked.search_batch(queries, {.k = 20}));
  }
}

// Two recalls beyond what a curve tells apart, with right checksums.
TEST_F(HostileFile, CurvesThatStandStillAreSearched) {
  build(kVariants[0]);
  for (const bool of_stops : {false, true}) {
    ForgedFile file(sound());
    const auto type = of_stops ? SectionType::stop_rules : SectionType::calibration;
    const std::size_t entry = of_stops ? sizeof(index::StopEntry) : sizeof(index::CalibrationEntry);
    file.set(type, 9 * entry + 4, 0.99993f);
    file.set(type, 10 * entry + 4, 0.99997f);
    file.write(bad());
    const ClusteredIndex index = ClusteredIndex::open(bad(), {.verify = true});
    EXPECT_EQ(index.search({rows_.row(5), 16}, {.k = 1, .target_recall = 0.99995f})[0].id, 5u);
  }
}

}  // namespace
}  // namespace cairn

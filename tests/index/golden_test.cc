// Files written by earlier versions stay readable. Files in tests/golden are never changed; a
// format version that writes differently adds a folder.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cairn/clustered_index.h"
#include "cairn/payload.h"

#include "tests/util/temp_dir.h"

namespace cairn {
namespace {

// 300 x 12: the rows of every golden file, with ids 1000 + 3 i. Small integers, so that each
// machine computes the same.
std::vector<float> golden_rows() {
  std::vector<float> rows;
  std::uint32_t state = 12345;
  for (int i = 0; i < 300 * 12; ++i) {
    state = state * 1664525u + 1013904223u;
    rows.push_back(static_cast<float>(state >> 24) - 100.0f);
  }
  return rows;
}

std::vector<VectorId> golden_ids() {
  std::vector<VectorId> ids;
  for (VectorId i = 0; i < 300; ++i) ids.push_back(1000 + 3 * i);
  return ids;
}

class Golden : public testing::TestWithParam<const char*> {};

TEST_P(Golden, OpensAndAnswers) {
  const std::filesystem::path path =
      std::filesystem::path(CAIRN_SOURCE_DIR) / "tests/golden" / GetParam();
  const std::vector<float> rows = golden_rows();
  const std::vector<VectorId> ids = golden_ids();
  const ClusteredIndex index = ClusteredIndex::open(path, {.verify = true});
  ASSERT_EQ(index.size(), 300u);
  ASSERT_EQ(index.dim(), 12u);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const std::span<const float> row(rows.data() + i * 12, 12);
    const auto stored = index.vector(ids[i]);
    ASSERT_TRUE(stored.has_value());
    EXPECT_TRUE(std::equal(row.begin(), row.end(), stored->begin()));
    const std::vector<Neighbor> found = index.search(row, {.k = 3, .probes = 4});
    ASSERT_EQ(found.size(), 3u);
    EXPECT_EQ(found[0].id, ids[i]);
  }
}

// Rows without a payload, short ones, and one larger than a block that does not compress.
std::vector<std::string> golden_payloads() {
  std::vector<std::string> payloads(300);
  std::uint32_t state = 1;
  for (std::size_t i = 0; i < payloads.size(); ++i) {
    if (i % 7 != 0) payloads[i] = "payload of row " + std::to_string(i);
  }
  for (int i = 0; i < 20000; ++i) {
    state = state * 1664525u + 1013904223u;
    payloads[150].push_back(static_cast<char>(state >> 24));
  }
  return payloads;
}

TEST(GoldenPayloads, AreRead) {
  const ClusteredIndex index = ClusteredIndex::open(std::filesystem::path(CAIRN_SOURCE_DIR) /
                                                    "tests/golden/v1_2/payloads.cairn");
  const std::vector<std::string> payloads = golden_payloads();
  const std::vector<VectorId> ids = golden_ids();
  for (std::size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(index.payload(ids[i]), payloads[i]);
}

// A newer version writes files as the one did whose features they use.
TEST(GoldenFiles, AreSavedByteForByteAsTheyWere) {
  const test::TempDir dir;
  for (const char* name : {"v1/l2.cairn", "v1/cosine.cairn", "v1/l2_no_refine.cairn"}) {
    const std::filesystem::path path =
        std::filesystem::path(CAIRN_SOURCE_DIR) / "tests/golden" / name;
    ClusteredIndex::open(path).save(dir / "again.cairn");
    EXPECT_TRUE(test::read_file(dir / "again.cairn") == test::read_file(path)) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Files, Golden,
                         testing::Values("v1/l2.cairn", "v1/cosine.cairn", "v1/l2_no_refine.cairn",
                                         "v1_1/auto.cairn", "v1_1/int16.cairn", "v1_1/half.cairn",
                                         "v1_1/scaled_half.cairn", "v1_1/decimal.cairn",
                                         "v1_1/exponent.cairn", "v1_1/float32_zstd.cairn",
                                         "v1_2/payloads.cairn"),
                         [](const auto& test) {
                           std::string name = test.param;
                           for (char& c : name) {
                             if (c == '/' || c == '.') c = '_';
                           }
                           return name;
                         });

// Writes the files of the current version anew: run once per format version, by hand.
TEST(GoldenWriter, DISABLED_WriteFiles) {
  const std::vector<float> rows = golden_rows();
  const std::filesystem::path dir = std::filesystem::path(CAIRN_SOURCE_DIR) / "tests/golden/v1_2";
  std::filesystem::create_directories(dir);
  const std::vector<std::string> payloads = golden_payloads();
  MemoryPayloadSource source(payloads);
  const ClusteredIndex index = ClusteredIndex::build(
      {rows.data(), 300, 12}, {.max_leaf_size = 60, .refine_bits = 0, .payloads = &source},
      golden_ids());
  index.save(dir / "payloads.cairn", {.compression = CompressionOptions{}});
}

}  // namespace
}  // namespace cairn

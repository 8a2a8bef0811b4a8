// Payloads of an index: built in memory and from a stream, saved, opened, moved, damaged.

#include "cairn/payload.h"

#include <algorithm>
#include <fstream>
#include <stdexcept>
#include <thread>

#include <gtest/gtest.h>

#include "cairn/clustered_index.h"

#include "storage/container.h"
#include "tests/util/expect_error.h"
#include "tests/util/random_vectors.h"
#include "tests/util/temp_dir.h"

namespace cairn::test {
namespace {

constexpr std::size_t kRows = 3000;

const Vectors& sample() {
  static const Vectors vectors = clustered_vectors(kRows, 12, 9, 1);
  return vectors;
}

std::string payload_of(std::size_t row) {
  if (row % 5 == 0) return {};
  std::string text = "{\"row\": " + std::to_string(row) + ", \"text\": \"";
  for (std::size_t i = 0; i < row % 40; ++i) text += "word" + std::to_string(row * i % 97) + ' ';
  return text + "\"}";
}

std::vector<std::string> sample_payloads() {
  std::vector<std::string> payloads;
  for (std::size_t row = 0; row < kRows; ++row) payloads.push_back(payload_of(row));
  return payloads;
}

std::vector<VectorId> sample_ids() {
  std::vector<VectorId> ids;
  for (std::size_t row = 0; row < kRows; ++row)
    ids.push_back(row * 7919 % 3001 + (VectorId{1} << 40));
  return ids;
}

ClusteredIndex build(const std::vector<std::string>& payloads, unsigned threads = 2) {
  MemoryPayloadSource source(payloads);
  return ClusteredIndex::build(sample().view(), {.threads = threads, .payloads = &source},
                               sample_ids());
}

void expect_all_payloads(const ClusteredIndex& index) {
  ASSERT_TRUE(index.has_payloads());
  const std::vector<VectorId> ids = sample_ids();
  for (std::size_t row = 0; row < kRows; ++row) {
    ASSERT_EQ(index.payload(ids[row]), payload_of(row)) << row;
  }
}

TEST(Payloads, ComeBackByIdFromMemoryAndFile) {
  const TempDir dir;
  const ClusteredIndex index = build(sample_payloads());
  expect_all_payloads(index);
  EXPECT_EQ(index.payload(1), std::nullopt);
  index.save(dir / "a.cairn");
  const ClusteredIndex opened = ClusteredIndex::open(dir / "a.cairn", {.verify = true});
  expect_all_payloads(opened);
  expect_all_payloads(ClusteredIndex::open(dir / "a.cairn", {.safe_reads = true}));

  std::uint64_t bytes = 0;
  for (const std::string& payload : sample_payloads()) bytes += payload.size();
  const IndexStats built = index.stats();
  const IndexStats stats = opened.stats();
  EXPECT_EQ(built.payload_raw_bytes, bytes);
  EXPECT_EQ(stats.payload_raw_bytes, bytes);
  EXPECT_EQ(stats.payload_disk_bytes, built.payload_ram_bytes);
  EXPECT_EQ(stats.payload_ram_bytes, 0u);
  EXPECT_LT(stats.payload_disk_bytes, bytes / 2);
  EXPECT_EQ(index.memory_usage_bytes() - built.vector_ram_bytes,
            opened.memory_usage_bytes() + built.payload_ram_bytes);
}

TEST(Payloads, ComeBackForManyIdsAtOnce) {
  const ClusteredIndex index = build(sample_payloads());
  const std::vector<VectorId> ids = sample_ids();
  const std::vector<VectorId> wanted = {ids[7], 12345, ids[7], ids[2999], ids[0], ids[1]};
  const auto found = index.payloads(wanted);
  ASSERT_EQ(found.size(), 6u);
  EXPECT_EQ(found[0], payload_of(7));
  EXPECT_EQ(found[1], std::nullopt);
  EXPECT_EQ(found[2], payload_of(7));
  EXPECT_EQ(found[3], payload_of(2999));
  EXPECT_EQ(found[4], "");
  EXPECT_EQ(found[5], payload_of(1));
  EXPECT_TRUE(index.payloads({}).empty());
}

TEST(Payloads, AreNoneUnlessAskedFor) {
  const ClusteredIndex index = ClusteredIndex::build(sample().view());
  EXPECT_FALSE(index.has_payloads());
  EXPECT_EQ(index.payload(3), std::nullopt);
  EXPECT_EQ(index.payloads(std::vector<VectorId>{3, 4}),
            std::vector<std::optional<std::string>>(2));
  EXPECT_EQ(index.stats().payload_raw_bytes, 0u);
}

TEST(Payloads, ChangeNothingButTheirOwnSections) {
  const TempDir dir;
  const ClusteredIndex without =
      ClusteredIndex::build(sample().view(), {.threads = 2}, sample_ids());
  without.save(dir / "without.cairn");
  build(sample_payloads()).save(dir / "with.cairn");
  const auto a = storage::ContainerReader::open(dir / "without.cairn");
  const auto b = storage::ContainerReader::open(dir / "with.cairn");
  EXPECT_EQ(b->sections().size(), a->sections().size() + 2);
  for (const storage::SectionInfo& section : a->sections()) {
    if (section.type == storage::SectionType::checksums) continue;
    const storage::SectionInfo* const same = b->find(section.type);
    ASSERT_NE(same, nullptr);
    EXPECT_TRUE(std::ranges::equal(a->bytes(section), b->bytes(*same)));
  }
  // The minor version is the oldest that has all sections; that of stop rules is the same.
  EXPECT_EQ(read_file(dir / "without.cairn")[14], std::byte{2});
  EXPECT_EQ(read_file(dir / "with.cairn")[14], std::byte{2});
}

TEST(Payloads, OfAStreamGiveTheSameBytes) {
  const TempDir dir;
  const std::vector<std::string> payloads = sample_payloads();
  MatrixVectorSource vectors(sample().view());
  for (const bool is_compressed : {false, true}) {
    SaveOptions save;
    if (is_compressed) save.compression = CompressionOptions{};
    build(payloads, 1).save(dir / "matrix.cairn", save);
    MemoryPayloadSource source(payloads);
    const ClusteredIndex index = ClusteredIndex::build_file(
        dir / "stream.cairn", vectors, {.threads = 2, .payloads = &source}, sample_ids(), save);
    expect_all_payloads(index);
    EXPECT_TRUE(read_file(dir / "stream.cairn") == read_file(dir / "matrix.cairn"));
  }
}

TEST(Payloads, ComeFromTheLinesOfAFile) {
  const TempDir dir;
  {
    std::ofstream out(dir / "lines.jsonl");
    for (const std::string& payload : sample_payloads()) out << payload << '\n';
  }
  LinePayloadSource lines(dir / "lines.jsonl");
  MatrixVectorSource vectors(sample().view());
  const ClusteredIndex index = ClusteredIndex::build_file(
      dir / "a.cairn", vectors, {.threads = 2, .payloads = &lines}, sample_ids());
  expect_all_payloads(index);
}

TEST(Payloads, GoWhereverVectorsGo) {
  const TempDir dir;
  ClusteredIndex index = build(sample_payloads());
  index.use_mmap_storage(dir / "vectors.cairn");
  expect_all_payloads(index);
  index.use_compressed_storage(dir / "coded.cairn");
  expect_all_payloads(index);
  index.save(dir / "a.cairn", {.compression = CompressionOptions{}});
  ClusteredIndex opened = ClusteredIndex::open(dir / "a.cairn");
  opened.use_memory_storage();
  expect_all_payloads(opened);
  opened.save(dir / "b.cairn");
  build(sample_payloads()).save(dir / "c.cairn");
  EXPECT_TRUE(read_file(dir / "b.cairn") == read_file(dir / "c.cairn"));
}

TEST(Payloads, OfFewOrNoRowsAreKept) {
  const TempDir dir;
  for (const std::size_t rows : {0, 1, 3}) {
    const Vectors vectors = clustered_vectors(rows, 4, 1, 2);
    const std::vector<std::string> payloads(rows, "same");
    MemoryPayloadSource source(payloads);
    ClusteredIndex::build(vectors.view(), {.payloads = &source}).save(dir / "a.cairn");
    const ClusteredIndex index = ClusteredIndex::open(dir / "a.cairn", {.verify = true});
    EXPECT_TRUE(index.has_payloads());
    for (VectorId id = 0; id < rows; ++id) EXPECT_EQ(index.payload(id), "same");
    index.save(dir / "b.cairn");
    EXPECT_TRUE(read_file(dir / "a.cairn") == read_file(dir / "b.cairn"));
  }
}

TEST(Payloads, AreReadByManyThreads) {
  const TempDir dir;
  build(sample_payloads()).save(dir / "a.cairn");
  const ClusteredIndex index = ClusteredIndex::open(dir / "a.cairn");
  const std::vector<VectorId> ids = sample_ids();
  std::vector<std::size_t> wrong(4);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = 0; i < 500; ++i) {
        const std::size_t row = (t * 997 + i * 31) % kRows;
        wrong[t] += index.payload(ids[row]) != payload_of(row);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<std::size_t>(4));
}

TEST(Payloads, MustBeOneForEachRowAndNotTooLong) {
  const TempDir dir;
  const Vectors vectors = clustered_vectors(10, 4, 1, 2);
  std::vector<std::string> payloads(9);
  const auto build_both = [&](const char* message) {
    MemoryPayloadSource source(payloads);
    const BuildOptions options{.threads = 1, .payloads = &source};
    expect_error(ErrorCode::invalid_argument, message,
                 [&] { ClusteredIndex::build(vectors.view(), options); });
    MatrixVectorSource rows(vectors.view());
    expect_error(ErrorCode::invalid_argument, message,
                 [&] { ClusteredIndex::build_file(dir / "a.cairn", rows, options); });
    EXPECT_TRUE(dir.names().empty());
  };
  build_both("payloads: expected one per row, 10, found 9");
  payloads.resize(10);
  payloads[4].resize(kMaxPayloadBytes + 1);
  build_both("payloads: row 4 has 67108865 bytes, expected at most 67108864");
}

class FailingPayloads final : public PayloadSource {
 public:
  std::size_t rows() const noexcept override { return kRows; }
  void read(std::size_t row, std::string&) override {
    if (row == 1234) throw std::runtime_error("row 1234 is gone");
  }
};

TEST(Payloads, ThatFailEndTheBuild) {
  const TempDir dir;
  FailingPayloads source;
  MatrixVectorSource rows(sample().view());
  EXPECT_THROW(ClusteredIndex::build_file(dir / "a.cairn", rows, {.payloads = &source}),
               std::runtime_error);
  EXPECT_THROW(ClusteredIndex::build(sample().view(), {.payloads = &source}), std::runtime_error);
  EXPECT_TRUE(dir.names().empty());
}

TEST(Payloads, OfADamagedBlockAreAnErrorAndOthersAreNot) {
  const TempDir dir;
  build(sample_payloads()).save(dir / "a.cairn");
  std::vector<std::byte> bytes = read_file(dir / "a.cairn");
  {
    const auto container = storage::ContainerReader::open(dir / "a.cairn");
    const auto* const section = container->find(storage::SectionType::payloads);
    bytes[section->offset + section->bytes / 2] ^= std::byte{1};
  }
  write_file(dir / "a.cairn", bytes);
  const ClusteredIndex index = ClusteredIndex::open(dir / "a.cairn");
  const std::vector<VectorId> ids = sample_ids();
  std::size_t damaged = 0;
  for (std::size_t row = 0; row < kRows; ++row) {
    try {
      ASSERT_EQ(index.payload(ids[row]), payload_of(row));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::corrupt);
      EXPECT_THAT(error.what(), testing::HasSubstr("a.cairn: payloads: block "));
      EXPECT_THAT(error.what(),
                  testing::HasSubstr("for row " + std::to_string(*index.row_of(ids[row]))));
      ++damaged;
    }
  }
  EXPECT_GT(damaged, 0u);
  EXPECT_LT(damaged, kRows / 4);
  EXPECT_THROW(index.payloads(ids), Error);
  expect_error(ErrorCode::corrupt, "payloads: block", [&] { index.save(dir / "b.cairn"); });
  expect_error(ErrorCode::corrupt, "section payloads",
               [&] { ClusteredIndex::open(dir / "a.cairn", {.verify = true}); });
  EXPECT_EQ(dir.names().size(), 1u);
}

TEST(Ids, AreTheUsersInRowOrder) {
  const ClusteredIndex index = build(sample_payloads());
  std::vector<VectorId> ids = index.ids();
  ASSERT_EQ(ids.size(), kRows);
  for (std::uint32_t row = 0; row < kRows; ++row) ASSERT_EQ(ids[row], index.id_of(row));
  std::vector<VectorId> expected = sample_ids();
  std::sort(ids.begin(), ids.end());
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(ids, expected);
  const std::vector<VectorId> rows = ClusteredIndex::build(sample().view()).ids();
  EXPECT_EQ(std::ranges::max(rows), kRows - 1);
}

TEST(Identity, IsThatOfTheFileOrOfOneIndexInMemory) {
  const TempDir dir;
  ClusteredIndex a = build(sample_payloads());
  const ClusteredIndex b = build(sample_payloads());
  EXPECT_NE(a.identity(), b.identity());
  a.save(dir / "a.cairn");
  b.save(dir / "b.cairn");
  ClusteredIndex opened = ClusteredIndex::open(dir / "a.cairn");
  EXPECT_EQ(opened.identity(), ClusteredIndex::open(dir / "b.cairn").identity());
  EXPECT_NE(opened.identity(), a.identity());

  const auto before = opened.identity();
  opened.use_memory_storage();
  opened.use_mmap_storage(dir / "v.cairn");
  EXPECT_EQ(opened.identity(), before);
  opened.use_compressed_storage(dir / "c.cairn", {.encoding = VectorEncoding::delta16});
  EXPECT_NE(opened.identity(), before);
  const auto of_a = a.identity();
  a.use_storage(std::make_unique<MemoryVectorStore>(
      kRows, 12,
      [&](std::size_t first, std::size_t count, float* out) { b.read_rows(first, count, out); }));
  EXPECT_NE(a.identity(), of_a);
  const auto moved = a.identity();
  const ClusteredIndex other = std::move(a);
  EXPECT_EQ(other.identity(), moved);
}

}  // namespace
}  // namespace cairn::test

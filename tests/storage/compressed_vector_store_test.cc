#include <algorithm>
#include <bit>
#include <csignal>
#include <cstring>
#include <numeric>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cairn/vector_store.h"

#include "base/random.h"
#include "storage/coded_writer.h"
#include "storage/container.h"
#include "storage/file.h"
#include "storage/segment.h"
#include "tests/util/bit_patterns.h"
#include "tests/util/encodable_vectors.h"
#include "tests/util/expect_error.h"
#include "tests/util/temp_dir.h"

namespace cairn {
namespace {

using test::bits_of;
using test::expect_error;
using test::TempDir;
using test::Vectors;

std::vector<std::uint32_t> all_rows(const VectorStore& store) {
  std::vector<std::uint32_t> rows(store.rows());
  std::iota(rows.begin(), rows.end(), 0u);
  return rows;
}

std::vector<std::uint32_t> bits_of_rows(const VectorStore& store,
                                        const std::vector<std::uint32_t>& rows) {
  std::vector<float> values(rows.size() * store.dim());
  store.prefetch(rows);
  store.read(rows, values.data());
  return bits_of(values);
}

void expect_holds(const VectorStore& store, const Vectors& vectors) {
  ASSERT_EQ(store.rows(), vectors.rows);
  ASSERT_EQ(store.dim(), vectors.dim);
  EXPECT_EQ(bits_of_rows(store, all_rows(store)), bits_of(vectors.values));
  base::Random random(4);
  for (int round = 0; round < 20 && vectors.rows > 0; ++round) {
    std::vector<std::uint32_t> rows;
    std::vector<float> expected;
    for (int i = 0; i < 30; ++i) {
      rows.push_back(static_cast<std::uint32_t>(random.below(vectors.rows)));
    }
    if (round % 2 == 0) std::sort(rows.begin(), rows.end());
    for (const std::uint32_t row : rows) {
      expected.insert(expected.end(), vectors.row(row), vectors.row(row) + vectors.dim);
    }
    std::vector<float> found(expected.size());
    store.read(rows, found.data());
    EXPECT_EQ(bits_of(found), bits_of(expected));
  }
}

// Rows of every encoding, one segment each and one that is not full.
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

const CompressionOptions kAllOptions[] = {
    {},
    {.zstd_level = 1},
    {.zstd_level = 3, .train_dictionary = true, .block_rows = 2},
    {.zstd_level = 12, .block_rows = 5},
    {.encoding = VectorEncoding::exponent},
    {.encoding = VectorEncoding::float32},
    {.encoding = VectorEncoding::float32, .zstd_level = 3},
    {.encoding = VectorEncoding::decimal, .zstd_level = 3, .threads = 1},
    {.block_rows = 1},
    {.block_rows = 65536, .threads = 3},
};

TEST(CompressedVectorStore, HoldsAnyBits) {
  const TempDir dir;
  const Vectors vectors = mixed_vectors(4096, 64);
  for (const CompressionOptions& options : kAllOptions) {
    const auto store = CompressedVectorStore::create(dir / "a", vectors.view(), options);
    expect_holds(*store, vectors);
    expect_holds(*CompressedVectorStore::open(dir / "a"), vectors);
    expect_holds(*CompressedVectorStore::open(dir / "a", {.safe_reads = true}), vectors);
  }
}

TEST(CompressedVectorStore, ChoosesPerSegment) {
  const TempDir dir;
  const Vectors vectors = mixed_vectors(4096, 64);
  const auto store = CompressedVectorStore::create(dir / "a", vectors.view());
  const CompressionStats stats = store->compression_stats();
  std::vector<std::string> names;
  for (const EncodingStats& entry : stats.encodings) names.push_back(to_string(entry.encoding));
  EXPECT_EQ(names, (std::vector<std::string>{"constant", "int8", "int16", "half", "bfloat16",
                                             "scaled_half", "decimal", "exponent", "float32"}));
  std::uint64_t rows = 0;
  for (const EncodingStats& entry : stats.encodings) {
    rows += entry.rows;
    EXPECT_GT(entry.encode_seconds, 0);
    EXPECT_EQ(entry.decode_seconds, 0);
  }
  EXPECT_EQ(rows, vectors.rows);
  EXPECT_EQ(stats.raw_bytes, vectors.values.size() * sizeof(float));
  EXPECT_GT(stats.ratio(), 1.5);
  store->check_all();
  for (const EncodingStats& entry : store->compression_stats().encodings) {
    EXPECT_GT(entry.decode_seconds, 0);
  }
  EXPECT_EQ(store->stats().kind, StorageKind::compressed);
  EXPECT_EQ(store->stats().disk_bytes, stats.stored_bytes);
  EXPECT_EQ(store->path(), dir / "a");
  EXPECT_EQ(store->contiguous(), nullptr);
}

TEST(CompressedVectorStore, TakesAnyShape) {
  const TempDir dir;
  for (const std::size_t dim : {1, 3, 1000}) {
    for (const std::size_t rows : {0, 1, 2, 63, 64, 65, 70'000}) {
      if (rows * dim > 1'000'000) continue;
      for (const test::EncodableVectors& set : test::encodable_vectors(rows)) {
        const Vectors vectors = set.make(rows, dim);
        expect_holds(*CompressedVectorStore::create(dir / "a", vectors.view()), vectors);
      }
    }
  }
}

TEST(CompressedVectorStore, OpensPlainVectors) {
  const TempDir dir;
  const Vectors vectors = mixed_vectors(700, 24);
  MmapVectorStore::create(dir / "raw", vectors.view());
  for (const bool safe_reads : {false, true}) {
    const auto store = CompressedVectorStore::open(dir / "raw", {.safe_reads = safe_reads});
    expect_holds(*store, vectors);
    EXPECT_EQ(store->compression_stats().ratio(), 1.0);
  }
}

TEST(CompressedVectorStore, WritesTheSameBytesWhateverTheThreads) {
  const TempDir dir;
  const Vectors vectors = mixed_vectors(4096, 64);
  CompressedVectorStore::create(dir / "one", vectors.view(), {.threads = 1});
  CompressedVectorStore::create(dir / "four", vectors.view(), {.threads = 4});
  EXPECT_EQ(test::read_file(dir / "one"), test::read_file(dir / "four"));
}

TEST(CompressedVectorStore, IsNeverMuchLargerThanRaw) {
  const TempDir dir;
  for (const std::size_t dim : {1, 17, 100, 2049, 5000}) {
    const std::size_t rows = 4'000'000 / dim;
    const Vectors noise = test::make_vectors(rows, dim, [](base::Random& random, std::size_t) {
      return std::bit_cast<float>(static_cast<std::uint32_t>(random.next()));
    });
    MmapVectorStore::create(dir / "raw", noise.view());
    for (const CompressionOptions& options : kAllOptions) {
      if (options.block_rows != 0) continue;
      CompressedVectorStore::create(dir / "a", noise.view(), options);
      EXPECT_LE(static_cast<double>(std::filesystem::file_size(dir / "a")),
                1.001 * static_cast<double>(std::filesystem::file_size(dir / "raw")))
          << dim;
    }
  }
}

TEST(CompressedVectorStore, AnswersSeveralThreads) {
  const TempDir dir;
  const Vectors vectors = mixed_vectors(1024, 256);
  for (const bool safe_reads : {false, true}) {
    CompressedVectorStore::create(dir / "a", vectors.view(), {.zstd_level = 1});
    const auto store = CompressedVectorStore::open(dir / "a", {.safe_reads = safe_reads});
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) threads.emplace_back([&] { expect_holds(*store, vectors); });
    for (std::thread& thread : threads) thread.join();
  }
}

TEST(CompressedVectorStore, RefusesWrongUse) {
  const TempDir dir;
  const Vectors vectors = mixed_vectors(8, 64);
  const auto refuse = [&](const CompressionOptions& options, const char* text) {
    expect_error(ErrorCode::invalid_argument, text,
                 [&] { CompressedVectorStore::create(dir / "a", vectors.view(), options); });
  };
  refuse({.zstd_level = 23}, "zstd_level is 23, expected 0 to 22");
  refuse({.zstd_level = -1}, "zstd_level is -1, expected 0 to 22");
  refuse({.train_dictionary = true}, "a dictionary needs a zstd_level");
  refuse({.block_rows = 65537}, "block_rows is 65537");
  refuse({.encoding = static_cast<VectorEncoding>(99)}, "unknown encoding 99");
  EXPECT_TRUE(dir.names().empty());
  expect_error(ErrorCode::io, "missing",
               [&] { CompressedVectorStore::create(dir / "missing" / "a", vectors.view()); });
  const auto store = CompressedVectorStore::create(dir / "a", vectors.view());
  const std::vector<std::uint32_t> beyond = {3, static_cast<std::uint32_t>(vectors.rows)};
  std::vector<float> out(16);
  expect_error(ErrorCode::invalid_argument, "expected less than",
               [&] { store->read(beyond, out.data()); });
  store->prefetch(beyond);
  expect_error(ErrorCode::corrupt, "section vectors is missing",
               [&] { MmapVectorStore::open(dir / "a"); });
}

TEST(CompressedVectorStore, LeavesTheOldFileWhenTheDiskIsFull) {
  const TempDir dir;
  const Vectors old = mixed_vectors(8, 64);
  CompressedVectorStore::create(dir / "a", old.view());
  const auto before = test::read_file(dir / "a");
  // A limit on the size of files stands for a full disk: writing beyond it fails.
  rlimit unlimited{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit limited{1 << 20, unlimited.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limited), 0);
  const Vectors large{test::odd_floats(2 << 20, 1), 1 << 20, 2};
  expect_error(ErrorCode::io, "cannot write",
               [&] { CompressedVectorStore::create(dir / "a", large.view()); });
  setrlimit(RLIMIT_FSIZE, &unlimited);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(dir.names(), std::set<std::string>{"a"});
  EXPECT_EQ(test::read_file(dir / "a"), before);
}

TEST(CompressedVectorStore, LeavesTheOldFileWhenTheProducerFails) {
  const TempDir dir;
  const Vectors old = mixed_vectors(8, 64);
  CompressedVectorStore::create(dir / "a", old.view());
  EXPECT_THROW(CompressedVectorStore::create(
                   dir / "a", 10'000'000, 8,
                   [](std::size_t, std::size_t, float*) { throw std::runtime_error("no more"); }),
               std::runtime_error);
  EXPECT_EQ(dir.names(), std::set<std::string>{"a"});
  expect_holds(*CompressedVectorStore::open(dir / "a"), old);
}

class CompressedDamage : public testing::TestWithParam<int> {
 protected:
  CompressedDamage() {
    CompressedVectorStore::create(path_, vectors_.view(), options());
    bytes_ = test::read_file(path_);
  }
  const CompressionOptions& options() const {
    return kAllOptions[static_cast<std::size_t>(GetParam())];
  }
  // Every row is right or is refused with the file and its own number; the count of the refused.
  std::size_t read_each_row(const VectorStore& store) {
    std::size_t refused = 0;
    std::vector<float> row(vectors_.dim);
    for (std::uint32_t i = 0; i < vectors_.rows; ++i) {
      try {
        store.read({&i, 1}, row.data());
        EXPECT_EQ(bits_of(row), bits_of({vectors_.row(i), vectors_.dim})) << "row " << i;
      } catch (const Error& error) {
        ++refused;
        EXPECT_EQ(error.code(), ErrorCode::corrupt);
        EXPECT_THAT(error.what(), testing::HasSubstr(path_.string() + ": vectors: block "));
        EXPECT_THAT(error.what(), testing::HasSubstr("row " + std::to_string(i)));
      }
    }
    return refused;
  }

  TempDir dir_;
  std::filesystem::path path_ = dir_ / "vectors.cairn";
  Vectors vectors_ = mixed_vectors(512, 512);
  std::vector<std::byte> bytes_;
};

// A damaged byte costs its block, nothing else.
TEST_P(CompressedDamage, CostsOneBlock) {
  const auto reader = storage::ContainerReader::open(path_);
  const storage::SectionInfo section = *reader->find(storage::SectionType::coded_vectors);
  const auto whole = CompressedVectorStore::open(path_);
  EXPECT_EQ(read_each_row(*whole), 0u);
  base::Random random(7);
  std::size_t hit = 0;
  constexpr int kRounds = 40;
  for (int round = 0; round < kRounds; ++round) {
    auto bad = bytes_;
    bad[section.offset + random.below(section.bytes)] ^= std::byte{0x10};
    test::write_file(path_, bad);
    for (const bool safe_reads : {false, true}) {
      try {
        const auto store = CompressedVectorStore::open(path_, {.safe_reads = safe_reads});
        const std::size_t refused = read_each_row(*store);
        hit += refused > 0;
        EXPECT_LE(refused, 512u);  // a preamble is a segment's
        EXPECT_EQ(read_each_row(*store), refused);
      } catch (const Error& error) {  // safe_reads looks at preambles at once
        EXPECT_TRUE(safe_reads);
        ++hit;
      }
    }
  }
  EXPECT_GT(hit, kRounds);  // the rest hits bytes between segments
}

INSTANTIATE_TEST_SUITE_P(Options, CompressedDamage, testing::Values(0, 1, 2, 5, 6));

// Opens, reads every row by batch and one by one. Never crashes; what it reads is right or refused.
bool is_refused_or_right(const std::filesystem::path& path, const Vectors& vectors, bool safe) {
  try {
    const auto store = CompressedVectorStore::open(path, {.safe_reads = safe});
    const std::vector<std::uint32_t> rows = all_rows(*store);
    store->prefetch(rows);
    std::vector<float> values(rows.size() * store->dim());
    store->read(rows, values.data());
    return bits_of(values) == bits_of(vectors.values);
  } catch (const Error& error) {
    return error.code() == ErrorCode::corrupt || error.code() == ErrorCode::version_unsupported ||
           error.code() == ErrorCode::io;
  }
}

TEST(CompressedFile, AnyFlippedByteIsNoticedOrHarmless) {
  const TempDir dir;
  for (const CompressionOptions& options : kAllOptions) {
    const Vectors vectors = mixed_vectors(5, 8);
    CompressedVectorStore::create(dir / "a", vectors.view(), options);
    auto bytes = test::read_file(dir / "a");
    storage::File file(::open((dir / "a").c_str(), O_WRONLY | O_CLOEXEC), dir / "a");
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      // The middle of the header page is covered by its checksum as a whole.
      if (at > 128 && at < 4000 && at % 97 != 0) continue;
      const std::byte flipped = bytes[at] ^ static_cast<std::byte>(1 << at % 8);
      file.write_at(at, {&flipped, 1});
      EXPECT_TRUE(is_refused_or_right(dir / "a", vectors, at % 2 == 0)) << "byte " << at;
      file.write_at(at, {&bytes[at], 1});
    }
    EXPECT_TRUE(is_refused_or_right(dir / "a", vectors, false));
  }
}

TEST(CompressedFile, AnyTruncationIsRefused) {
  const TempDir dir;
  const Vectors vectors = mixed_vectors(5, 8);
  CompressedVectorStore::create(dir / "a", vectors.view(), {.zstd_level = 1});
  for (std::size_t size = std::filesystem::file_size(dir / "a"); size-- > 0;) {
    std::filesystem::resize_file(dir / "a", size);
    expect_error(ErrorCode::corrupt, (dir / "a").string(),
                 [&] { CompressedVectorStore::open(dir / "a"); });
  }
}

// Checksums of the blocks of `coded`, as the segments of `good` cut it.
std::vector<std::uint64_t> block_checksums(const storage::ContainerReader& good,
                                           std::span<const std::byte> coded) {
  using storage::SectionType;
  std::vector<std::uint64_t> checksums;
  const std::size_t dim = good.info().dim;
  const auto add = [&](std::uint64_t begin, std::uint64_t bytes) {
    checksums.push_back(
        storage::coded_block_checksum(coded.subspan(begin, bytes), checksums.size()));
  };
  for (const storage::Segment& segment : storage::decode_segments(
           good.bytes(*good.find(SectionType::vector_segments)), good.info().count, dim,
           coded.size(), good.find(SectionType::vector_checksums)->count, "good")) {
    const std::size_t preamble = segment.preamble_bytes(dim);
    if (preamble > 0) add(segment.offset, preamble);
    std::uint64_t begin = segment.offset + preamble;
    const auto intact = good.bytes(*good.find(SectionType::coded_vectors));
    for (std::size_t block = 0; block < segment.num_blocks(); ++block) {
      std::uint64_t size =
          storage::plain_block_bytes(segment.encoding, dim, segment.rows_of_block(block));
      if (segment.has_block_ends()) {
        std::uint32_t end;
        const std::uint64_t ends = segment.offset + 4 * segment.num_exceptions;
        std::memcpy(&end, intact.data() + ends + 4 * block, sizeof end);
        size = segment.offset + preamble + end - begin;
      }
      add(begin, size);
      begin += size;
    }
  }
  return checksums;
}

// All checksums are right, what they cover is not: a file that was made to harm.
TEST(CompressedFile, ForgedSectionsNeverCrash) {
  using storage::SectionType;
  const TempDir dir;
  base::Random random(11);
  std::size_t refused = 0;
  for (int round = 0; round < 800; ++round) {
    if (round % 80 == 0) {
      const CompressionOptions& options = kAllOptions[round / 80];
      CompressedVectorStore::create(dir / "good", mixed_vectors(5, 8).view(), options);
    }
    const auto good = storage::ContainerReader::open(dir / "good");
    {
      storage::ContainerWriter writer(dir / "bad", good->info());
      std::vector<std::uint64_t> checksums;
      for (const storage::SectionInfo& section : good->sections()) {
        if (section.type == SectionType::checksums) continue;
        const auto bytes = good->bytes(section);
        std::vector<std::byte> forged(bytes.begin(), bytes.end());
        for (std::uint64_t flips = random.below(3); flips > 0 && !forged.empty(); --flips) {
          forged[random.below(forged.size())] = static_cast<std::byte>(random.next());
        }
        if (section.type == SectionType::coded_vectors) checksums = block_checksums(*good, forged);
        if (section.type == SectionType::vector_checksums) {
          const auto right = std::as_bytes(std::span(checksums));
          forged.assign(right.begin(), right.end());
        }
        writer.begin_section(section.type, section.element_size, section.count,
                             section.alignment_log2);
        writer.append(forged);
      }
      writer.commit();
    }
    try {
      const auto store = CompressedVectorStore::open(dir / "bad");
      const std::vector<std::uint32_t> rows = all_rows(*store);
      store->prefetch(rows);
      std::vector<float> values(rows.size() * store->dim());
      store->read(rows, values.data());
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::corrupt) << error.what();
      ++refused;
    }
  }
  EXPECT_GT(refused, 300u);
}

TEST(SafeReads, ReportTruncationAndReplacement) {
  const TempDir dir;
  const Vectors vectors = mixed_vectors(512, 512);
  CompressedVectorStore::create(dir / "a", vectors.view());
  const auto bytes = test::read_file(dir / "a");
  std::vector<float> row(vectors.dim);
  const std::uint32_t last = static_cast<std::uint32_t>(vectors.rows) - 1;
  const auto read_last = [&](const VectorStore& store) { store.read({&last, 1}, row.data()); };

  const auto truncated = CompressedVectorStore::open(dir / "a", {.safe_reads = true});
  read_last(*truncated);
  std::filesystem::resize_file(dir / "a", 8192);
  expect_error(ErrorCode::io, "the file was changed while it was open",
               [&] { read_last(*truncated); });
  expect_error(ErrorCode::io, (dir / "a").string(), [&] { read_last(*truncated); });

  // Renamed over, the old file lives on.
  test::write_file(dir / "a", bytes);
  const auto replaced = CompressedVectorStore::open(dir / "a", {.safe_reads = true});
  CompressedVectorStore::create(dir / "b", vectors.view(), {.encoding = VectorEncoding::float32});
  std::filesystem::rename(dir / "b", dir / "a");
  expect_holds(*replaced, vectors);

  // Overwritten in place.
  test::write_file(dir / "a", bytes);
  const auto overwritten = CompressedVectorStore::open(dir / "a", {.safe_reads = true});
  storage::File file(::open((dir / "a").c_str(), O_WRONLY | O_CLOEXEC), dir / "a");
  file.write_at(6000, std::span(bytes).subspan(6000, 100));
  expect_error(ErrorCode::io, "the file was changed while it was open",
               [&] { read_last(*overwritten); });
}

}  // namespace
}  // namespace cairn

// What of an index is in memory: warm(), trim(), safe_reads, one copy for several processes.

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cairn/clustered_index.h"
#include "cairn/error.h"
#include "cairn/share.h"

#include "storage/container.h"
#include "storage/file.h"
#include "tests/util/expect_error.h"
#include "tests/util/random_vectors.h"
#include "tests/util/temp_dir.h"

namespace cairn {
namespace {

using test::clustered_vectors;
using test::expect_error;
using test::TempDir;
using test::Vectors;

// Instrumented processes have memory of their own that is larger than the index, and lock none.
#ifdef __has_feature
#define CAIRN_HAS_FEATURE(name) __has_feature(name)
#else
#define CAIRN_HAS_FEATURE(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
    CAIRN_HAS_FEATURE(address_sanitizer) || CAIRN_HAS_FEATURE(thread_sanitizer)
constexpr bool kIsInstrumented = true;
#else
constexpr bool kIsInstrumented = false;
#endif

std::vector<Neighbor> answers(const ClusteredIndex& index, const Vectors& queries) {
  std::vector<Neighbor> all;
  for (std::size_t q = 0; q < queries.rows; ++q) {
    const auto found = index.search({queries.row(q), queries.dim}, {.k = 10});
    all.insert(all.end(), found.begin(), found.end());
  }
  return all;
}

// Is `path` mapped by this process?
bool is_mapped(const std::filesystem::path& path) {
  std::ifstream maps("/proc/self/maps");
  std::string line;
  while (std::getline(maps, line)) {
    if (line.ends_with(path.string())) return true;
  }
  return false;
}

class Residency : public ::testing::Test {
 protected:
  Residency() { ClusteredIndex::build(rows_.view()).save(path_); }

  // Bytes of the file that are in memory, by a mapping of its own.
  std::uint64_t resident_bytes() const {
    const storage::File file = storage::File::open_for_reading(path_);
    const storage::Mapping mapping(file, file.size());
    std::uint64_t bytes = 0;
    for (std::size_t at = 0; at < mapping.bytes().size(); at += storage::page_size()) {
      if (storage::is_resident(mapping.bytes().data() + at)) bytes += storage::page_size();
    }
    return bytes;
  }

  TempDir dir_;
  Vectors rows_ = clustered_vectors(4000, 200, 30, 1);
  std::filesystem::path path_ = dir_ / "index";
};

TEST_F(Residency, WarmReadsAndTrimGivesBack) {
  const ClusteredIndex index = ClusteredIndex::open(path_);
  const std::uint64_t file_bytes = std::filesystem::file_size(path_);
  const std::uint64_t vector_bytes = index.stats().vector_disk_bytes;
  const auto expected = answers(index, rows_);
  index.trim();
  const std::uint64_t cold = resident_bytes();
  if (cold > file_bytes / 10) GTEST_SKIP() << "this file system keeps its pages in memory";
  EXPECT_EQ(index.warm({.part = IndexPart::codes}), index.memory_usage_bytes() + 64);
  EXPECT_GE(resident_bytes(), index.memory_usage_bytes());
  EXPECT_LT(resident_bytes(), file_bytes - vector_bytes / 2);
  EXPECT_EQ(index.warm({.part = IndexPart::vectors}), vector_bytes);
  EXPECT_GE(resident_bytes() + 8 * storage::page_size(), file_bytes);
  index.trim(IndexPart::vectors);
  EXPECT_LT(resident_bytes(), file_bytes - vector_bytes / 2);
  EXPECT_GE(resident_bytes(), index.memory_usage_bytes());
  index.trim();
  EXPECT_LE(resident_bytes(), cold + 8 * storage::page_size());
  EXPECT_EQ(answers(index, rows_), expected);
}

TEST_F(Residency, WarmKeepsToItsLimit) {
  const ClusteredIndex index = ClusteredIndex::open(path_);
  EXPECT_EQ(index.warm({.max_bytes = 10'000}), 10'000u);
  EXPECT_EQ(index.warm({.part = IndexPart::vectors, .max_bytes = 1}), 1u);
  EXPECT_EQ(index.warm({.max_bytes = ~std::uint64_t{0}}), index.warm());
}

std::uint64_t locked_kib() {
  std::ifstream file("/proc/self/status");
  std::string word;
  while (file >> word) {
    if (word == "VmLck:") {
      file >> word;
      return std::stoull(word);
    }
  }
  return 0;
}

TEST_F(Residency, CodesAreLockedUntilTheyAreTrimmed) {
  if (kIsInstrumented) GTEST_SKIP() << "sanitizers ignore mlock";
  const ClusteredIndex index = ClusteredIndex::open(path_);
  const auto expected = answers(index, rows_);
  try {
    index.warm({.part = IndexPart::codes, .lock_codes = true});
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::io);
    GTEST_SKIP() << error.what();
  }
  EXPECT_GE(locked_kib(), index.memory_usage_bytes() / 1024);
  EXPECT_LT(locked_kib(), std::filesystem::file_size(path_) / 1024);
  index.trim(IndexPart::vectors);
  EXPECT_GE(locked_kib(), index.memory_usage_bytes() / 1024);
  index.trim();
  EXPECT_EQ(locked_kib(), 0u);
  EXPECT_EQ(answers(index, rows_), expected);
}

// Without a mapping too: announced rows, and hardly more, come into memory before they are read.
TEST_F(Residency, StoresAnnounceRowsOfAColdFile) {
  for (const bool safe_reads : {false, true}) {
    for (const bool compressed : {false, true}) {
      ClusteredIndex::open(path_).save(
          path_, {.compression = compressed ? std::optional(CompressionOptions{}) : std::nullopt});
      const auto store = CompressedVectorStore::open(path_, {.safe_reads = safe_reads});
      store->trim();
      const std::uint64_t before = resident_bytes();
      if (before > std::filesystem::file_size(path_) * 9 / 10) {
        GTEST_SKIP() << "this file system keeps its pages in memory";
      }
      const std::vector<std::uint32_t> rows = {5, 1000, 2000, 3999};
      store->prefetch(rows);
      std::uint64_t after = 0;
      for (int i = 0; i < 500 && after < before + rows.size() * storage::page_size(); ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        after = resident_bytes();
      }
      EXPECT_GE(after, before + rows.size() * storage::page_size());
      EXPECT_LE(after, before + rows.size() * 8 * storage::page_size());
    }
  }
}

// Of the user's own stores, or of what is in memory anyway, there is nothing to do.
TEST_F(Residency, WhatIsInMemoryIsLeftAlone) {
  const ClusteredIndex index = ClusteredIndex::build(rows_.view());
  const auto expected = answers(index, rows_);
  EXPECT_EQ(index.warm(), 0u);
  index.trim();
  EXPECT_EQ(answers(index, rows_), expected);
}

TEST_F(Residency, WarmReportsAFileThatWasTruncated) {
  for (const bool safe_reads : {false, true}) {
    const std::string name = safe_reads ? "safe" : "mapped";
    std::filesystem::copy_file(path_, dir_ / name);
    const ClusteredIndex index = ClusteredIndex::open(dir_ / name, {.safe_reads = safe_reads});
    std::filesystem::resize_file(dir_ / name, 8192);
    expect_error(ErrorCode::io, name, [&] { index.warm(); });
  }
}

TEST_F(Residency, EveryStoreIsWarmedAndTrimmed) {
  ClusteredIndex index = ClusteredIndex::open(path_);
  const auto expected = answers(index, rows_);
  index.use_compressed_storage(dir_ / "compressed");
  EXPECT_GT(index.warm({.part = IndexPart::vectors}), 0u);
  index.trim();
  EXPECT_EQ(answers(index, rows_), expected);
  index.use_mmap_storage(dir_ / "mapped");
  EXPECT_EQ(index.warm({.part = IndexPart::vectors}), rows_.values.size() * sizeof(float));
  index.trim();
  EXPECT_EQ(answers(index, rows_), expected);
}

TEST_F(Residency, SafeReadsMapNothing) {
  const ClusteredIndex mapped = ClusteredIndex::open(path_);
  EXPECT_TRUE(is_mapped(path_));
  EXPECT_TRUE(mapped.stats().index_is_mapped);
  std::filesystem::copy_file(path_, dir_ / "safe");
  const ClusteredIndex safe =
      ClusteredIndex::open(dir_ / "safe", {.verify = true, .safe_reads = true});
  EXPECT_FALSE(is_mapped(dir_ / "safe"));
  EXPECT_FALSE(safe.stats().index_is_mapped);
  EXPECT_EQ(safe.memory_usage_bytes() - safe.stats().vector_ram_bytes, mapped.memory_usage_bytes());
  EXPECT_EQ(answers(safe, rows_), answers(mapped, rows_));
  safe.trim();
  EXPECT_EQ(safe.warm(), mapped.stats().vector_disk_bytes);
  EXPECT_EQ(answers(safe, rows_), answers(mapped, rows_));
}

// Nothing but vectors is read once the index is open.
TEST_F(Residency, SafeReadsSurviveAnEmptiedFile) {
  for (const bool compressed : {false, true}) {
    ClusteredIndex::open(path_).save(
        dir_ / "safe",
        {.compression = compressed ? std::optional(CompressionOptions{}) : std::nullopt});
    const ClusteredIndex index = ClusteredIndex::open(dir_ / "safe", {.safe_reads = true});
    std::filesystem::resize_file(dir_ / "safe", 0);
    expect_error(ErrorCode::io, "the file was changed while it was open", [&] {
      index.search({rows_.row(3), rows_.dim});
    });
    EXPECT_TRUE(index.contains(17));
    EXPECT_GT(index.calibrated_probes(0.9f, 10), 0u);
    const std::uint32_t row = *index.row_of(17);
    EXPECT_EQ(index.id_of(row), 17u);
    expect_error(ErrorCode::io, "safe", [&] { index.vector(17); });
    expect_error(ErrorCode::io, "safe", [&] { index.save(dir_ / "other"); });
    EXPECT_FALSE(std::filesystem::exists(dir_ / "other"));
  }
}

TEST_F(Residency, SafeReadsSurviveAFileThatIsReplaced) {
  const auto expected = answers(ClusteredIndex::open(path_), rows_);
  const ClusteredIndex index = ClusteredIndex::open(path_, {.safe_reads = true});
  ClusteredIndex::build(clustered_vectors(50, 3, 2, 1).view()).save(path_);  // by rename
  EXPECT_EQ(answers(index, rows_), expected);
}

// What is copied is checked as it comes.
TEST_F(Residency, SafeReadsRefuseEveryDamageButThatOfVectors) {
  const auto good = test::read_file(path_);
  const auto reader = storage::ContainerReader::open(path_);
  for (const storage::SectionInfo& section : reader->sections()) {
    for (const std::uint64_t place : {std::uint64_t{0}, section.bytes / 2, section.bytes - 1}) {
      auto bytes = good;
      bytes[section.offset + place] ^= std::byte{0x40};
      test::write_file(dir_ / "bad", bytes);
      const auto open = [&] { ClusteredIndex::open(dir_ / "bad", {.safe_reads = true}); };
      if (section.type == storage::SectionType::vectors) {
        EXPECT_NO_THROW(open());
      } else {
        expect_error(ErrorCode::corrupt, "bad: section", open);
      }
      expect_error(ErrorCode::corrupt, "bad: section", [&] {
        ClusteredIndex::open(dir_ / "bad", {.verify = true, .safe_reads = true});
      });
    }
  }
}

// A process that has an index open, has used all of it, and waits to be looked at.
class Reader {
 public:
  Reader(const std::filesystem::path& path, const Vectors& queries) {
    int ready[2];
    if (pipe(ready) != 0) throw std::runtime_error("pipe");
    pid_ = fork();
    if (pid_ == 0) run(path, queries, ready[1]);
    close(ready[1]);
    char is_right = 0;
    is_right_ = read(ready[0], &is_right, 1) == 1 && is_right == 1;
    close(ready[0]);
  }
  Reader(Reader&& other) noexcept
      : pid_(std::exchange(other.pid_, -1)), is_right_(other.is_right_) {}
  ~Reader() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }

  bool is_right() const { return is_right_; }

  // Proportional set size in KiB, where pages that processes share count by their share: of all, or
  // of mappings of one file.
  std::uint64_t pss(const std::string& mapping = {}) const {
    std::ifstream file("/proc/" + std::to_string(pid_) + "/smaps");
    std::uint64_t total = 0;
    bool counts = false;
    std::string line;
    while (std::getline(file, line)) {
      const std::string name = line.substr(0, line.find(' '));
      if (!name.ends_with(':')) counts = line.find(mapping) != std::string::npos;
      if (counts && name == "Pss:") total += std::stoull(line.substr(name.size()));
    }
    return total;
  }

 private:
  [[noreturn]] static void run(const std::filesystem::path& path, const Vectors& queries,
                               int ready) {
    try {
      const ClusteredIndex index = ClusteredIndex::open(path);
      const char is_right = uses_all(index, queries) ? 1 : 0;
      if (write(ready, &is_right, 1) == 1) pause();
    } catch (const std::exception&) {
    }
    _exit(1);
  }
  static bool uses_all(const ClusteredIndex& index, const Vectors& queries) {
    std::vector<float> row(index.dim());
    for (std::uint32_t i = 0; i < index.size(); ++i) {
      index.read_rows(i, 1, row.data());
      if (index.row_of(index.id_of(i)) != i) return false;
    }
    for (std::size_t q = 0; q < queries.rows; ++q) {
      const auto found = index.search({queries.row(q), queries.dim}, {.k = 1, .probes = 10'000});
      if (found.size() != 1 || found[0].id != q) return false;
    }
    return true;
  }

  pid_t pid_ = -1;
  bool is_right_ = false;
};

std::vector<Reader> start_readers(std::size_t count, const std::filesystem::path& path,
                                  const Vectors& queries) {
  std::vector<Reader> readers;
  for (std::size_t i = 0; i < count; ++i) readers.emplace_back(path, queries);
  return readers;
}

std::uint64_t total_pss(const std::vector<Reader>& readers, const std::string& mapping = {}) {
  std::uint64_t total = 0;
  for (const Reader& reader : readers) {
    EXPECT_TRUE(reader.is_right());
    total += reader.pss(mapping);
  }
  return total;
}

// Four processes take hardly more than one.
void expect_one_copy(const std::filesystem::path& path, const std::string& mapping,
                     std::uint64_t file_kib, const Vectors& queries) {
  std::uint64_t of_one = 0;
  {
    const auto one = start_readers(1, path, queries);
    of_one = total_pss(one);
    EXPECT_GE(total_pss(one, mapping), file_kib * 9 / 10);
  }
  const auto four = start_readers(4, path, queries);
  EXPECT_LE(total_pss(four, mapping), file_kib * 101 / 100);
  if (!kIsInstrumented) {
    EXPECT_LE(static_cast<double>(total_pss(four)), 1.1 * static_cast<double>(of_one));
  }
}

class Sharing : public ::testing::Test {
 protected:
  // Large against what a process needs for itself. Built by another process, since what a build
  // leaves behind would be shared by readers that are forked from this one; on one thread, since
  // those of OpenMP do not survive a fork.
  Sharing() {
    const pid_t builder = fork();
    if (builder == 0) {
      const Vectors rows = clustered_vectors(5000, kDim, 20, 1);
      ClusteredIndex::build(rows.view(), {.max_iterations = 1, .refine_bits = 1, .threads = 1})
          .save(path_);
      _exit(0);
    }
    int status = -1;
    waitpid(builder, &status, 0);
    if (status != 0) throw std::runtime_error("no index was built");
    file_kib_ = std::filesystem::file_size(path_) / 1024;
    const ClusteredIndex index = ClusteredIndex::open(path_);
    for (VectorId id = 0; id < queries_.rows; ++id) {
      index.read_rows(*index.row_of(id), 1, queries_.row(id));
    }
  }

  static constexpr std::size_t kDim = 2500;
  TempDir dir_;
  std::filesystem::path path_ = dir_ / "index";
  Vectors queries_{std::vector<float>(3 * kDim), 3, kDim};
  std::uint64_t file_kib_ = 0;
};

TEST_F(Sharing, AnOpenedIndexIsInMemoryOnce) {
  expect_one_copy(path_, path_.string(), file_kib_, queries_);
}

TEST_F(Sharing, AnIndexSharedInRamIsInMemoryOnce) {
  const SharedFile shared = share(path_);
  EXPECT_EQ(shared.bytes(), std::filesystem::file_size(path_));
  std::filesystem::remove(path_);
  expect_one_copy(shared.path(), "/memfd:cairn", file_kib_, queries_);
}

TEST(Share, CannotBeChangedByAnybody) {
  const TempDir dir;
  const Vectors rows = clustered_vectors(300, 20, 3, 1);
  ClusteredIndex::build(rows.view()).save(dir / "index");
  auto shared = std::optional(share(dir / "index"));
  const ClusteredIndex index = ClusteredIndex::open(shared->path());
  const auto expected = answers(ClusteredIndex::open(dir / "index"), rows);
  EXPECT_EQ(answers(index, rows), expected);
  const char byte = 0;
  EXPECT_LT(pwrite(shared->descriptor(), &byte, 1, 0), 0);
  EXPECT_NE(ftruncate(shared->descriptor(), 0), 0);
  index.trim();
  EXPECT_GT(index.warm(), 0u);
  const std::filesystem::path path = shared->path();
  SharedFile moved = std::move(*shared);
  shared.reset();
  EXPECT_EQ(moved.path(), path);
  EXPECT_EQ(answers(ClusteredIndex::open(path, {.verify = true, .safe_reads = true}), rows),
            expected);
  { const SharedFile gone = std::move(moved); }
  EXPECT_THROW(ClusteredIndex::open(path), Error);
  EXPECT_EQ(answers(index, rows), expected);  // has it mapped
}

TEST(Share, RefusesWhatIsNoIndex) {
  const TempDir dir;
  expect_error(ErrorCode::not_found, "nothing", [&] { share(dir / "nothing"); });
  test::write_file(dir / "text", std::vector<std::byte>(10'000));
  expect_error(ErrorCode::corrupt, "text", [&] { share(dir / "text"); });
}

}  // namespace
}  // namespace cairn

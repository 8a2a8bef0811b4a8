#include <chrono>
#include <filesystem>
#include <fstream>
#include <limits>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "cairn/clustered_index.h"
#include "cairn/io.h"
#include "cairn/payload.h"
#include "cairn/vector_source.h"

#include "tests/util/expect_error.h"
#include "tests/util/file_size_limit.h"
#include "tests/util/random_vectors.h"
#include "tests/util/temp_dir.h"

namespace cairn::test {
namespace {

// Rows that can only be pulled. Throws at the `fail_at`-th call.
class PulledRows final : public VectorSource {
 public:
  explicit PulledRows(MatrixView vectors, int fail_at = -1)
      : vectors_(vectors), calls_left_(fail_at) {}
  std::size_t rows() const noexcept override { return vectors_.rows; }
  std::size_t dim() const noexcept override { return vectors_.dim; }
  void read(std::size_t first, std::size_t count, float* out) override {
    if (calls_left_-- == 0) throw std::runtime_error("no more");
    ASSERT_LE(first + count, vectors_.rows);
    std::copy_n(vectors_.row(first), count * vectors_.dim, out);
  }

 private:
  MatrixView vectors_;
  int calls_left_;
};

std::vector<std::byte> file_from_matrix(const TempDir& dir, const Vectors& vectors,
                                        const BuildOptions& options,
                                        std::span<const VectorId> ids = {}) {
  ClusteredIndex::build(vectors.view(), options, ids).save(dir / "matrix.cairn");
  return read_file(dir / "matrix.cairn");
}

std::vector<std::byte> file_from_stream(const TempDir& dir, const Vectors& vectors,
                                        const BuildOptions& options,
                                        std::span<const VectorId> ids = {}) {
  PulledRows source(vectors.view());
  const ClusteredIndex index =
      ClusteredIndex::build_file(dir / "stream.cairn", source, options, ids);
  EXPECT_EQ(index.size(), vectors.rows);
  EXPECT_TRUE(index.is_using_mmap());
  return read_file(dir / "stream.cairn");
}

TEST(BuildFile, WritesTheBytesOfBuildAndSaveForAnyMetricAndThreads) {
  const TempDir dir;
  const Vectors vectors = clustered_vectors(6000, 20, 15, 1);
  for (const Metric metric : {Metric::l2, Metric::inner_product, Metric::cosine}) {
    const std::vector<std::byte> expected =
        file_from_matrix(dir, vectors, {.metric = metric, .threads = 1});
    for (const unsigned threads : {1u, 2u, 3u}) {
      EXPECT_TRUE(file_from_stream(dir, vectors, {.metric = metric, .threads = threads}) ==
                  expected)
          << to_string(metric) << ", " << threads << " threads";
    }
  }
}

TEST(BuildFile, WritesTheSameBytesForAnyShape) {
  const TempDir dir;
  for (const std::size_t rows : {0, 1, 2, 3, 64, 65, 300}) {
    const Vectors vectors = clustered_vectors(rows, 5, 2, 7);
    EXPECT_TRUE(file_from_stream(dir, vectors, {}) == file_from_matrix(dir, vectors, {})) << rows;
  }
  const Vectors vectors = clustered_vectors(5000, 6, 9, 2);
  std::vector<VectorId> ids;
  for (std::size_t i = 0; i < vectors.rows; ++i) ids.push_back(i * 7919 % 5003 + 1000000000000);
  for (const BuildOptions& options :
       {BuildOptions{.branching_factor = 4, .max_leaf_size = 20, .threads = 2},
        BuildOptions{.max_leaf_size = 1, .refine_bits = 0, .threads = 2},
        BuildOptions{.refine_bits = 8, .seed = 9, .threads = 2}}) {
    EXPECT_TRUE(file_from_stream(dir, vectors, options, ids) ==
                file_from_matrix(dir, vectors, options, ids));
  }
}

TEST(BuildFile, WritesTheSameBytesThroughManyBuckets) {
  const TempDir dir;
  const Vectors vectors = clustered_vectors(60000, 200, 15, 3);               // 48 MB
  const BuildOptions options{.threads = 2, .memory_limit_bytes = 162 << 20};  // buckets of 40
  EXPECT_TRUE(file_from_stream(dir, vectors, options) == file_from_matrix(dir, vectors, options));
}

TEST(BuildFile, EncodesVectorsAsSaveDoes) {
  const TempDir dir;
  const Vectors vectors = clustered_vectors(3000, 20, 15, 4);
  const SaveOptions save{.compression = CompressionOptions{}};
  ClusteredIndex::build(vectors.view(), {}).save(dir / "matrix.cairn", save);
  PulledRows source(vectors.view());
  ClusteredIndex::build_file(dir / "stream.cairn", source, {}, {}, save);
  EXPECT_TRUE(read_file(dir / "stream.cairn") == read_file(dir / "matrix.cairn"));
  EXPECT_EQ(dir.names(), (std::set<std::string>{"matrix.cairn", "stream.cairn"}));
}

TEST(BuildFile, TakesRowsThatAreAllTheSame) {
  const TempDir dir;
  Vectors vectors = clustered_vectors(3000, 8, 1, 1);
  std::fill(vectors.values.begin(), vectors.values.end(), 0.5f);
  EXPECT_TRUE(file_from_stream(dir, vectors, {.max_leaf_size = 50}) ==
              file_from_matrix(dir, vectors, {.max_leaf_size = 50}));
}

TEST(BuildFile, ReadsAFile) {
  const TempDir dir;
  const Vectors vectors = clustered_vectors(2000, 12, 15, 4);
  write_vectors(dir / "a.npy", vectors.view());
  FileVectorSource source(dir / "a.npy");
  const ClusteredIndex index = ClusteredIndex::build_file(dir / "a.cairn", source);
  const std::vector<Neighbor> found =
      index.search({vectors.row(17), vectors.dim}, {.k = 1, .probes = index.stats().leaves});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].id, 17u);
  EXPECT_EQ(dir.names(), (std::set<std::string>{"a.cairn", "a.npy"}));
}

TEST(BuildFile, NeverReplacesWhatItIsBuiltFrom) {
  const TempDir dir;
  const Vectors vectors = clustered_vectors(100, 12, 15, 4);
  write_vectors(dir / "a.fbin", vectors.view());
  {
    std::ofstream lines(dir / "lines");
    for (int i = 0; i < 100; ++i) lines << i << "\n";
  }
  std::filesystem::create_symlink("a.fbin", dir / "symbolic");
  std::filesystem::create_hard_link(dir / "a.fbin", dir / "hard");
  FileVectorSource source(dir / "a.fbin");
  LinePayloadSource payloads(dir / "lines");
  for (const char* name : {"a.fbin", "symbolic", "hard", "lines"}) {
    const auto before = read_file(dir / name);
    expect_error(ErrorCode::invalid_argument, "would replace a file that it is built from",
                 [&] { ClusteredIndex::build_file(dir / name, source, {.payloads = &payloads}); });
    EXPECT_EQ(read_file(dir / name), before);
  }
}

TEST(BuildFile, RefusesWhatIsNoRegularFileBeforeAnyWork) {
  const TempDir dir;
  const Vectors vectors = clustered_vectors(100, 12, 15, 4);
  ASSERT_EQ(mkfifo((dir / "pipe").c_str(), 0600), 0);
  PulledRows source(vectors.view(), 0);  // throws if it is read
  expect_error(ErrorCode::io, "it is a pipe",
               [&] { ClusteredIndex::build_file(dir / "pipe", source); });
  EXPECT_TRUE(std::filesystem::is_fifo(dir / "pipe"));
}

TEST(BuildFile, RefusesBadRowsByName) {
  const TempDir dir;
  Vectors vectors = clustered_vectors(40000, 200, 15, 5);  // two blocks
  vectors.row(39999)[3] = std::numeric_limits<float>::quiet_NaN();
  PulledRows source(vectors.view());
  expect_error(ErrorCode::invalid_argument, "vectors: row 39999, column 3 is nan",
               [&] { ClusteredIndex::build_file(dir / "a.cairn", source); });
  EXPECT_TRUE(dir.names().empty());
}

TEST(BuildFile, RefusesBadArguments) {
  const TempDir dir;
  const Vectors vectors = clustered_vectors(100, 4, 3, 6);
  PulledRows source(vectors.view());
  expect_error(ErrorCode::invalid_argument, "memory_limit_bytes: expected at least 167774560",
               [&] { ClusteredIndex::build_file(dir / "a", source, {.memory_limit_bytes = 1}); });
  const std::vector<VectorId> ids(100, 5);
  expect_error(ErrorCode::invalid_argument, "unique ids",
               [&] { ClusteredIndex::build_file(dir / "a", source, {}, ids); });
  expect_error(ErrorCode::io, (dir / "none").string(),
               [&] { ClusteredIndex::build_file(dir / "none" / "a", source); });
  EXPECT_TRUE(dir.names().empty());
}

TEST(BuildFile, LeavesNothingWhereTheSourceFails) {
  const TempDir dir;
  const Vectors vectors = clustered_vectors(3000, 8, 5, 7);
  // One block: a validation, the sample, five passes, the sort.
  for (int call = 0; call < 8; ++call) {
    PulledRows source(vectors.view(), call);
    EXPECT_THROW(ClusteredIndex::build_file(dir / "a.cairn", source), std::runtime_error) << call;
    EXPECT_TRUE(dir.names().empty());
  }
}

TEST(BuildFile, LeavesTheOldFileOnAFullDisk) {
  const TempDir dir;
  write_file(dir / "a.cairn", std::vector<std::byte>(10));
  const Vectors vectors = clustered_vectors(6000, 64, 5, 8);
  PulledRows source(vectors.view());
  for (const rlim_t bytes : {rlim_t{100000}, rlim_t{1} << 20, rlim_t{1600000}}) {
    const FileSizeLimit limit(bytes);
    expect_error(ErrorCode::io, "a.cairn",
                 [&] { ClusteredIndex::build_file(dir / "a.cairn", source); });
  }
  EXPECT_EQ(read_file(dir / "a.cairn").size(), 10u);
  EXPECT_EQ(dir.names(), (std::set<std::string>{"a.cairn"}));
}

TEST(BuildFile, CanBeCancelledInEveryPhase) {
  const TempDir dir;
  const Vectors vectors = clustered_vectors(20000, 16, 20, 9);
  std::set<std::string> phases;
  PulledRows source(vectors.view());
  BuildOptions options{.threads = 2, .on_progress = [&](const BuildProgress& progress) {
                         EXPECT_LE(progress.done, progress.total) << progress.phase;
                         phases.insert(progress.phase);
                         return true;
                       }};
  ClusteredIndex::build_file(dir / "whole.cairn", source, options);
  std::filesystem::remove(dir / "whole.cairn");
  EXPECT_EQ(phases, (std::set<std::string>{"validate", "cluster", "assign", "sort", "encode",
                                           "calibrate", "write"}));
  for (const std::string& phase : phases) {
    options.on_progress = [&](const BuildProgress& progress) { return progress.phase != phase; };
    expect_error(ErrorCode::cancelled, "cancelled",
                 [&] { ClusteredIndex::build_file(dir / "a.cairn", source, options); });
    EXPECT_TRUE(dir.names().empty()) << phase;
  }
}

}  // namespace
}  // namespace cairn::test

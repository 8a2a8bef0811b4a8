#include "cairn/cairn_c.h"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "cairn/clustered_index.h"
#include "cairn/error.h"
#include "cairn/io.h"
#include "cairn/payload.h"

#include "tests/util/random_vectors.h"
#include "tests/util/temp_dir.h"

namespace cairn::test {
namespace {

constexpr std::size_t kRows = 700;
constexpr std::size_t kDim = 9;

struct Free {
  void operator()(cairn_index* index) const { cairn_free(index); }
};
using Handle = std::unique_ptr<cairn_index, Free>;

const Vectors& sample() {
  static const Vectors vectors = clustered_vectors(kRows, kDim, 5, 1);
  return vectors;
}

std::vector<std::uint64_t> sample_ids() {
  std::vector<std::uint64_t> ids;
  for (std::size_t row = 0; row < kRows; ++row) ids.push_back(5000 + 3 * row);
  return ids;
}

Handle build(const cairn_build_options* options = nullptr, const std::uint64_t* ids = nullptr) {
  cairn_index* index = nullptr;
  EXPECT_EQ(cairn_build(sample().values.data(), kRows, kDim, ids, options, &index), CAIRN_OK)
      << cairn_last_error_message();
  return Handle(index);
}

std::string path_of(const TempDir& dir, const char* name) { return (dir / name).string(); }

// Expects a failure, and that the thread's last error tells of it.
void expect_failure(cairn_status found, cairn_status expected, const char* message) {
  EXPECT_EQ(found, expected);
  EXPECT_EQ(cairn_last_error_status(), expected);
  EXPECT_THAT(cairn_last_error_message(), testing::HasSubstr(message));
}

int payload_of(void* user, std::size_t row, const char** bytes, std::size_t* size) {
  auto& text = *static_cast<std::string*>(user);
  if (text == "stop") return 1;
  text = row % 10 == 0 ? "" : "row " + std::to_string(row) + std::string(1, '\0') + "end";
  *bytes = text.data();
  *size = text.size();
  return 0;
}

TEST(CApi, SearchesAsTheClassDoes) {
  const ClusteredIndex expected = ClusteredIndex::build(sample().view());
  const Handle index = build();
  cairn_search_options options = CAIRN_SEARCH_OPTIONS;
  options.k = 7;
  options.target_recall = 0.8f;
  std::uint64_t ids[7];
  float distances[7];
  std::size_t found = 0;
  for (std::size_t row = 0; row < 20; ++row) {
    const std::span query(sample().row(row), kDim);
    const auto hits = expected.search(query, {.k = 7, .target_recall = 0.8f});
    ASSERT_EQ(cairn_search(index.get(), query.data(), kDim, &options, ids, distances, &found),
              CAIRN_OK);
    ASSERT_EQ(found, hits.size());
    for (std::size_t i = 0; i < found; ++i) EXPECT_EQ((Neighbor{ids[i], distances[i]}), hits[i]);
  }
  // The defaults are those of the class.
  std::uint64_t ten_ids[10];
  float ten_distances[10];
  ASSERT_EQ(
      cairn_search(index.get(), sample().row(3), kDim, nullptr, ten_ids, ten_distances, &found),
      CAIRN_OK);
  const auto hits = expected.search(std::span(sample().row(3), kDim));
  ASSERT_EQ(found, hits.size());
  for (std::size_t i = 0; i < found; ++i) EXPECT_EQ(ten_ids[i], hits[i].id);
}

TEST(CApi, SearchesBatches) {
  const ClusteredIndex expected = ClusteredIndex::build(sample().view());
  const Handle index = build();
  cairn_search_options options = CAIRN_SEARCH_OPTIONS;
  options.k = kRows + 2;
  options.probes = 1000;
  std::vector<std::uint64_t> ids(3 * options.k);
  std::vector<float> distances(3 * options.k);
  ASSERT_EQ(cairn_search_batch(index.get(), sample().row(0), 3, kDim, &options, ids.data(),
                               distances.data()),
            CAIRN_OK);
  const BatchResult result =
      expected.search_batch({sample().row(0), 3, kDim}, {.k = options.k, .probes = 1000});
  EXPECT_EQ(ids, result.ids);
  EXPECT_EQ(distances, result.distances);
  EXPECT_EQ(ids.back(), CAIRN_NO_ID);
  EXPECT_TRUE(std::isinf(distances.back()));
  EXPECT_EQ(cairn_search_batch(index.get(), nullptr, 0, kDim, nullptr, nullptr, nullptr), CAIRN_OK);
}

TEST(CApi, SearchesAmongAllowedIdsAndWithinADistance) {
  const ClusteredIndex expected = ClusteredIndex::build(sample().view());
  const Handle index = build();
  std::vector<std::uint64_t> allowed;
  for (std::uint64_t id = 3; id < kRows; id += 7) allowed.push_back(id);
  cairn_search_options options = CAIRN_SEARCH_OPTIONS;
  options.allowed_ids = allowed.data();
  options.num_allowed_ids = allowed.size();
  std::uint64_t ids[10];
  float distances[10];
  std::size_t found = 0;
  const std::span query(sample().row(5), kDim);
  const Filter filter = Filter::from_ids(allowed);
  const auto hits = expected.search(query, {.filter = &filter});
  ASSERT_EQ(cairn_search(index.get(), query.data(), kDim, &options, ids, distances, &found),
            CAIRN_OK);
  ASSERT_EQ(found, hits.size());
  for (std::size_t i = 0; i < found; ++i) EXPECT_EQ((Neighbor{ids[i], distances[i]}), hits[i]);

  options.max_distance = hits[3].distance;
  ASSERT_EQ(cairn_search(index.get(), query.data(), kDim, &options, ids, distances, &found),
            CAIRN_OK);
  EXPECT_EQ(found, 4u);
  options.num_allowed_ids = 0;
  ASSERT_EQ(cairn_search(index.get(), query.data(), kDim, &options, ids, distances, &found),
            CAIRN_OK);
  EXPECT_EQ(found, 0u);
}

TEST(CApi, FindsAllWithinADistance) {
  const ClusteredIndex expected = ClusteredIndex::build(sample().view());
  const Handle index = build();
  const std::span query(sample().row(5), kDim);
  const float far = expected.search(query, {.k = 30})[29].distance;
  const auto hits = expected.range_search(query, far);
  ASSERT_GE(hits.size(), 25u);

  cairn_search_options options = CAIRN_SEARCH_OPTIONS;
  options.k = kRows;
  options.max_distance = far;
  std::vector<std::uint64_t> ids(kRows);
  std::vector<float> distances(kRows);
  std::size_t found = 0;
  const auto search = [&] {
    return cairn_range_search(index.get(), query.data(), kDim, &options, ids.data(),
                              distances.data(), &found);
  };
  ASSERT_EQ(search(), CAIRN_OK);
  ASSERT_EQ(found, hits.size());
  for (std::size_t i = 0; i < found; ++i) EXPECT_EQ((Neighbor{ids[i], distances[i]}), hits[i]);
  options.k = 4;
  ASSERT_EQ(search(), CAIRN_OK);
  ASSERT_EQ(found, 4u);
  EXPECT_EQ(ids[3], hits[3].id);
  options.allowed_ids = &hits[2].id;
  options.num_allowed_ids = 1;
  ASSERT_EQ(search(), CAIRN_OK);
  ASSERT_EQ(found, 1u);
  EXPECT_EQ(ids[0], hits[2].id);

  options.k = 0;
  expect_failure(search(), CAIRN_INVALID_ARGUMENT, "k: expected at least 1, found 0");
  options.k = 4;
  options.max_distance = INFINITY;
  expect_failure(search(), CAIRN_INVALID_ARGUMENT,
                 "max_distance: expected a distance, found infinity");
}

TEST(CApi, CalibratesOnQueries) {
  const Handle index = build();
  EXPECT_EQ(cairn_calibrate(index.get(), sample().row(0), 50, kDim, 1), CAIRN_OK);
  expect_failure(cairn_calibrate(index.get(), sample().row(0), 0, kDim, 1), CAIRN_INVALID_ARGUMENT,
                 "queries: expected at least 1, found 0");
  expect_failure(cairn_calibrate(nullptr, sample().row(0), 50, kDim, 1), CAIRN_INVALID_ARGUMENT,
                 "index");
}

TEST(CApi, BuildOptionsReachTheBuild) {
  const TempDir dir;
  cairn_build_options options = CAIRN_BUILD_OPTIONS;
  options.metric = CAIRN_COSINE;
  options.refine_bits = 2;
  options.branching_factor = 4;
  options.max_leaf_size = 30;
  options.max_iterations = 3;
  options.seed = 9;
  options.threads = 1;
  const std::vector<std::uint64_t> ids = sample_ids();
  const Handle index = build(&options, ids.data());
  ASSERT_EQ(cairn_save(index.get(), path_of(dir, "c").c_str()), CAIRN_OK);
  ClusteredIndex::build(sample().view(),
                        {.metric = Metric::cosine,
                         .branching_factor = 4,
                         .max_leaf_size = 30,
                         .max_iterations = 3,
                         .refine_bits = 2,
                         .seed = 9,
                         .threads = 1},
                        ids)
      .save(dir / "cc");
  EXPECT_TRUE(read_file(dir / "c") == read_file(dir / "cc"));
}

TEST(CApi, NeverReplacesWhatIsReadNorWhatIsNoFile) {
  const TempDir dir;
  write_vectors(dir / "base.fbin", sample().view());
  const std::string base = path_of(dir, "base.fbin");
  const auto before = read_file(base);
  cairn_index* index = nullptr;
  expect_failure(cairn_build_file(base.c_str(), base.c_str(), nullptr, 0, nullptr, &index),
                 CAIRN_INVALID_ARGUMENT,
                 (base + ": the index would replace a file that it is built from").c_str());
  EXPECT_EQ(read_file(base), before);
  ASSERT_EQ(mkfifo(path_of(dir, "pipe").c_str(), 0600), 0);
  const std::string pipe = path_of(dir, "pipe");
  const std::string refused =
      "cannot write '" + pipe + "': it is a pipe, expected a regular file or none";
  expect_failure(cairn_build_file(base.c_str(), pipe.c_str(), nullptr, 0, nullptr, &index),
                 CAIRN_IO, refused.c_str());
  ASSERT_EQ(
      cairn_build_file(base.c_str(), path_of(dir, "a.cairn").c_str(), nullptr, 0, nullptr, &index),
      CAIRN_OK);
  const Handle handle(index);
  expect_failure(cairn_save(index, pipe.c_str()), CAIRN_IO, refused.c_str());
  EXPECT_TRUE(std::filesystem::is_fifo(pipe));
}

TEST(CApi, BuildsFromAFileAndOpens) {
  const TempDir dir;
  write_vectors(dir / "base.fbin", sample().view());
  const std::vector<std::uint64_t> ids = sample_ids();
  cairn_index* built = nullptr;
  ASSERT_EQ(cairn_build_file(path_of(dir, "base.fbin").c_str(), path_of(dir, "a.cairn").c_str(),
                             ids.data(), ids.size(), nullptr, &built),
            CAIRN_OK)
      << cairn_last_error_message();
  const Handle first(built);
  cairn_open_options options = CAIRN_OPEN_OPTIONS;
  options.verify = 1;
  options.safe_reads = 1;
  cairn_index* opened = nullptr;
  ASSERT_EQ(cairn_open(path_of(dir, "a.cairn").c_str(), &options, &opened), CAIRN_OK);
  const Handle index(opened);
  EXPECT_EQ(cairn_size(index.get()), kRows);
  EXPECT_EQ(cairn_dim(index.get()), kDim);
  EXPECT_EQ(cairn_contains(index.get(), 5003), 1);
  EXPECT_EQ(cairn_contains(index.get(), 5004), 0);
  float vector[kDim];
  ASSERT_EQ(cairn_vector(index.get(), 5003, vector), CAIRN_OK);
  EXPECT_EQ(std::memcmp(vector, sample().row(1), sizeof vector), 0);
  expect_failure(cairn_vector(index.get(), 5004, vector), CAIRN_NOT_FOUND,
                 "id 5004: no such vector");
  std::vector<std::uint64_t> all(kRows);
  ASSERT_EQ(cairn_ids(index.get(), all.data()), CAIRN_OK);
  EXPECT_THAT(all, testing::UnorderedElementsAreArray(ids));
}

TEST(CApi, CarriesPayloads) {
  const TempDir dir;
  std::string buffer;
  cairn_build_options options = CAIRN_BUILD_OPTIONS;
  options.payload = payload_of;
  options.payload_user = &buffer;
  const Handle index = build(&options);
  for (const std::uint64_t id : {0, 1, 699}) {
    char* bytes = nullptr;
    std::size_t size = 0;
    ASSERT_EQ(cairn_payload(index.get(), id, &bytes, &size), CAIRN_OK);
    std::string expected;
    const char* data = nullptr;
    std::size_t expected_size = 0;
    payload_of(&expected, id, &data, &expected_size);
    EXPECT_EQ(std::string(bytes, size), expected);
    EXPECT_EQ(bytes[size], '\0');
    cairn_free_payload(bytes);
  }
  char* bytes = nullptr;
  std::size_t size = 0;
  expect_failure(cairn_payload(index.get(), 700, &bytes, &size), CAIRN_NOT_FOUND, "id 700");
  expect_failure(cairn_payload(build().get(), 7, &bytes, &size), CAIRN_NOT_FOUND,
                 "the index has no payloads");
  EXPECT_EQ(bytes, nullptr);
  cairn_free_payload(nullptr);

  cairn_index_stats stats = CAIRN_INDEX_STATS;
  ASSERT_EQ(cairn_stats(index.get(), &stats), CAIRN_OK);
  EXPECT_EQ(stats.has_payloads, 1);
  EXPECT_GT(stats.payload_raw_bytes, 0u);

  buffer = "stop";
  cairn_index* none = nullptr;
  expect_failure(cairn_build(sample().values.data(), kRows, kDim, nullptr, &options, &none),
                 CAIRN_CANCELLED, "payload callback");
  EXPECT_EQ(none, nullptr);
}

TEST(CApi, TellsOfProgressAndStops) {
  int calls = 0;
  cairn_build_options options = CAIRN_BUILD_OPTIONS;
  options.threads = 1;
  options.progress_user = &calls;
  options.on_progress = [](void* user, const char* phase, std::size_t, std::size_t) {
    EXPECT_NE(phase, nullptr);
    ++*static_cast<int*>(user);
    return 1;
  };
  build(&options);
  EXPECT_GT(calls, 3);
  options.on_progress = [](void*, const char*, std::size_t, std::size_t) { return 0; };
  cairn_index* index = nullptr;
  expect_failure(cairn_build(sample().values.data(), kRows, kDim, nullptr, &options, &index),
                 CAIRN_CANCELLED, "progress callback");
}

TEST(CApi, DescribesAnIndex) {
  const Handle index = build();
  cairn_index_stats stats = CAIRN_INDEX_STATS;
  ASSERT_EQ(cairn_stats(index.get(), &stats), CAIRN_OK);
  const ClusteredIndex expected = ClusteredIndex::build(sample().view());
  EXPECT_EQ(stats.struct_size, sizeof stats);
  EXPECT_EQ(stats.metric, CAIRN_L2);
  EXPECT_EQ(stats.refine_bits, 4u);
  EXPECT_EQ(stats.rows, kRows);
  EXPECT_EQ(stats.dim, kDim);
  EXPECT_EQ(stats.leaves, expected.stats().leaves);
  EXPECT_EQ(stats.memory_bytes, expected.memory_usage_bytes());
  EXPECT_EQ(stats.vector_ram_bytes, expected.stats().vector_ram_bytes);
  EXPECT_EQ(stats.has_payloads, 0);
}

// A program of an earlier version knows fewer fields.
TEST(CApi, TakesShorterAndLongerStructures) {
  const Handle index = build();
  cairn_index_stats stats = CAIRN_INDEX_STATS;
  stats.struct_size = offsetof(cairn_index_stats, dim);
  stats.dim = 12345;
  ASSERT_EQ(cairn_stats(index.get(), &stats), CAIRN_OK);
  EXPECT_EQ(stats.rows, kRows);
  EXPECT_EQ(stats.dim, 12345u);

  struct Longer {
    cairn_search_options options = CAIRN_SEARCH_OPTIONS;
    char more[64] = "something that this version does not know";
  } longer;
  longer.options.struct_size = sizeof longer;
  longer.options.k = 2;
  std::uint64_t ids[10];
  float distances[10];
  std::size_t found = 0;
  ASSERT_EQ(
      cairn_search(index.get(), sample().row(0), kDim, &longer.options, ids, distances, &found),
      CAIRN_OK);
  EXPECT_EQ(found, 2u);
  cairn_search_options shorter = CAIRN_SEARCH_OPTIONS;
  shorter.struct_size = offsetof(cairn_search_options, target_recall);
  shorter.k = 3;
  shorter.target_recall = -1;
  ASSERT_EQ(cairn_search(index.get(), sample().row(0), kDim, &shorter, ids, distances, &found),
            CAIRN_OK);
  EXPECT_EQ(found, 3u);
  shorter.struct_size = 0;
  expect_failure(cairn_search(index.get(), sample().row(0), kDim, &shorter, ids, distances, &found),
                 CAIRN_INVALID_ARGUMENT, "struct_size is 0; expected options that began with");
}

TEST(CApi, TurnsErrorsIntoStatuses) {
  const TempDir dir;
  cairn_index* index = nullptr;
  expect_failure(cairn_open(path_of(dir, "none").c_str(), nullptr, &index), CAIRN_NOT_FOUND,
                 "none");
  write_file(dir / "bad", std::vector<std::byte>(5000));
  expect_failure(cairn_open(path_of(dir, "bad").c_str(), nullptr, &index), CAIRN_CORRUPT, "bad");
  const Handle good = build();
  expect_failure(cairn_save(good.get(), path_of(dir, "no/where").c_str()), CAIRN_IO, "no/where");
  std::vector<float> nan(kDim, NAN);
  expect_failure(cairn_build(nan.data(), 1, kDim, nullptr, nullptr, &index), CAIRN_INVALID_ARGUMENT,
                 "row 0, column 0");
  cairn_build_options options = CAIRN_BUILD_OPTIONS;
  options.metric = 3;
  expect_failure(cairn_build(nan.data(), 0, kDim, nullptr, &options, &index),
                 CAIRN_INVALID_ARGUMENT, "metric: expected 0 to 2, found 3");
  EXPECT_EQ(index, nullptr);
  std::uint64_t ids[10];
  float distances[10];
  std::size_t found = 77;
  expect_failure(
      cairn_search(good.get(), sample().row(0), kDim - 1, nullptr, ids, distances, &found),
      CAIRN_INVALID_ARGUMENT, "dimension");
  EXPECT_EQ(found, 77u);
  EXPECT_EQ(cairn_size(good.get()), kRows);  // what succeeds leaves the last error alone
  EXPECT_EQ(cairn_last_error_status(), CAIRN_INVALID_ARGUMENT);
}

TEST(CApi, RefusesNullPointers) {
  const Handle index = build();
  cairn_index* out = nullptr;
  float value = 0;
  std::uint64_t id = 0;
  std::size_t size = 0;
  char* bytes = nullptr;
  const auto refuse = [](cairn_status status, const char* name) {
    expect_failure(status, CAIRN_INVALID_ARGUMENT,
                   (std::string(name) + ": expected a pointer, found null").c_str());
  };
  refuse(cairn_build(&value, 1, 1, nullptr, nullptr, nullptr), "index");
  refuse(cairn_build_file(nullptr, "a", nullptr, 0, nullptr, &out), "vectors_path");
  refuse(cairn_build_file("a", nullptr, nullptr, 0, nullptr, &out), "index_path");
  refuse(cairn_build_file("a", "b", nullptr, 0, nullptr, nullptr), "index");
  refuse(cairn_build_file("a", "b", nullptr, 3, nullptr, &out), "ids");
  refuse(cairn_open(nullptr, nullptr, &out), "path");
  refuse(cairn_open("a", nullptr, nullptr), "index");
  refuse(cairn_save(nullptr, "a"), "index");
  refuse(cairn_save(index.get(), nullptr), "path");
  refuse(cairn_search(nullptr, &value, 1, nullptr, &id, &value, &size), "index");
  refuse(cairn_search(index.get(), nullptr, 1, nullptr, &id, &value, &size), "query");
  refuse(cairn_search(index.get(), &value, 1, nullptr, nullptr, &value, &size), "ids");
  refuse(cairn_search(index.get(), &value, 1, nullptr, &id, nullptr, &size), "distances");
  refuse(cairn_search(index.get(), &value, 1, nullptr, &id, &value, nullptr), "found");
  refuse(cairn_range_search(nullptr, &value, 1, nullptr, &id, &value, &size), "index");
  refuse(cairn_range_search(index.get(), nullptr, 1, nullptr, &id, &value, &size), "query");
  refuse(cairn_range_search(index.get(), &value, 1, nullptr, &id, nullptr, &size), "distances");
  refuse(cairn_search_batch(nullptr, &value, 1, 1, nullptr, &id, &value), "index");
  refuse(cairn_search_batch(index.get(), nullptr, 1, 1, nullptr, &id, &value), "queries");
  refuse(cairn_stats(nullptr, nullptr), "index");
  refuse(cairn_stats(index.get(), nullptr), "stats");
  refuse(cairn_ids(index.get(), nullptr), "ids");
  refuse(cairn_vector(index.get(), 1, nullptr), "vector");
  refuse(cairn_vector(nullptr, 1, &value), "index");
  refuse(cairn_payload(index.get(), 1, nullptr, &size), "bytes");
  refuse(cairn_payload(index.get(), 1, &bytes, nullptr), "size");
  refuse(cairn_payload(nullptr, 1, &bytes, &size), "index");
  EXPECT_EQ(cairn_size(nullptr), 0u);
  EXPECT_EQ(cairn_dim(nullptr), 0u);
  EXPECT_EQ(cairn_contains(nullptr, 1), 0);
  cairn_free(nullptr);
}

TEST(CApi, KeepsErrorsPerThread) {
  cairn_index* index = nullptr;
  EXPECT_EQ(cairn_open("no such file", nullptr, &index), CAIRN_NOT_FOUND);
  std::thread([] {
    EXPECT_STREQ(cairn_last_error_message(), "");
    EXPECT_EQ(cairn_last_error_status(), CAIRN_OK);
    EXPECT_EQ(cairn_save(nullptr, "a"), CAIRN_INVALID_ARGUMENT);
  }).join();
  EXPECT_EQ(cairn_last_error_status(), CAIRN_NOT_FOUND);
}

TEST(CApi, SharesCodesWithError) {
  EXPECT_EQ(static_cast<int>(ErrorCode::invalid_argument), CAIRN_INVALID_ARGUMENT);
  EXPECT_EQ(static_cast<int>(ErrorCode::not_found), CAIRN_NOT_FOUND);
  EXPECT_EQ(static_cast<int>(ErrorCode::io), CAIRN_IO);
  EXPECT_EQ(static_cast<int>(ErrorCode::corrupt), CAIRN_CORRUPT);
  EXPECT_EQ(static_cast<int>(ErrorCode::version_unsupported), CAIRN_VERSION_UNSUPPORTED);
  EXPECT_EQ(static_cast<int>(ErrorCode::unsupported_cpu), CAIRN_UNSUPPORTED_CPU);
  EXPECT_EQ(static_cast<int>(ErrorCode::cancelled), CAIRN_CANCELLED);
  EXPECT_EQ(CAIRN_NO_ID, kNoId);
  EXPECT_STREQ(cairn_version(), version());
}

}  // namespace
}  // namespace cairn::test

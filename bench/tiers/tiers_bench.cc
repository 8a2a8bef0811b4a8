// How many reads a hot tier of a tenth of the rows serves.
//
//   cairn_tiers_bench                                 streams of row numbers
//   cairn_tiers_bench BASE QUERIES [l2|ip|cosine]     rows read by searches, whose queries are
//                                                     QUERIES, and rows of BASE
//
// For each stream: what simulated policies would serve, Belady's optimum, and what a
// TieredVectorStore does, with the hot tier alone and with a warm tier of the same bytes. All count
// from the middle of the stream on. Rows of the plain streams are bytes, in 128 dimensions.

#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <unistd.h>

#include "cairn/cairn.h"

#include "bench/tiers/cache_policies.h"
#include "bench/tiers/zipf_streams.h"

namespace {

using namespace cairn;
using namespace cairn::bench;

constexpr std::size_t kPlainRows = 400'000;
constexpr std::size_t kPlainDim = 128;
constexpr std::size_t kAsked = 300'000;
constexpr std::size_t kBaseQueries = 40'000;
constexpr std::size_t kReadRows = 16;  // at once, about as many as a search

std::unique_ptr<VectorStore> encoded(std::size_t rows, std::size_t dim,
                                     const RowProducer& producer) {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("cairn-tiers-bench-" + std::to_string(getpid()));
  auto store = CompressedVectorStore::create(path, rows, dim, producer);
  std::filesystem::remove(path);
  return store;
}

void byte_rows(std::size_t first, std::size_t count, float* out) {
  for (std::size_t i = 0; i < count; ++i) {
    std::minstd_rand random(static_cast<unsigned>(first + i + 1));
    for (std::size_t j = 0; j < kPlainDim; ++j) *out++ = static_cast<float>(random() % 219);
  }
}

// The statistics of the second half of the stream.
TieredStats run(std::unique_ptr<VectorStore> cold, const RowStream& stream, bool has_warm) {
  const std::uint64_t budget = stream.num_rows / 10 * (cold->dim() * sizeof(float) + 8);
  const TieredVectorStore store(std::move(cold),
                                {.hot_bytes = budget, .warm_bytes = has_warm ? budget : 0});
  std::vector<float> out(kReadRows * store.dim());
  TieredStats warm_up;
  const std::size_t half = stream.rows.size() / 2;
  for (std::size_t i = 0; i < stream.rows.size(); i += kReadRows) {
    if (i >= half && i < half + kReadRows) warm_up = store.tier_stats();
    const std::size_t count = std::min(kReadRows, stream.rows.size() - i);
    store.read(std::span(stream.rows).subspan(i, count), out.data());
  }
  return store.tier_stats().since(warm_up);
}

void report(const RowStream& stream, std::size_t dim, const RowProducer& producer) {
  const std::size_t capacity = stream.num_rows / 10;
  const std::size_t half = stream.rows.size() / 2;
  const std::size_t distinct =
      std::set<std::uint32_t>(stream.rows.begin(), stream.rows.end()).size();
  std::printf("%s: %zu touches of %zu rows of %zu, room for %zu\n", stream.name.c_str(),
              stream.rows.size(), distinct, stream.num_rows, capacity);
  std::printf("  %-34s %.4f\n", "Belady's optimum",
              optimal_hit_rate(stream.rows, stream.num_rows, capacity, half));
  for (const NamedPolicy& policy : cache_policies()) {
    const auto cache = policy.make(stream.num_rows, capacity);
    std::printf("  %-34s %.4f\n", policy.name.c_str(), hit_rate(*cache, stream.rows, half));
  }
  const TieredStats hot = run(encoded(stream.num_rows, dim, producer), stream, false);
  std::printf("  %-34s %.4f   hot %.0f ns, cold %.0f ns (p50)\n", "TieredVectorStore, hot",
              hot.hot.hit_rate(), hot.hot.latency.quantile_ns(0.5),
              hot.cold.latency.quantile_ns(0.5));
  const TieredStats both = run(encoded(stream.num_rows, dim, producer), stream, true);
  const auto all = static_cast<double>(both.hot.hits + both.hot.misses);
  std::printf(
      "  %-34s %.4f + %.4f warm   hot %.0f ns, warm %.0f ns, cold %.0f ns; ratio %.2f%s%s\n",
      "TieredVectorStore, hot and warm", both.hot.hit_rate(),
      static_cast<double>(both.warm.hits) / all, both.hot.latency.quantile_ns(0.5),
      both.warm.latency.quantile_ns(0.5), both.cold.latency.quantile_ns(0.5), both.warm_ratio,
      both.warm_is_on ? "" : ", warm is off: ", both.warm_note.c_str());
  std::fflush(stdout);
}

void report_searches(const char* base_file, const char* query_file, Metric metric) {
  const Matrix<float> base = read_vectors(base_file);
  const Matrix<float> queries = read_vectors(query_file);
  ClusteredIndex index =
      ClusteredIndex::build({base.values.data(), base.rows, base.dim}, {.metric = metric});
  const auto producer = [&index](std::size_t first, std::size_t count, float* out) {
    index.read_rows(first, count, out);
  };
  report(query_stream(index, {queries.values.data(), queries.rows, queries.dim}, kAsked,
                      "rows read by Zipf(1.0) over " + std::to_string(queries.rows) + " queries"),
         index.dim(), producer);
  const std::size_t count = std::min(kBaseQueries, base.rows);
  const std::size_t step = base.rows / count;
  std::vector<float> some;
  for (std::size_t i = 0; i < count; ++i) {
    some.insert(some.end(), base.row(i * step), base.row(i * step) + base.dim);
  }
  report(query_stream(index, {some.data(), count, base.dim}, kAsked,
                      "rows read by Zipf(1.0) over " + std::to_string(count) + " base rows"),
         index.dim(), producer);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc < 3) {
      for (const RowStream& stream : plain_streams(kPlainRows)) {
        report(stream, kPlainDim, byte_rows);
      }
      return 0;
    }
    const auto metric = parse_metric(argc > 3 ? argv[3] : "l2");
    if (!metric) throw Error(ErrorCode::invalid_argument, "metric: expected l2, ip or cosine");
    report_searches(argv[1], argv[2], *metric);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "cairn_tiers_bench: %s\n", error.what());
    return 1;
  }
}

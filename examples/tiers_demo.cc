// What every place for full vectors costs and saves, side by side.
//
//   tiers_demo [base.fbin [query.fbin]]      without files: made-up vectors of bytes
//
// A thousand queries drawn by Zipf(1.0) from all, so that some are asked again and again, over each
// store, twice. `cold` is the first time, after the file's pages were dropped from the page cache;
// `warm` the second. Tiers get a tenth of the rows each. Ask again and the hot tier has most rows.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include <cairn/cairn.h>

namespace {

using Hits = std::vector<std::vector<cairn::Neighbor>>;

cairn::Matrix<float> make_vectors(std::size_t rows, std::size_t dim, unsigned seed) {
  std::mt19937 random(seed);
  cairn::Matrix<float> made{std::vector<float>(rows * dim), rows, dim};
  for (std::size_t i = 0; i < rows; ++i) {
    const std::size_t centre = random() % 100;
    for (std::size_t j = 0; j < dim; ++j) {
      const std::size_t base = (centre * 7919 + j * 104729) % 150;
      made.values[i * dim + j] = static_cast<float>(base + random() % 64);
    }
  }
  return made;
}

// The numbers of queries, number i asked in proportion to 1 / (i + 1).
std::vector<std::size_t> zipf_numbers(std::size_t count, std::size_t asked) {
  std::vector<double> weights;
  for (std::size_t i = 0; i < count; ++i) weights.push_back(1 / static_cast<double>(i + 1));
  std::discrete_distribution<std::size_t> distribution(weights.begin(), weights.end());
  std::mt19937 random(5);
  std::vector<std::size_t> numbers(asked);
  for (std::size_t& number : numbers) number = distribution(random);
  return numbers;
}

void drop_from_page_cache(const std::filesystem::path& file) {
  const int descriptor = open(file.c_str(), O_RDONLY);
  if (descriptor < 0) return;
  posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
  close(descriptor);
}

struct Run {
  Hits hits;
  double p50_us = 0;
  double p99_us = 0;
};

Run search_all(const cairn::ClusteredIndex& index, const cairn::Matrix<float>& queries,
               const std::vector<std::size_t>& numbers) {
  using Clock = std::chrono::steady_clock;
  Run run;
  std::vector<double> microseconds;
  for (const std::size_t number : numbers) {
    const Clock::time_point start = Clock::now();
    run.hits.push_back(index.search({queries.row(number), queries.dim}));
    microseconds.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
  }
  std::sort(microseconds.begin(), microseconds.end());
  run.p50_us = microseconds[microseconds.size() / 2];
  run.p99_us = microseconds[microseconds.size() * 99 / 100];
  return run;
}

struct Store {
  const char* name;
  std::function<void(const std::filesystem::path& file)> use;
};

void print_tiers(const cairn::TieredStats& stats) {
  const auto print = [](const char* name, const cairn::TierStats& tier) {
    std::printf(
        "    %-5s %8llu rows read, p50 %5.0f ns; %7.2f MB held, %6llu taken in, %6llu dropped\n",
        name, static_cast<unsigned long long>(tier.hits), tier.latency.quantile_ns(0.5),
        static_cast<double>(tier.bytes) / 1e6, static_cast<unsigned long long>(tier.promotions),
        static_cast<unsigned long long>(tier.evictions + tier.moves));
  };
  print("hot", stats.hot);
  print("warm", stats.warm);
  print("cold", stats.cold);
  if (!stats.warm_is_on) std::printf("    the warm tier is off: %s\n", stats.warm_note.c_str());
}

int demonstrate(int argc, char** argv) {
  const cairn::Matrix<float> base =
      argc > 1 ? cairn::read_vectors(argv[1]) : make_vectors(20'000, 96, 1);
  const cairn::Matrix<float> queries =
      argc > 2 ? cairn::read_vectors(argv[2], 1000) : make_vectors(500, base.dim, 2);
  const std::vector<std::size_t> numbers = zipf_numbers(queries.rows, 1000);
  auto index = cairn::ClusteredIndex::build({base.values.data(), base.rows, base.dim});

  using Path = std::filesystem::path;
  const std::uint64_t tenth = base.rows / 10 * (base.dim * sizeof(float) + 8);
  const auto tiers = [&](const Path& file, int level) {
    index.use_tiered_storage({.hot_bytes = tenth,
                              .warm_bytes = tenth,
                              .vectors_file = file,
                              .compression = {.zstd_level = level}});
  };
  const Store stores[] = {
      {"memory", [&](const Path&) { index.use_memory_storage(); }},
      {"mmap", [&](const Path& file) { index.use_mmap_storage(file); }},
      {"compressed", [&](const Path& file) { index.use_compressed_storage(file); }},
      {"compressed, zstd",
       [&](const Path& file) { index.use_compressed_storage(file, {.zstd_level = 3}); }},
      {"tiered", [&](const Path& file) { tiers(file, 0); }},
      {"tiered, zstd", [&](const Path& file) { tiers(file, 3); }},
  };
  std::printf("%zu vectors of %zu dimensions, %zu searches of %zu queries\n", base.rows, base.dim,
              numbers.size(), queries.rows);
  std::printf("%-17s %10s %10s %10s %10s %12s %12s\n", "full vectors in", "cold p50", "cold p99",
              "warm p50", "warm p99", "RAM MB", "disk MB");
  bool is_same = true;
  Hits expected;
  for (const Store& store : stores) {
    const Path file = "tiers_demo." + std::to_string(getpid()) + ".vectors";
    store.use(file);
    drop_from_page_cache(file);
    const Run cold = search_all(index, queries, numbers);
    const Run warm = search_all(index, queries, numbers);
    const cairn::IndexStats stats = index.stats();
    std::printf("%-17s %7.1f us %7.1f us %7.1f us %7.1f us %12.2f %12.2f\n", store.name,
                cold.p50_us, cold.p99_us, warm.p50_us, warm.p99_us,
                static_cast<double>(stats.vector_ram_bytes) / 1e6,
                static_cast<double>(stats.vector_disk_bytes) / 1e6);
    if (const auto tier_stats = index.tier_stats()) print_tiers(*tier_stats);
    if (expected.empty()) expected = cold.hits;
    is_same = is_same && cold.hits == expected && warm.hits == expected;
    std::filesystem::remove(file);
  }
  std::printf("results %s\n", is_same ? "identical, bit for bit" : "DIFFER");
  return is_same ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return demonstrate(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tiers_demo: %s\n", error.what());
    return 1;
  }
}

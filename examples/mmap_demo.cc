// What serving full vectors from a memory-mapped file costs and saves.
//
//   mmap_demo [base.fbin [query.fbin]]      without files: made-up clustered vectors
//
// memory  vectors in RAM
// warm    in the page cache, not yet in this process's page tables
// hot     the same queries again
// cold    the file's pages dropped from the page cache before the first query

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include <cairn/cairn.h>

namespace {

using Hits = std::vector<std::vector<cairn::Neighbor>>;

cairn::Matrix<float> make_vectors(std::size_t rows, std::size_t dim, unsigned seed) {
  constexpr std::size_t kClusters = 100;
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> centres(kClusters * dim);
  std::mt19937 centre_random(7);
  for (float& value : centres) value = 2 * normal(centre_random);
  cairn::Matrix<float> made{std::vector<float>(rows * dim), rows, dim};
  for (std::size_t i = 0; i < rows; ++i) {
    const float* centre = centres.data() + random() % kClusters * dim;
    for (std::size_t j = 0; j < dim; ++j) made.values[i * dim + j] = centre[j] + normal(random);
  }
  return made;
}

void drop_from_page_cache(const std::filesystem::path& file) {
  const int descriptor = open(file.c_str(), O_RDONLY);
  if (descriptor < 0) return;
  posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
  close(descriptor);
}

Hits run(const char* name, const cairn::ClusteredIndex& index,
         const cairn::Matrix<float>& queries) {
  using Clock = std::chrono::steady_clock;
  Hits hits;
  std::vector<double> microseconds;
  for (std::size_t i = 0; i < queries.rows; ++i) {
    const Clock::time_point start = Clock::now();
    hits.push_back(index.search({queries.row(i), queries.dim}));
    microseconds.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
  }
  std::sort(microseconds.begin(), microseconds.end());
  std::printf("%-8s %10.1f %10.1f %14.2f\n", name, microseconds[microseconds.size() / 2],
              microseconds[microseconds.size() * 99 / 100],
              static_cast<double>(index.memory_usage_bytes()) / 1e6);
  return hits;
}

int demonstrate(int argc, char** argv) {
  const cairn::Matrix<float> base =
      argc > 1 ? cairn::read_vectors(argv[1]) : make_vectors(20'000, 96, 1);
  const cairn::Matrix<float> queries =
      argc > 2 ? cairn::read_vectors(argv[2], 1000) : make_vectors(500, base.dim, 2);

  auto index = cairn::ClusteredIndex::build({base.values.data(), base.rows, base.dim});
  const std::filesystem::path file = "mmap_demo." + std::to_string(getpid()) + ".vectors";
  std::printf("%-8s %10s %10s %14s\n", "storage", "p50 us", "p99 us", "index RAM MB");
  const Hits in_memory = run("memory", index, queries);

  index.use_mmap_storage(file);
  const bool is_warm_same = run("warm", index, queries) == in_memory;
  const bool is_hot_same = run("hot", index, queries) == in_memory;

  index.use_memory_storage();
  index.use_mmap_storage(file);
  drop_from_page_cache(file);
  const bool is_cold_same = run("cold", index, queries) == in_memory;

  const bool is_same = is_warm_same && is_hot_same && is_cold_same;
  std::printf("full vectors: %.2f MB moved out of RAM; results %s\n",
              static_cast<double>(base.rows * base.dim * sizeof(float)) / 1e6,
              is_same ? "identical, bit for bit" : "DIFFER");
  std::filesystem::remove(file);
  return is_same ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return demonstrate(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "mmap_demo: %s\n", error.what());
    return 1;
  }
}

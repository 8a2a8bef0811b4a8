// What it costs to get the candidates of one query, 20 rows here and there, from a vector store:
// from memory, from a mapped file that is in memory, and from a mapped file that is on disk, with
// and without prefetch(). "on_disk" means that the system was asked to forget the file's pages
// before each query and did so; where it does not (tmpfs), those rows are skipped.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cairn/vector_store.h"

namespace {

constexpr std::size_t kDim = 768;
constexpr std::size_t kRows = 100'000;
constexpr std::size_t kRowsPerQuery = 20;
constexpr std::size_t kQueries = 1000;

void fill_rows(std::size_t first, std::size_t count, float* out) {
  for (std::size_t i = 0; i < count * kDim; ++i) out[i] = static_cast<float>(first * kDim + i);
}

// In the directory for temporary files; TMPDIR chooses the disk.
class VectorsFile {
 public:
  VectorsFile()
      : path_(std::filesystem::temp_directory_path() /
              ("cairn-stores-bench-" + std::to_string(getpid()) + ".cairn")) {
    cairn::MmapVectorStore::create(path_, kRows, kDim, fill_rows);
  }
  ~VectorsFile() { std::filesystem::remove(path_); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

const std::filesystem::path& vectors_file() {
  static const VectorsFile file;
  return file.path();
}

const cairn::VectorStore& memory_store() {
  static const cairn::MemoryVectorStore store(kRows, kDim, fill_rows);
  return store;
}

std::unique_ptr<cairn::VectorStore> open_mapped() {
  return cairn::MmapVectorStore::open(vectors_file());
}

const std::vector<std::vector<std::uint32_t>>& queries() {
  static const auto result = [] {
    std::mt19937 random(1);
    std::vector<std::vector<std::uint32_t>> rows(kQueries);
    for (auto& query : rows) {
      for (std::size_t i = 0; i < kRowsPerQuery; ++i) query.push_back(random() % kRows);
      std::sort(query.begin(), query.end());
    }
    return rows;
  }();
  return result;
}

// Reads each value, as a distance would.
float sum_rows(const cairn::VectorStore& store, std::span<const std::uint32_t> rows) {
  float sum = 0;
  for (const std::uint32_t row : rows) {
    const float* const values = store.contiguous() + row * kDim;
    for (std::size_t i = 0; i < kDim; i += 4) sum += values[i];
  }
  return sum;
}

void read_warm(benchmark::State& state, const cairn::VectorStore& store, bool prefetch) {
  benchmark::DoNotOptimize(sum_rows(store, queries().front()));
  for (const auto& query : queries()) benchmark::DoNotOptimize(sum_rows(store, query));
  std::size_t next = 0;
  for (auto _ : state) {
    const auto& rows = queries()[next++ % kQueries];
    if (prefetch) store.prefetch(rows);
    benchmark::DoNotOptimize(sum_rows(store, rows));
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * kRowsPerQuery));
}

void memory(benchmark::State& state) { read_warm(state, memory_store(), false); }
void mapped_warm(benchmark::State& state) { read_warm(state, *open_mapped(), false); }
void mapped_warm_prefetch(benchmark::State& state) { read_warm(state, *open_mapped(), true); }

void prefetch_warm(benchmark::State& state) {
  const auto store = open_mapped();
  for (const auto& query : queries()) benchmark::DoNotOptimize(sum_rows(*store, query));
  std::size_t next = 0;
  for (auto _ : state) store->prefetch(queries()[next++ % kQueries]);
}

// Drops the file's pages; false if they are still there.
bool forget_pages() {
  const int descriptor = open(vectors_file().c_str(), O_RDONLY | O_CLOEXEC);
  posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
  constexpr std::size_t kOffset = std::size_t{1} << 20;
  void* const page = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, descriptor, kOffset);
  unsigned char is_resident = 0;
  mincore(page, 4096, &is_resident);
  munmap(page, 4096);
  close(descriptor);
  return (is_resident & 1) == 0;
}

void read_from_disk(benchmark::State& state, bool prefetch) {
  std::size_t next = 0;
  for (auto _ : state) {
    state.PauseTiming();
    const bool is_gone = forget_pages();
    const auto store = open_mapped();
    const auto& rows = queries()[next++ % kQueries];
    state.ResumeTiming();
    if (!is_gone) {
      state.SkipWithError("this file system keeps its pages in memory");
      break;
    }
    if (prefetch) store->prefetch(rows);
    benchmark::DoNotOptimize(sum_rows(*store, rows));
  }
}

void mapped_on_disk(benchmark::State& state) { read_from_disk(state, false); }
void mapped_on_disk_prefetch(benchmark::State& state) { read_from_disk(state, true); }

void open_file(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(open_mapped());
}

BENCHMARK(memory)->Unit(benchmark::kMicrosecond);
BENCHMARK(mapped_warm)->Unit(benchmark::kMicrosecond);
BENCHMARK(mapped_warm_prefetch)->Unit(benchmark::kMicrosecond);
BENCHMARK(prefetch_warm)->Unit(benchmark::kMicrosecond);
BENCHMARK(mapped_on_disk)->Unit(benchmark::kMicrosecond)->UseRealTime()->Iterations(300);
BENCHMARK(mapped_on_disk_prefetch)->Unit(benchmark::kMicrosecond)->UseRealTime()->Iterations(300);
BENCHMARK(open_file)->Unit(benchmark::kMicrosecond);

}  // namespace

BENCHMARK_MAIN();

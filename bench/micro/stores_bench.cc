// What it costs to get the candidates of one query, 20 rows here and there, from a vector store:
// from memory, from a mapped file that is in memory, and from a mapped file that is on disk, with
// and without prefetch(). "on_disk" means that the system was asked to forget the file's pages
// before each query and did so; where it does not (tmpfs), those rows are skipped.
//
// Then one random row (random_row) and all rows (all_rows) of each encoding, beside the same from a
// mapped file of float32 and, as `safe`, by pread; and the same rows from tiers that hold all of
// them, one by one and 16 at once.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <numeric>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cairn/tiered_vector_store.h"
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

// Rows that an encoding is made for, whatever else they are.
void fill_encodable(cairn::VectorEncoding encoding, std::size_t dim, std::size_t first,
                    std::size_t count, float* out) {
  std::mt19937 random(static_cast<unsigned>(first + 1));
  std::normal_distribution<float> normal;
  for (std::size_t i = 0; i < count; ++i, out += dim) {
    double norm = 0;
    for (std::size_t j = 0; j < dim; ++j) {
      float value = normal(random);
      if (encoding == cairn::VectorEncoding::int8) value = static_cast<float>(random() % 219);
      if (encoding == cairn::VectorEncoding::int16) value = static_cast<float>(random() % 50'000);
      if (encoding == cairn::VectorEncoding::decimal) {
        value = static_cast<float>(static_cast<int>(random() % 199'999) - 99'999) / 1e5f;
      }
      if (encoding == cairn::VectorEncoding::half ||
          encoding == cairn::VectorEncoding::scaled_half) {
        value = std::nearbyint(value * 256) / 256;
      }
      if (encoding == cairn::VectorEncoding::bfloat16) value = std::nearbyint(value * 16) / 16;
      out[j] = value;
      norm += double{value} * double{value};
    }
    const bool is_normalised = encoding == cairn::VectorEncoding::scaled_half ||
                               encoding == cairn::VectorEncoding::exponent ||
                               encoding == cairn::VectorEncoding::float32;
    const auto divisor = static_cast<float>(std::sqrt(norm));
    for (std::size_t j = 0; j < dim && is_normalised; ++j) out[j] /= divisor;
  }
}

constexpr std::size_t kCodedBytes = std::size_t{64} << 20;  // of float32

// Opens a store of rows of `dim` in the encoding of the benchmark; the file needs no name by then.
std::unique_ptr<cairn::VectorStore> make_store(const benchmark::State& state, bool safe_reads) {
  const auto encoding = static_cast<cairn::VectorEncoding>(state.range(0));
  const auto dim = static_cast<std::size_t>(state.range(1));
  const std::size_t rows = kCodedBytes / sizeof(float) / dim;
  const auto producer = [&](std::size_t first, std::size_t count, float* out) {
    for (std::size_t i = 0; i < count; ++i) {
      fill_encodable(encoding, dim, first + i, 1, out + i * dim);
    }
  };
  const std::filesystem::path path = std::filesystem::temp_directory_path() /
                                     ("cairn-stores-bench-" + std::to_string(getpid()) + ".coded");
  std::unique_ptr<cairn::VectorStore> store;
  if (encoding == cairn::VectorEncoding::automatic) {
    store = cairn::MmapVectorStore::create(path, rows, dim, producer);
  } else {
    const auto level = static_cast<int>(state.range(2));
    const auto plain = cairn::CompressedVectorStore::create(
        path, rows, dim, producer, {.encoding = encoding, .zstd_level = level});
    store = cairn::CompressedVectorStore::open(path, {.safe_reads = safe_reads});
  }
  std::filesystem::remove(path);
  return store;
}

void describe(benchmark::State& state, const cairn::VectorStore& store) {
  const auto* const compressed = dynamic_cast<const cairn::CompressedVectorStore*>(&store);
  std::string label = "mmap";
  if (compressed != nullptr) {
    const cairn::CompressionStats stats = compressed->compression_stats();
    label = to_string(stats.encodings[0].encoding);
    state.counters["ratio"] = stats.ratio();
  }
  state.SetLabel(label + ", d = " + std::to_string(store.dim()));
}

void read_random_rows(benchmark::State& state, bool safe_reads) {
  const auto store = make_store(state, safe_reads);
  std::mt19937 random(1);
  std::vector<std::uint32_t> rows(4096);
  for (std::uint32_t& row : rows) row = static_cast<std::uint32_t>(random() % store->rows());
  std::vector<float> out(store->dim());
  for (std::uint32_t row = 0; row < store->rows(); ++row) store->read({&row, 1}, out.data());
  std::size_t next = 0;
  for (auto _ : state) {
    store->read({&rows[next++ % rows.size()], 1}, out.data());
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  describe(state, *store);
}

void random_row(benchmark::State& state) { read_random_rows(state, false); }
void random_row_safe(benchmark::State& state) { read_random_rows(state, true); }

// `count` random rows at once out of the tier that holds all of them, by as many threads as the
// benchmark has.
void read_from_tier(benchmark::State& state, const cairn::TieredOptions& options,
                    std::size_t count) {
  static std::unique_ptr<cairn::TieredVectorStore> store;
  static cairn::TieredStats before;
  if (state.thread_index() == 0) {
    store = std::make_unique<cairn::TieredVectorStore>(make_store(state, false), options);
    std::vector<float> out(store->dim());
    for (int i = 0; i < 3; ++i) {
      for (std::uint32_t row = 0; row < store->rows(); ++row) store->read({&row, 1}, out.data());
    }
    before = store->tier_stats();
  }
  std::mt19937 random(static_cast<unsigned>(state.thread_index()) + 1);
  std::vector<std::uint32_t> rows;
  std::vector<float> out;
  std::size_t next = 0;
  for (auto _ : state) {
    if (rows.empty()) {
      for (std::size_t i = 0; i < 4096; ++i) {
        rows.push_back(static_cast<std::uint32_t>(random() % store->rows()));
      }
      out.resize(count * store->dim());
    }
    store->read({&rows[next % rows.size()], count}, out.data());
    next += count;
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(count));
  if (state.thread_index() != 0) return;
  const cairn::TieredStats stats = store->tier_stats().since(before);
  state.counters["hot"] = stats.hot.hit_rate();
  state.counters["warm"] = stats.warm.hit_rate();
  describe(state, store->cold());
}

constexpr std::uint64_t kAmple = 4 * kCodedBytes;

void hot_row(benchmark::State& state) { read_from_tier(state, {.hot_bytes = kAmple}, 1); }
void hot_rows_by_16(benchmark::State& state) { read_from_tier(state, {.hot_bytes = kAmple}, 16); }
void warm_row(benchmark::State& state) {
  read_from_tier(state, {.warm_bytes = kAmple, .min_warm_ratio = 0}, 1);
}
void warm_rows_by_16(benchmark::State& state) {
  read_from_tier(state, {.warm_bytes = kAmple, .min_warm_ratio = 0}, 16);
}

void all_rows(benchmark::State& state) {
  const auto store = make_store(state, false);
  std::vector<std::uint32_t> rows(256);
  std::vector<float> out(rows.size() * store->dim());
  const auto read_all = [&] {
    for (std::size_t first = 0; first + rows.size() <= store->rows(); first += rows.size()) {
      std::iota(rows.begin(), rows.end(), static_cast<std::uint32_t>(first));
      store->read(rows, out.data());
      benchmark::DoNotOptimize(out.data());
      benchmark::ClobberMemory();
    }
  };
  read_all();
  for (auto _ : state) read_all();
  const double bytes = static_cast<double>(store->rows() * store->dim() * sizeof(float));
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes) * state.iterations());
  describe(state, *store);
}

// Encoding (0: a mapped file of float32), dimension, level of zstd.
void each_encoding(benchmark::internal::Benchmark* bench) {
  for (const int dim : {128, 768}) {
    bench->Args({0, dim, 0});
    for (int encoding = 2; encoding <= 10; ++encoding) bench->Args({encoding, dim, 0});
    bench->Args({2, dim, 3});
    bench->Args({9, dim, 3});
  }
}

BENCHMARK(random_row)->Apply(each_encoding)->Unit(benchmark::kNanosecond);
BENCHMARK(hot_row)->Args({2, 128, 0})->Args({2, 768, 0})->Unit(benchmark::kNanosecond);
BENCHMARK(hot_rows_by_16)
    ->Args({2, 128, 0})
    ->Args({2, 768, 0})
    ->ThreadRange(1, 2)
    ->UseRealTime()
    ->Unit(benchmark::kNanosecond);
BENCHMARK(warm_row)->Apply(each_encoding)->Unit(benchmark::kNanosecond);
BENCHMARK(warm_rows_by_16)->Apply(each_encoding)->Unit(benchmark::kNanosecond);
BENCHMARK(random_row_safe)->Args({2, 128, 0})->Args({9, 128, 0})->Unit(benchmark::kNanosecond);
BENCHMARK(all_rows)->Apply(each_encoding)->Unit(benchmark::kMillisecond);
BENCHMARK(memory)->Unit(benchmark::kMicrosecond);
BENCHMARK(mapped_warm)->Unit(benchmark::kMicrosecond);
BENCHMARK(mapped_warm_prefetch)->Unit(benchmark::kMicrosecond);
BENCHMARK(prefetch_warm)->Unit(benchmark::kMicrosecond);
BENCHMARK(mapped_on_disk)->Unit(benchmark::kMicrosecond)->UseRealTime()->Iterations(300);
BENCHMARK(mapped_on_disk_prefetch)->Unit(benchmark::kMicrosecond)->UseRealTime()->Iterations(300);
BENCHMARK(open_file)->Unit(benchmark::kMicrosecond);

}  // namespace

BENCHMARK_MAIN();

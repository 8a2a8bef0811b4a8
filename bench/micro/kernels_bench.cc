// Every kernel on every instruction set of this machine, side by side:
//   cairn_micro_bench --benchmark_filter=Scan --benchmark_enable_random_interleaving=true
// "L2" runs over data that fits the second-level cache, "DRAM" walks an arena far larger than any
// cache. items/s are codes, rows or values; compare ratios from one run only.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iostream>
#include <limits>
#include <new>
#include <random>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <sys/mman.h>

#include "quantize/kernels/kernels.h"

namespace cairn::kernels {
namespace {

constexpr std::size_t kArenaBytes = std::size_t{256} << 20;
// Enough picks to reach all of the arena before they repeat.
constexpr std::size_t kRandomRows = std::size_t{1} << 19;
constexpr std::size_t kDims[] = {128, 832, 1536};

// 256 MiB of random bytes below 128 on huge pages: as floats none of them is NaN or infinite.
std::uint8_t* arena() {
  static std::uint8_t* const bytes = [] {
    auto* const memory =
        static_cast<std::uint8_t*>(::operator new (kArenaBytes, std::align_val_t{2 << 20}));
    madvise(memory, kArenaBytes, MADV_HUGEPAGE);
    std::mt19937_64 random(1);
    for (std::size_t i = 0; i < kArenaBytes; i += 8) {
      const std::uint64_t word = random() & 0x3F7F7F7F3F7F7F7Full;
      std::memcpy(memory + i, &word, 8);
    }
    return memory;
  }();
  return bytes;
}

std::vector<float> random_floats(std::size_t n) {
  std::mt19937 random(2);
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(random()) * 0x1.0p-31f - 1;
  return values;
}

std::vector<std::uint32_t> random_rows(std::size_t n, std::size_t bound) {
  std::mt19937 random(3);
  std::vector<std::uint32_t> rows(n);
  for (auto& row : rows) row = static_cast<std::uint32_t>(random() % bound);
  return rows;
}

void report(benchmark::State& state, std::size_t items, std::size_t bytes) {
  const auto iterations = static_cast<std::int64_t>(state.iterations());
  state.SetItemsProcessed(iterations * static_cast<std::int64_t>(items));
  if (bytes != 0) state.SetBytesProcessed(iterations * static_cast<std::int64_t>(bytes));
}

// Walks `extent` bytes in pieces, one a call, and begins again at the end.
class Walk {
 public:
  Walk(std::size_t piece, std::size_t extent) : piece_(piece), num_(extent / piece) {}
  const std::uint8_t* next() {
    const std::uint8_t* const here = arena() + at_ * piece_;
    at_ = at_ + 1 < num_ ? at_ + 1 : 0;
    return here;
  }

 private:
  std::size_t piece_, num_;
  std::size_t at_ = 0;
};

void scan(benchmark::State& state, const Kernels* kernels, std::size_t dim, std::size_t count,
          std::size_t extent) {
  const auto query = random_floats(dim);
  std::vector<std::uint8_t> table(dim * 4);
  const TableScale scale = kernels->build_table(query.data(), dim, table.data());
  const std::size_t bytes = count / kBlockSize * block_bytes(dim);
  std::vector<std::uint32_t> index(count + kBlockSize);
  std::vector<float> value(count + kBlockSize);
  // A threshold that the lowest 3 % of the first piece pass.
  const ScanQuery scan_query{table.data(), scale.step, scale.low};
  const std::size_t sampled = kernels->scan_blocks(arena(), count, scan_query, dim, 0,
                                                   std::numeric_limits<float>::infinity(), 0,
                                                   nullptr, index.data(), value.data());
  const auto quantile = value.begin() + static_cast<std::ptrdiff_t>(sampled * 3 / 100);
  std::nth_element(value.begin(), quantile, value.begin() + static_cast<std::ptrdiff_t>(sampled));
  const float threshold = *quantile;
  Walk walk(bytes, extent > bytes ? extent : bytes);
  std::size_t found = 0;
  for (auto _ : state) {
    found += kernels->scan_blocks(walk.next(), count, scan_query, dim, 0, threshold, 0, nullptr,
                                  index.data(), value.data());
    benchmark::DoNotOptimize(index.data());
  }
  report(state, count, bytes);
  state.counters["found"] =
      static_cast<double>(found) / static_cast<double>(state.iterations() * count);
}

void refine(benchmark::State& state, const Kernels* kernels, std::size_t dim, unsigned bits,
            bool random) {
  const auto query = random_floats(dim);
  std::vector<std::int8_t> high(dim), low(dim);
  const float step = kernels->quantize_query(query.data(), dim, high.data(), low.data());
  const std::size_t stride = kRefineFactorBytes + refine_code_bytes(dim, bits);
  const std::size_t num_rows = kArenaBytes / stride;
  constexpr std::size_t kRows = 128;
  auto rows = random_rows(kRandomRows, num_rows);
  if (!random) {
    for (std::size_t i = 0; i < rows.size(); ++i)
      rows[i] = static_cast<std::uint32_t>(i % num_rows);
  }
  const std::vector<float> zeros(kRows);
  std::vector<std::uint32_t> found(kRows + 16);
  std::vector<float> lower(kRows + 16), upper(kRows + 16);
  std::size_t at = 0;
  for (auto _ : state) {
    kernels->refine_rows(arena(), stride, rows.data() + at, kRows, bits,
                         {high.data(), low.data(), step, 0}, dim, zeros.data(), zeros.data(), 1,
                         found.data(), lower.data(), upper.data());
    benchmark::DoNotOptimize(lower.data());
    at = (at + kRows) % rows.size();
  }
  report(state, kRows, kRows * stride);
}

using RowsKernel = void (*)(const float*, const float*, std::size_t, const std::uint32_t*,
                            std::size_t, std::size_t, float*) noexcept;

void exact_rows(benchmark::State& state, RowsKernel kernel, std::size_t dim, std::size_t n,
                std::size_t extent, bool random) {
  const auto query = random_floats(dim);
  const std::size_t num_rows = extent / (dim * sizeof(float));
  auto rows = random_rows(kRandomRows, num_rows);
  if (!random) {
    for (std::size_t i = 0; i < rows.size(); ++i)
      rows[i] = static_cast<std::uint32_t>(i % num_rows);
  }
  const auto* const base = reinterpret_cast<const float*>(arena());
  std::vector<float> out(n);
  std::size_t at = 0;
  for (auto _ : state) {
    kernel(query.data(), base, dim, rows.data() + at, n, dim, out.data());
    benchmark::DoNotOptimize(out.data());
    at = (at + n) % rows.size();
  }
  report(state, n, n * dim * sizeof(float));
}

using BlockKernel = void (*)(const float*, std::size_t, const float*, std::size_t, std::size_t,
                             float*) noexcept;

void block(benchmark::State& state, BlockKernel kernel, std::size_t m, std::size_t n,
           std::size_t dim) {
  const auto a = random_floats(m * dim);
  const auto b = random_floats(n * dim);
  std::vector<float> out(m * n);
  for (auto _ : state) {
    kernel(a.data(), m, b.data(), n, dim, out.data());
    benchmark::DoNotOptimize(out.data());
  }
  report(state, m * n, 0);
  state.counters["flop"] = benchmark::Counter(static_cast<double>(2 * m * n * dim),
                                              benchmark::Counter::kIsIterationInvariantRate);
}

void half_rows(benchmark::State& state, const Kernels* kernels, std::size_t dim) {
  const auto query = random_floats(dim);
  constexpr std::size_t kRows = 64;
  const std::size_t num_rows = kArenaBytes / (dim * 2);
  const auto rows = random_rows(kRandomRows, num_rows);
  const std::vector<float> scales(num_rows, 0.5f);
  std::vector<float> out(kRows);
  std::size_t at = 0;
  for (auto _ : state) {
    kernels->l2sq_half_rows(query.data(), reinterpret_cast<const std::uint16_t*>(arena()),
                            scales.data(), rows.data() + at, kRows, dim, out.data());
    benchmark::DoNotOptimize(out.data());
    at = (at + kRows) % rows.size();
  }
  report(state, kRows, kRows * dim * 2);
}

void hadamard(benchmark::State& state, const Kernels* kernels, std::size_t n) {
  auto x = random_floats(n);
  // 1 / sqrt(n) keeps the values in range however often it runs.
  const float scale = 1 / __builtin_sqrtf(static_cast<float>(n));
  for (auto _ : state) {
    kernels->hadamard(x.data(), n, scale);
    benchmark::DoNotOptimize(x.data());
  }
  report(state, n, 0);
}

void flip_signs(benchmark::State& state, const Kernels* kernels, std::size_t n) {
  auto x = random_floats(n);
  for (auto _ : state) {
    kernels->flip_signs(arena(), n, x.data());
    benchmark::DoNotOptimize(x.data());
  }
  report(state, n, 0);
}

void kac_step(benchmark::State& state, const Kernels* kernels, std::size_t n) {
  const auto start = random_floats(n);
  std::vector<float> x(n);
  for (auto _ : state) {
    std::memcpy(x.data(), start.data(), n * sizeof(float));
    kernels->kac_step(x.data(), n);
    benchmark::DoNotOptimize(x.data());
  }
  report(state, n, 0);
}

void build_table(benchmark::State& state, const Kernels* kernels, std::size_t dim) {
  const auto query = random_floats(dim);
  std::vector<std::uint8_t> table(dim * 4);
  for (auto _ : state) {
    benchmark::DoNotOptimize(kernels->build_table(query.data(), dim, table.data()));
    benchmark::DoNotOptimize(table.data());
  }
  report(state, dim, 0);
}

void quantize_query(benchmark::State& state, const Kernels* kernels, std::size_t dim) {
  const auto query = random_floats(dim);
  std::vector<std::int8_t> high(dim), low(dim);
  for (auto _ : state) {
    benchmark::DoNotOptimize(kernels->quantize_query(query.data(), dim, high.data(), low.data()));
    benchmark::DoNotOptimize(high.data());
    benchmark::DoNotOptimize(low.data());
  }
  report(state, dim, 0);
}

void encode_half(benchmark::State& state, const Kernels* kernels, std::size_t n) {
  const auto values = random_floats(n);
  std::vector<std::uint16_t> half(n);
  for (auto _ : state) {
    kernels->encode_half(values.data(), 2, n, half.data());
    benchmark::DoNotOptimize(half.data());
  }
  report(state, n, 0);
}

void decode_half(benchmark::State& state, const Kernels* kernels, std::size_t n) {
  std::vector<float> values(n);
  for (auto _ : state) {
    kernels->decode_half(reinterpret_cast<const std::uint16_t*>(arena()), 2, n, values.data());
    benchmark::DoNotOptimize(values.data());
  }
  report(state, n, 0);
}

void argmin(benchmark::State& state, const Kernels* kernels, std::size_t n) {
  constexpr std::size_t kRows = 256;
  const auto dots = random_floats(kRows * n);
  const auto bias = random_floats(n);
  std::vector<std::uint32_t> best(kRows);
  std::vector<float> value(kRows);
  for (auto _ : state) {
    kernels->argmin_rows(dots.data(), kRows, n, bias.data(), best.data(), value.data());
    benchmark::DoNotOptimize(best.data());
  }
  report(state, kRows * n, 0);
}

template <typename Run>
void add(const std::string& name, std::size_t dim, const Kernels* kernels, Run run) {
  benchmark::RegisterBenchmark((name + "/" + std::to_string(dim) + "/" + kernels->isa).c_str(),
                               run);
}

void register_first_stage(const Kernels* k, std::size_t d) {
  using State = benchmark::State;
  add("ScanL1", d, k, [=](State& s) { scan(s, k, d, 256, 0); });
  add("ScanL2", d, k, [=](State& s) { scan(s, k, d, 2048, 0); });
  add("ScanDRAM", d, k, [=](State& s) { scan(s, k, d, 65536, kArenaBytes); });
  add("ScanLeavesDRAM", d, k, [=](State& s) { scan(s, k, d, 256, kArenaBytes); });
  add("BuildTable", d, k, [=](State& s) { build_table(s, k, d); });
  add("QuantizeQuery", d, k, [=](State& s) { quantize_query(s, k, d); });
  add("FlipSigns", d, k, [=](State& s) { flip_signs(s, k, d); });
  add("KacStep", d, k, [=](State& s) { kac_step(s, k, d); });
}

void register_rows(const Kernels* k, std::size_t d) {
  using State = benchmark::State;
  constexpr std::size_t kCached = 256 << 10;
  for (const unsigned bits : {5u, 8u, 9u}) {
    const std::string name = "Refine" + std::to_string(bits);
    add(name + "Random", d, k, [=](State& s) { refine(s, k, d, bits, true); });
    add(name + "Sequential", d, k, [=](State& s) { refine(s, k, d, bits, false); });
  }
  add("L2sqRowsRandom", d, k,
      [=](State& s) { exact_rows(s, k->l2sq_rows, d, 64, kArenaBytes, true); });
  add("L2sqRowsRandom16", d, k,
      [=](State& s) { exact_rows(s, k->l2sq_rows, d, 16, kArenaBytes, true); });
  add("L2sqRowsSequential", d, k,
      [=](State& s) { exact_rows(s, k->l2sq_rows, d, 64, kArenaBytes, false); });
  add("L2sqRowsL2", d, k, [=](State& s) { exact_rows(s, k->l2sq_rows, d, 64, kCached, true); });
  add("DotRowsL2", d, k, [=](State& s) { exact_rows(s, k->dot_rows, d, 64, kCached, true); });
  add("HalfRowsRandom", d, k, [=](State& s) { half_rows(s, k, d); });
  add("L2sqBlock", d, k, [=](State& s) { block(s, k->l2sq_block, 64, 1024, d); });
  add("DotBlock", d, k, [=](State& s) { block(s, k->dot_block, 64, 1024, d); });
  add("Gemm", d, k, [=](State& s) { block(s, k->gemm_nt, 256, 256, d); });
}

void register_all() {
  using State = benchmark::State;
  for (const Kernels* k : available()) {
    for (const std::size_t d : kDims) {
      register_first_stage(k, d);
      register_rows(k, d);
    }
    for (const std::size_t n : {64, 128, 256, 512, 1024, 65536}) {
      add("Hadamard", n, k, [=](State& s) { hadamard(s, k, n); });
    }
    add("EncodeHalf", 832, k, [=](State& s) { encode_half(s, k, 832); });
    add("DecodeHalf", 832, k, [=](State& s) { decode_half(s, k, 832); });
    add("Argmin", 256, k, [=](State& s) { argmin(s, k, 256); });
  }
}

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

}  // namespace
}  // namespace cairn::kernels

int main(int argc, char** argv) {
  std::cout << "cpu       " << cairn::kernels::cpu_name() << "\nisa      ";
  for (const auto* table : cairn::kernels::available()) std::cout << ' ' << table->isa;
  std::cout << " (active: " << cairn::kernels::active().isa << ")\ncompiler  " << __VERSION__
            << "\n";
  cairn::kernels::register_all();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

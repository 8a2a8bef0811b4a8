// What surrounds a search, beside the search itself: the payloads of its hits, a hit in the result
// cache, the way through a pool. cairn_serve_bench INDEX QUERIES [benchmark options]; payloads are
// measured if the index has any.

#include <cstdio>
#include <deque>
#include <exception>
#include <future>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include <cairn/clustered_index.h>
#include <cairn/io.h>
#include <cairn/result_cache.h>
#include <cairn/search_pool.h>
#include <cairn/typed_matrix.h>

namespace {

constexpr std::size_t kInFlight = 256;

struct Setup {
  cairn::ClusteredIndex index;
  cairn::Matrix<float> queries;

  std::span<const float> query(std::size_t i) const {
    return {queries.row(i % queries.rows), queries.dim};
  }
};

std::vector<std::vector<cairn::VectorId>> hits_of_all(const Setup& setup) {
  std::vector<std::vector<cairn::VectorId>> ids(setup.queries.rows);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    for (const cairn::Neighbor& hit : setup.index.search(setup.query(i))) ids[i].push_back(hit.id);
  }
  return ids;
}

void search(benchmark::State& state, const Setup& setup) {
  std::size_t i = 0;
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(setup.index.search(setup.query(i++)));
  }
}

void payloads_of_ten_hits(benchmark::State& state, const Setup& setup) {
  const auto ids = hits_of_all(setup);
  std::size_t i = 0;
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(setup.index.payloads(ids[i++ % ids.size()]));
  }
}

void payload_of_one(benchmark::State& state, const Setup& setup) {
  const auto ids = hits_of_all(setup);
  std::size_t i = 0;
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(setup.index.payload(ids[i++ % ids.size()].at(0)));
  }
}

void cache_hit(benchmark::State& state, const Setup& setup) {
  cairn::ResultCache cache(std::size_t{1} << 30);
  for (std::size_t i = 0; i < setup.queries.rows; ++i) cache.search(setup.index, setup.query(i));
  std::size_t i = 0;
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(cache.search(setup.index, setup.query(i++)));
  }
}

// Asked for one after another: what waking a thread and waiting for it costs.
void pool_one_at_a_time(benchmark::State& state, const Setup& setup) {
  cairn::SearchPool pool(setup.index, {.threads = 1});
  std::size_t i = 0;
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(pool.submit(setup.query(i++)).get());
  }
}

void pool_many_in_flight(benchmark::State& state, const Setup& setup) {
  cairn::SearchPool pool(setup.index, {.threads = 1, .queue_capacity = kInFlight});
  std::deque<std::future<cairn::SearchPool::Answer>> answers;
  std::size_t i = 0;
  for ([[maybe_unused]] auto _ : state) {
    answers.push_back(pool.submit(setup.query(i++)));
    if (answers.size() < kInFlight) continue;
    benchmark::DoNotOptimize(answers.front().get());
    answers.pop_front();
  }
}

void convert(benchmark::State& state, cairn::ValueType type) {
  constexpr std::size_t kRows = 1000;
  constexpr std::size_t kDim = 768;
  const std::vector<std::uint16_t> values(2 * kRows * kDim, 0x3C01);
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(cairn::to_float({type, values.data(), kRows, kDim}));
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * kRows * kDim));
}

void register_all(const Setup& setup) {
  const auto add = [&setup](const char* name, void (*run)(benchmark::State&, const Setup&)) {
    return benchmark::RegisterBenchmark(
        name, [&setup, run](benchmark::State& state) { run(state, setup); });
  };
  add("search", search);
  if (setup.index.has_payloads()) {
    add("payloads_of_ten_hits", payloads_of_ten_hits);
    add("payload_of_one", payload_of_one);
  }
  add("cache_hit", cache_hit);
  add("pool_one_at_a_time", pool_one_at_a_time)->UseRealTime();
  add("pool_many_in_flight", pool_many_in_flight)->UseRealTime();
  using cairn::ValueType;
  for (const ValueType type : {ValueType::f16, ValueType::bf16, ValueType::u8, ValueType::i8}) {
    benchmark::RegisterBenchmark((std::string("convert/") + cairn::to_string(type)).c_str(),
                                 [type](benchmark::State& state) { convert(state, type); });
  }
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (argc != 3) {
    std::fprintf(stderr, "usage: cairn_serve_bench INDEX QUERIES [benchmark options]\n");
    return 2;
  }
  try {
    const Setup setup{cairn::ClusteredIndex::open(argv[1]), cairn::read_vectors(argv[2], 1000)};
    register_all(setup);
    benchmark::RunSpecifiedBenchmarks();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "cairn_serve_bench: %s\n", error.what());
    return 1;
  }
  return 0;
}

// The hot path allocates nothing once its scratch memory has grown.

#include <atomic>
#include <cstdlib>
#include <new>

#include <gtest/gtest.h>

#include "cairn/clustered_index.h"

#include "tests/util/random_vectors.h"

// g++ does not see that these replacements belong together once it inlines one of them.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif

namespace {
std::atomic<std::size_t> allocations{0};

void* counted(std::size_t bytes, std::size_t alignment) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* memory = std::aligned_alloc(alignment, rounded == 0 ? alignment : rounded);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
}  // namespace

void* operator new(std::size_t bytes) { return counted(bytes, 16); }
void* operator new[](std::size_t bytes) { return counted(bytes, 16); }
void* operator new(std::size_t bytes, std::align_val_t a) {
  return counted(bytes, static_cast<std::size_t>(a));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace cairn {
namespace {

// Scratch memory grows to what the hardest query so far needed, then stays.
TEST(Allocation, SearchAllocatesNothingOnceItsScratchHasGrown) {
  const test::Vectors rows = test::clustered_vectors(8000, 40, 80, 1);
  const test::Vectors queries = test::clustered_vectors(200, 40, 80, 2);
  for (const unsigned refine_bits : {0u, 4u}) {
    const ClusteredIndex index = ClusteredIndex::build(rows.view(), {.refine_bits = refine_bits});
    const PreparedFilter many =
        index.prepare(Filter::from_predicate([](VectorId id) { return id % 3 == 0; }));
    const PreparedFilter few =
        index.prepare(Filter::from_predicate([](VectorId id) { return id % 90 == 0; }));
    for (const SearchOptions& options :
         {SearchOptions{.k = 10}, SearchOptions{.k = 10, .probes = 50},
          SearchOptions{.k = 100, .probes = 30, .rerank_factor = 5},
          SearchOptions{.k = 10, .prepared_filter = &many},
          SearchOptions{.k = 10, .prepared_filter = &few},
          SearchOptions{.k = 10, .max_distance = 1.5f, .max_microseconds = 1'000'000'000}}) {
      std::vector<Neighbor> out(options.k);
      SearchStats stats;
      const auto search_all = [&] {
        for (std::size_t q = 0; q < queries.rows; ++q) {
          index.search({queries.row(q), 40}, options, out, &stats);
        }
      };
      search_all();
      const std::size_t before = allocations.load();
      search_all();
      EXPECT_EQ(allocations.load(), before) << refine_bits << " refine bits, k " << options.k;
    }
  }
}

}  // namespace
}  // namespace cairn

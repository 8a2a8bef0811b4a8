#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "cairn/tiered_vector_store.h"

#include "storage/read_sections.h"

namespace cairn::storage {

// Counters of a tiered store, apart for each slot of its read sections, so that readers do not
// wait for each other's cache lines. Thread-safe within the rules of each function.
class TieredStatistics {
 public:
  enum class Tier { hot = 0, warm = 1, cold = 2 };

  // Only by whoever has the slot. Whether this call is one of the sample whose time is taken.
  bool begin_call(std::size_t slot) noexcept;
  // Only by whoever has the slot, for the hot and the warm tier. `ns` per hit, if it was taken.
  void count(Tier tier, std::size_t slot, std::size_t hits, std::size_t misses,
             double ns = 0) noexcept;
  // By anybody.
  void count_cold(std::size_t slot, std::size_t rows, double ns = 0) noexcept;
  void count_failed(std::size_t slot, std::size_t rows) noexcept;

  // Fills in hits, misses and latency.
  void add_to(TieredStats& stats) const noexcept;

 private:
  using Counter = std::atomic<std::uint64_t>;
  struct alignas(64) Stripe {
    Counter calls{0};
    std::array<Counter, 3> hits{};
    std::array<Counter, 3> misses{};
    std::array<std::array<Counter, 32>, 3> latency{};
  };

  std::array<Stripe, ReadSections::kSlots> stripes_;
};

}  // namespace cairn::storage

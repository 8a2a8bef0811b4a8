#include "storage/tiered_statistics.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace cairn {

std::uint64_t LatencyHistogram::total() const noexcept {
  std::uint64_t sum = 0;
  for (const std::uint64_t count : rows) sum += count;
  return sum;
}

double LatencyHistogram::quantile_ns(double share) const noexcept {
  const double wanted = std::clamp(share, 0.0, 1.0) * static_cast<double>(total());
  double before = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto count = static_cast<double>(rows[i]);
    if (count > 0 && before + count >= wanted) {
      return std::exp2(static_cast<double>(i) + (wanted - before) / count);
    }
    before += count;
  }
  return 0;
}

namespace {

TierStats difference(const TierStats& later, const TierStats& earlier) {
  TierStats result = later;
  result.hits -= earlier.hits;
  result.misses -= earlier.misses;
  result.promotions -= earlier.promotions;
  result.evictions -= earlier.evictions;
  result.moves -= earlier.moves;
  for (std::size_t i = 0; i < result.latency.rows.size(); ++i) {
    result.latency.rows[i] -= earlier.latency.rows[i];
  }
  return result;
}

}  // namespace

TieredStats TieredStats::since(const TieredStats& earlier) const {
  TieredStats result = *this;
  result.hot = difference(hot, earlier.hot);
  result.warm = difference(warm, earlier.warm);
  result.cold = difference(cold, earlier.cold);
  return result;
}

namespace storage {
namespace {

constexpr std::uint64_t kSampledCalls = 32;

std::size_t bucket_of(double ns) noexcept {
  const auto whole = static_cast<std::uint64_t>(std::clamp(ns, 1.0, 4e9));
  return static_cast<std::size_t>(std::bit_width(whole)) - 1;
}

// By the only one who writes it.
void add(std::atomic<std::uint64_t>& counter, std::uint64_t count) noexcept {
  counter.store(counter.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
}

}  // namespace

bool TieredStatistics::begin_call(std::size_t slot) noexcept {
  Stripe& stripe = stripes_[slot];
  add(stripe.calls, 1);
  return stripe.calls.load(std::memory_order_relaxed) % kSampledCalls == 0;
}

void TieredStatistics::count(Tier tier, std::size_t slot, std::size_t hits, std::size_t misses,
                             double ns) noexcept {
  Stripe& stripe = stripes_[slot];
  const auto t = static_cast<std::size_t>(tier);
  add(stripe.hits[t], hits);
  add(stripe.misses[t], misses);
  if (ns > 0) add(stripe.latency[t][bucket_of(ns)], hits);
}

void TieredStatistics::count_cold(std::size_t slot, std::size_t rows, double ns) noexcept {
  Stripe& stripe = stripes_[slot];
  const auto t = static_cast<std::size_t>(Tier::cold);
  stripe.hits[t].fetch_add(rows, std::memory_order_relaxed);
  if (ns > 0) stripe.latency[t][bucket_of(ns)].fetch_add(rows, std::memory_order_relaxed);
}

void TieredStatistics::count_failed(std::size_t slot, std::size_t rows) noexcept {
  stripes_[slot].misses[static_cast<std::size_t>(Tier::cold)].fetch_add(rows,
                                                                        std::memory_order_relaxed);
}

void TieredStatistics::add_to(TieredStats& stats) const noexcept {
  TierStats* const tiers[] = {&stats.hot, &stats.warm, &stats.cold};
  for (const Stripe& stripe : stripes_) {
    for (std::size_t t = 0; t < 3; ++t) {
      tiers[t]->hits += stripe.hits[t].load(std::memory_order_relaxed);
      tiers[t]->misses += stripe.misses[t].load(std::memory_order_relaxed);
      for (std::size_t i = 0; i < stripe.latency[t].size(); ++i) {
        tiers[t]->latency.rows[i] += stripe.latency[t][i].load(std::memory_order_relaxed);
      }
    }
  }
}

}  // namespace storage
}  // namespace cairn

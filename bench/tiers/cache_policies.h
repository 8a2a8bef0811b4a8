#pragma once

// Which rows a cache of a given number of rows would hold, simulated on a stream of row numbers:
// the policies that were weighed for the tiers, and the best that any could do.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace cairn::bench {

// A cache of rows. One thread.
class CachePolicy {
 public:
  virtual ~CachePolicy() = default;
  // A touch of a row < the number of rows; whether it was a hit.
  virtual bool touch(std::uint32_t row) = 0;
};

struct NamedPolicy {
  std::string name;
  std::function<std::unique_ptr<CachePolicy>(std::size_t rows, std::size_t capacity)> make;
};

// LRU; SIEVE (NSDI 2024); S3-FIFO (SOSP 2023); the same with rows admitted by their second touch
// only; and counted: a count for each row, halved by and by, and a row admitted when its count is
// larger than the least of some residents' (after TinyLFU, ACM TOS 2017), which is what the tiers
// do.
std::vector<NamedPolicy> cache_policies();

// The share of hits among the touches of `stream` from `warm_up` on.
double hit_rate(CachePolicy& policy, std::span<const std::uint32_t> stream, std::size_t warm_up);

// The same of Belady's optimum, which knows the future and need not admit a row.
double optimal_hit_rate(std::span<const std::uint32_t> stream, std::size_t rows,
                        std::size_t capacity, std::size_t warm_up);

}  // namespace cairn::bench

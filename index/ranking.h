#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace cairn::index {

// The places of values in ascending order: by counting in vectors while there are few, by radix
// when there are many. Holds scratch memory; one per thread.
class Ranking {
 public:
  // result[i] = the place of values[i], ties by i. No value is NaN. Valid until the next call.
  std::span<const std::uint32_t> rank(std::span<const float> values);

 private:
  struct Item {
    std::uint32_t key;
    std::uint32_t index;
  };

  std::vector<std::uint32_t> ranks_;
  std::vector<Item> items_;
  std::vector<Item> sorted_;
};

}  // namespace cairn::index

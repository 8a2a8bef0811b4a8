#include "index/ranking.h"

#include <bit>
#include <utility>

#include "quantize/kernels/kernels.h"

namespace cairn::index {
namespace {

constexpr std::size_t kMaxCounted = 256;

// An integer that sorts as the float does; both zeros are one.
std::uint32_t sortable(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value + 0.0f);
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

}  // namespace

std::span<const std::uint32_t> Ranking::rank(std::span<const float> values) {
  ranks_.resize(values.size());
  if (values.size() <= kMaxCounted) {
    kernels::active().rank_values(values.data(), values.size(), ranks_.data());
    return ranks_;
  }
  items_.resize(values.size());
  sorted_.resize(values.size());
  for (std::uint32_t i = 0; i < values.size(); ++i) items_[i] = {sortable(values[i]), i};
  for (unsigned shift = 0; shift < 32; shift += 8) {
    std::uint32_t starts[257] = {};
    for (const Item& item : items_) ++starts[(item.key >> shift & 0xFF) + 1];
    for (std::size_t i = 1; i < 257; ++i) starts[i] += starts[i - 1];
    for (const Item& item : items_) sorted_[starts[item.key >> shift & 0xFF]++] = item;
    std::swap(items_, sorted_);
  }
  for (std::uint32_t place = 0; place < items_.size(); ++place) ranks_[items_[place].index] = place;
  return ranks_;
}

}  // namespace cairn::index

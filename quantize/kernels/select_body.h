#pragma once

// Selection among values that lie side by side, without a branch per value.

#include "quantize/kernels/kernel_table.h"
#include "quantize/kernels/vector_body.h"

namespace cairn::kernels {
namespace {

constexpr std::size_t kFewValues = 64;

// The integer that sorts as the float does, and back.
inline std::int32_t ordered_bits(float value) noexcept {
  std::int32_t bits;
  __builtin_memcpy(&bits, &value, sizeof(bits));
  return bits < 0 ? bits ^ 0x7FFFFFFF : bits;
}

inline float from_ordered_bits(std::int32_t bits) noexcept {
  if (bits < 0) bits ^= 0x7FFFFFFF;
  float value;
  __builtin_memcpy(&value, &bits, sizeof(value));
  return value;
}

// The mask of lanes 0 .. count - 1; all lanes if there are more.
inline LaneMask first_lanes(std::size_t count) noexcept {
  return static_cast<LaneMask>(count < kWidth ? (1u << count) - 1 : (1u << kWidth) - 1);
}

// The values at `at`, and copies of the last one where there are none left.
inline Floats load_padded(const float* values, std::size_t at, std::size_t n) noexcept {
  if (at + kWidth <= n) return load(values + at);
  float lanes[kWidth];
  for (std::size_t i = 0; i < kWidth; ++i) lanes[i] = values[at + i < n ? at + i : n - 1];
  return load(lanes);
}

inline std::size_t count_until(const float* values, std::size_t n, float cut) noexcept {
  const Floats limit(cut);
  std::size_t count = 0;
  std::size_t i = 0;
  for (; i + kWidth <= n; i += kWidth) count += count_lanes(less_equal(load(values + i), limit));
  if (i < n) {
    const LaneMask below = less_equal(load_tail(values + i, n - i), limit);
    count += count_lanes(static_cast<LaneMask>(below & first_lanes(n - i)));
  }
  return count;
}

// The greatest value at or below `cut`; `smallest` is the smallest of all.
inline float greatest_until(const float* values, std::size_t n, float cut,
                            float smallest) noexcept {
  const Floats limit(cut);
  Floats greatest(smallest);
  for (std::size_t i = 0; i < n; i += kWidth) {
    const Floats value = load_padded(values, i, n);
    greatest = maximum(greatest, keep_until(value, limit, greatest));
  }
  return greatest_lane(greatest);
}

// The k-th smallest of at most kFewValues values: that with fewer than k smaller ones and at least
// k up to itself. No branch depends on the values but the last.
inline float kth_of_few(const float* values, std::size_t n, std::size_t k) noexcept {
  Floats known[kFewValues / kWidth];
  const std::size_t parts = (n + kWidth - 1) / kWidth;
  for (std::size_t part = 0; part < parts; ++part) {
    const std::size_t at = part * kWidth;
    known[part] = at + kWidth <= n ? load(values + at) : load_tail(values + at, n - at);
  }
  for (std::size_t i = 0;; ++i) {
    const Floats value(values[i]);
    std::size_t smaller = 0;
    std::size_t until = 0;
    for (std::size_t part = 0; part < parts; ++part) {
      const LaneMask valid = first_lanes(n - part * kWidth);
      smaller += count_lanes(static_cast<LaneMask>(less(known[part], value) & valid));
      until += count_lanes(static_cast<LaneMask>(less_equal(known[part], value) & valid));
    }
    if ((smaller < k && k <= until) || i + 1 == n) return values[i];
  }
}

float find_cut(const float* values, std::size_t n, std::size_t least, std::size_t most) noexcept {
  if (least == most && n <= kFewValues) return kth_of_few(values, n, least);
  Floats smallest = load_padded(values, 0, n);
  Floats greatest = smallest;
  for (std::size_t i = kWidth; i < n; i += kWidth) {
    const Floats next = load_padded(values, i, n);
    smallest = minimum(smallest, next);
    greatest = maximum(greatest, next);
  }
  float lanes[2][kWidth];
  smallest.store_unaligned(lanes[0]);
  greatest.store_unaligned(lanes[1]);
  float bounds[2] = {lanes[0][0], lanes[1][0]};
  for (std::size_t i = 1; i < kWidth; ++i) {
    bounds[0] = lanes[0][i] < bounds[0] ? lanes[0][i] : bounds[0];
    bounds[1] = lanes[1][i] > bounds[1] ? lanes[1][i] : bounds[1];
  }
  std::int64_t low = std::int64_t{ordered_bits(bounds[0])} - 1;
  std::int64_t high = ordered_bits(bounds[1]);
  while (high - low > 1) {
    const std::int64_t middle = low + (high - low) / 2;
    const float cut = from_ordered_bits(static_cast<std::int32_t>(middle));
    const std::size_t count = count_until(values, n, cut);
    low = count < least ? middle : low;
    high = count < least ? high : middle;
    if (count >= least && count <= most) break;
  }
  return greatest_until(values, n, from_ordered_bits(static_cast<std::int32_t>(high)), bounds[0]);
}

std::size_t take_between(const float* values, std::size_t n, float above, float limit,
                         std::uint32_t* out_index, float* out_value) noexcept {
  const Floats lowest(above);
  const Floats highest(limit);
  std::uint32_t lanes[kWidth];
  for (std::uint32_t i = 0; i < kWidth; ++i) lanes[i] = i;
  const Bits lane = load_bits(lanes, kWidth);
  std::size_t found = 0;
  for (std::size_t i = 0; i < n; i += kWidth) {
    const Floats value = i + kWidth <= n ? load(values + i) : load_tail(values + i, n - i);
    const auto pass = static_cast<LaneMask>(less(lowest, value) & less_equal(value, highest) &
                                            first_lanes(n - i));
    store(out_index + found, pack_lanes(add_to_lanes(lane, static_cast<std::uint32_t>(i)), pass));
    pack_lanes(value, pass).store_unaligned(out_value + found);
    found += count_lanes(pass);
  }
  return found;
}

void rank_values(const float* values, std::size_t n, std::uint32_t* ranks) noexcept {
  for (std::size_t i = 0; i < n; ++i) {
    const Floats value(values[i]);
    std::size_t rank = 0;
    for (std::size_t j = 0; j < n; j += kWidth) {
      const Floats other = j + kWidth <= n ? load(values + j) : load_tail(values + j, n - j);
      const LaneMask below = less(other, value);
      const auto equal = static_cast<LaneMask>(less_equal(other, value) & ~below);
      const LaneMask earlier = i > j ? first_lanes(i - j) : LaneMask{0};
      rank += count_lanes(static_cast<LaneMask>((below | (equal & earlier)) & first_lanes(n - j)));
    }
    ranks[i] = static_cast<std::uint32_t>(rank);
  }
}

}  // namespace
}  // namespace cairn::kernels

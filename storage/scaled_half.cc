#include "storage/scaled_half.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "storage/float_bits.h"

namespace cairn::storage {
namespace {

constexpr std::size_t kProbes = 8;
constexpr int kNeighbours = 8;

// Is x * divisor within the errors of one product and one division from a number of 11 bits?
bool is_nearly_half(float x, float divisor) {
  const float product = x * divisor;
  const float shifted = product * 8193.0f;  // 2^13 + 1: Veltkamp's splitting
  const float rounded = shifted - (shifted - product);
  return std::abs(product - rounded) <= std::abs(product) * 0x1p-21f;
}

bool fits(const float* row, std::size_t dim, float divisor, std::uint16_t* halves) {
  for (std::size_t i = 0; i < dim; ++i) {
    halves[i] = to_half(row[i] * divisor);
    if (!are_same(from_half(halves[i]) / divisor, row[i])) return false;
  }
  return true;
}

}  // namespace

// The largest value came from one of 1,024 mantissas, and a power of two more or less changes
// nothing: it is taken to be in [2^15, 2^16), which leaves small values the most bits. Each
// mantissa names a divisor to within a few units in the last place; a few large values refuse
// nearly all.
bool find_scaled_half(const float* row, std::size_t dim, std::uint16_t* halves, float& divisor) {
  float largest = 0;
  for (std::size_t i = 0; i < dim; ++i) {
    if (!std::isfinite(row[i])) return false;
    largest = std::max(largest, std::abs(row[i]));
  }
  divisor = 1;
  if (largest == 0) return fits(row, dim, divisor, halves);

  std::array<float, kProbes> probes{};
  std::size_t num_probes = 0;
  for (std::size_t i = 0; i < dim && num_probes < kProbes; ++i) {
    const float magnitude = std::abs(row[i]);
    if (magnitude > largest * 0x1p-10f && magnitude < largest) probes[num_probes++] = magnitude;
  }
  for (int mantissa = 1024; mantissa < 2048; ++mantissa) {
    const float about = static_cast<float>(mantissa) * 32.0f / largest;
    if (!std::isfinite(about)) return false;
    const auto passes = [about](float probe) { return is_nearly_half(probe, about); };
    if (!std::all_of(probes.begin(), probes.begin() + num_probes, passes)) continue;
    float below = about;
    float above = about;
    for (int step = 0; step <= kNeighbours; ++step) {
      for (const float candidate : {below, above}) {
        if (fits(row, dim, candidate, halves)) {
          divisor = candidate;
          return true;
        }
      }
      below = std::nextafter(below, 0.0f);
      above = std::nextafter(above, INFINITY);
    }
  }
  return false;
}

}  // namespace cairn::storage

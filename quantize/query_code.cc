#include "quantize/query_code.h"

#include <cmath>

#include "quantize/kernels/kernels.h"
#include "quantize/list_code.h"

namespace cairn::quantize {
namespace {

// In eight interleaved parts, which compilers turn into vectors; n is a multiple of 64.
double sum_of(const float* values, std::size_t n) {
  double parts[8] = {};
  for (std::size_t i = 0; i < n; i += 8) {
    for (std::size_t j = 0; j < 8; ++j) parts[j] += static_cast<double>(values[i + j]);
  }
  return ((parts[0] + parts[1]) + (parts[2] + parts[3])) +
         ((parts[4] + parts[5]) + (parts[6] + parts[7]));
}

// Of the integers 128 * high + low.
std::int64_t sum_of_levels(const std::int8_t* high, const std::int8_t* low, std::size_t n) {
  std::int64_t total = 0;
  for (std::size_t begin = 0; begin < n; begin += 64) {
    std::int32_t sum_high = 0;
    std::int32_t sum_low = 0;
    for (std::size_t i = begin; i < begin + 64; ++i) {
      sum_high += high[i];
      sum_low += low[i];
    }
    total += std::int64_t{128} * sum_high + sum_low;
  }
  return total;
}

}  // namespace

void QueryCode::prepare(const Frame& frame, const float* query, unsigned refine_code_bits) {
  const kernels::Kernels& k = kernels::active();
  const std::size_t padded_dim = frame.padded_dim();
  const auto dims = static_cast<float>(padded_dim);
  rotated.reserve_discarding(padded_dim);
  table.reserve_discarding(padded_dim * 4);
  distance_map = frame.rotate_query(query, rotated.data());
  k.dot_rows(rotated.data(), rotated.data(), padded_dim, nullptr, 1, padded_dim, &squared_norm);
  errors.norm = std::sqrt(squared_norm);
  widening = frame.widening(errors.norm);

  const kernels::TableScale scale = k.build_table(rotated.data(), padded_dim, table.data());
  table_step = scale.step;
  scan_offset =
      static_cast<float>(static_cast<double>(scale.low) - 0.5 * sum_of(rotated.data(), padded_dim));
  // One rounding per group of four dimensions, even over a step: its variance is step^2 / 12.
  errors.scan_variance = table_step * table_step * dims / 48;
  errors.scan_reach = table_step * dims / 8;
  // Without a table x is 0, and <u, q> at most |u| |q| with |u| = sqrt(D) / 2.
  if (table_step == 0) {
    scan_offset = 0;
    errors.scan_reach = errors.norm * std::sqrt(dims) / 2;
    errors.scan_variance = errors.scan_reach * errors.scan_reach;
  }

  if (refine_code_bits == 0) return;
  high.reserve_discarding(padded_dim);
  low.reserve_discarding(padded_dim);
  refine_step = k.quantize_query(rotated.data(), padded_dim, high.data(), low.data());
  // x_u q = u q + (2^B - 1) / 2 q: with the sum of the integers, not of q itself, the second part
  // is exact, and only u meets their rounding.
  const double levels = static_cast<double>((1u << refine_code_bits) - 1);
  const auto sum = static_cast<double>(sum_of_levels(high.data(), low.data(), padded_dim));
  refine_offset = static_cast<float>(-0.5 * levels * sum * static_cast<double>(refine_step));
  const float step = refine_step != 0 ? refine_step : 2 * errors.norm;
  const float code_norm = std::sqrt(dims) / gaussian_step(refine_code_bits);
  errors.refine_variance = step * step / 12 * code_norm * code_norm;
  errors.refine_reach = step / 2 * dims * static_cast<float>(1u << (refine_code_bits - 1));
}

}  // namespace cairn::quantize

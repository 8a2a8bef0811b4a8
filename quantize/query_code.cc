#include "quantize/query_code.h"

#include <cmath>

#include "quantize/kernels/kernels.h"
#include "quantize/list_code.h"

namespace cairn::quantize {
namespace {

// In eight interleaved parts, which compilers turn into vectors; n is a multiple of 64, after which
// floats are taken over to doubles.
double sum_of(const float* values, std::size_t n) {
  double total = 0;
  for (std::size_t begin = 0; begin < n; begin += 64) {
    float parts[8] = {};
    for (std::size_t i = begin; i < begin + 64; i += 8) {
      for (std::size_t j = 0; j < 8; ++j) parts[j] += values[i + j];
    }
    total += static_cast<double>(((parts[0] + parts[1]) + (parts[2] + parts[3])) +
                                 ((parts[4] + parts[5]) + (parts[6] + parts[7])));
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

  const double sum = sum_of(rotated.data(), padded_dim);
  const kernels::TableScale scale = k.build_table(rotated.data(), padded_dim, table.data());
  table_step = scale.step;
  scan_offset = static_cast<float>(static_cast<double>(scale.low) - 0.5 * sum);
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
  const auto levels = static_cast<float>((1u << refine_code_bits) - 1);
  refine_offset = static_cast<float>(-0.5 * static_cast<double>(levels) * sum);
  // Each dimension's rounding, even over a step, meets the unsigned x = u + levels / 2.
  const float step = refine_step != 0 ? refine_step : 2 * errors.norm;
  const float optimal = gaussian_step(refine_code_bits);
  errors.refine_variance =
      step * step / 12 * dims * (1 / (optimal * optimal) + levels * levels / 4);
  errors.refine_reach = step / 2 * dims * levels;
}

}  // namespace cairn::quantize

#include "quantize/query_code.h"

#include "quantize/kernels/kernels.h"

namespace cairn::quantize {
namespace {

// In eight interleaved parts, which compilers turn into vectors; n is a multiple of 64.
float sum_of(const float* values, std::size_t n) {
  float parts[8] = {};
  for (std::size_t i = 0; i < n; i += 8) {
    for (std::size_t j = 0; j < 8; ++j) parts[j] += values[i + j];
  }
  return ((parts[0] + parts[1]) + (parts[2] + parts[3])) +
         ((parts[4] + parts[5]) + (parts[6] + parts[7]));
}

}  // namespace

void QueryCode::prepare(const Frame& frame, const float* query, unsigned refine_code_bits) {
  const kernels::Kernels& k = kernels::active();
  const std::size_t padded_dim = frame.padded_dim();
  rotated.reserve_discarding(padded_dim);
  table.reserve_discarding(padded_dim * 4);
  distance_map = frame.rotate_query(query, rotated.data());
  k.dot_rows(rotated.data(), rotated.data(), padded_dim, nullptr, 1, padded_dim, &squared_norm);

  const float sum = sum_of(rotated.data(), padded_dim);
  const kernels::TableScale scale = k.build_table(rotated.data(), padded_dim, table.data());
  table_step = scale.step;
  scan_offset = scale.low - 0.5f * sum;
  // One rounding per group of four dimensions, even over a step: its variance is step^2 / 12.
  table_variance = table_step * table_step * static_cast<float>(padded_dim) / 48;

  if (refine_code_bits == 0) return;
  high.reserve_discarding(padded_dim);
  low.reserve_discarding(padded_dim);
  refine_step = k.quantize_query(rotated.data(), padded_dim, high.data(), low.data());
  refine_offset = -0.5f * static_cast<float>((1u << refine_code_bits) - 1) * sum;
}

}  // namespace cairn::quantize

#pragma once

// The table of a wide instruction set, for the per-ISA files: see README.md here.

#include "quantize/kernels/encode_body.h"
#include "quantize/kernels/float_body.h"
#include "quantize/kernels/gemm_body.h"
#include "quantize/kernels/kernel_table.h"
#include "quantize/kernels/query_body.h"
#include "quantize/kernels/refine_body.h"
#include "quantize/kernels/rotate_body.h"
#include "quantize/kernels/scan_body.h"
#include "quantize/kernels/select_body.h"
#include "quantize/kernels/sum_body.h"

namespace cairn::kernels {
namespace {

constexpr Kernels make_table(const char* isa) {
  return {
      .isa = isa,
      .l2sq_rows = &l2sq_rows,
      .dot_rows = &dot_rows,
      .dot_norm_rows = &dot_norm_rows,
      .l2sq_block = &l2sq_block,
      .dot_block = &dot_block,
      .l2sq_half_rows = &l2sq_half_rows,
      .decode_half = &decode_half,
      .encode_half = &encode_half,
      .flip_signs = &flip_signs,
      .hadamard = &hadamard,
      .kac_step = &kac_step,
      .build_table = &build_table,
      .quantize_query = &quantize_query,
      .scan_sums = &scan_sums,
      .scan_blocks = &scan_blocks,
      .scan_blocks_many = &scan_blocks_many,
      .refine_rows = &refine_rows,
      .find_cut = &find_cut,
      .take_between = &take_between,
      .rank_values = &rank_values,
      .encode_signs = &encode_signs,
      .encode_levels = &encode_levels,
      .gemm_nt = &gemm_nt,
      .argmin_rows = &argmin_rows,
      .add_rows = &add_rows,
  };
}

}  // namespace
}  // namespace cairn::kernels

#include "index/list_encoder.h"

#include <cmath>
#include <cstring>

namespace cairn::index {

ListEncoder::ListEncoder(std::size_t padded_dim, unsigned refine_code_bits)
    : padded_dim_(padded_dim),
      refine_code_bits_(refine_code_bits),
      residual_(padded_dim),
      bits_(padded_dim / 8),
      values_(padded_dim) {}

void ListEncoder::begin(const float* centre, std::uint8_t* blocks, std::uint8_t* refine_rows) {
  centre_ = centre;
  blocks_ = blocks;
  refine_rows_ = refine_rows;
  count_ = 0;
  scan_variance_ = 0;
  refine_variance_ = 0;
}

void ListEncoder::add(const float* child) {
  for (std::size_t i = 0; i < padded_dim_; ++i) residual_[i] = child[i] - centre_[i];
  const quantize::CodeFactors binary =
      quantize::encode_binary(residual_.data(), centre_, padded_dim_, bits_.data());
  std::uint8_t* block = blocks_ + count_ / kernels::kBlockSize * kernels::block_bytes(padded_dim_);
  quantize::put_into_block(bits_.data(), binary, padded_dim_, count_ % kernels::kBlockSize, block);
  scan_variance_ += static_cast<double>(binary.sigma) * static_cast<double>(binary.sigma);

  if (refine_rows_ != nullptr) {
    std::uint8_t* row =
        refine_rows_ + count_ * quantize::refine_row_bytes(padded_dim_, refine_code_bits_);
    const quantize::CodeFactors refine =
        quantize::encode_refine(residual_.data(), centre_, padded_dim_, refine_code_bits_,
                                values_.data(), row + kernels::kRefineFactorBytes);
    std::memcpy(row, &refine.add, sizeof(float));
    std::memcpy(row + sizeof(float), &refine.scale, sizeof(float));
    refine_variance_ += static_cast<double>(refine.sigma) * static_cast<double>(refine.sigma);
  }
  ++count_;
}

float ListEncoder::scan_sigma() const {
  return count_ == 0 ? 0
                     : static_cast<float>(std::sqrt(scan_variance_ / static_cast<double>(count_)));
}

float ListEncoder::refine_sigma() const {
  return count_ == 0
             ? 0
             : static_cast<float>(std::sqrt(refine_variance_ / static_cast<double>(count_)));
}

}  // namespace cairn::index

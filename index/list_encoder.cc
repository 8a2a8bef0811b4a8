#include "index/list_encoder.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/parallel.h"
#include "quantize/kernels/kernels.h"

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
  refine_limit_ = 0;
  squares_ = 0;
  largest_square_ = 0;
}

void ListEncoder::add(const float* child) {
  for (std::size_t i = 0; i < padded_dim_; ++i) residual_[i] = child[i] - centre_[i];
  const quantize::CodeFactors binary =
      quantize::encode_binary(residual_.data(), centre_, padded_dim_, bits_.data());
  std::uint8_t* block = blocks_ + count_ / kernels::kBlockSize * kernels::block_bytes(padded_dim_);
  quantize::put_into_block(bits_.data(), binary, padded_dim_, count_ % kernels::kBlockSize, block);
  scan_variance_ += static_cast<double>(binary.sigma) * static_cast<double>(binary.sigma);

  squares_ += static_cast<double>(binary.squared_norm);
  largest_square_ = std::max(largest_square_, static_cast<double>(binary.squared_norm));

  if (refine_rows_ != nullptr) {
    std::uint8_t* row =
        refine_rows_ + count_ * quantize::refine_row_bytes(padded_dim_, refine_code_bits_);
    const quantize::CodeFactors refine =
        quantize::encode_refine(residual_.data(), centre_, padded_dim_, refine_code_bits_,
                                values_.data(), row + kernels::kRefineFactorBytes);
    std::memcpy(row, &refine.add, sizeof(float));
    std::memcpy(row + sizeof(float), &refine.scale, sizeof(float));
    refine_variance_ += static_cast<double>(refine.sigma) * static_cast<double>(refine.sigma);
    refine_limit_ = std::max(refine_limit_, refine.limit);
  }
  ++count_;
}

float ListEncoder::scan_sigma() const { return error_scale(scan_variance_); }

float ListEncoder::refine_sigma() const { return error_scale(refine_variance_); }

// A row far from all others draws the centre away from these by its distance over their number.
// Once that is a good part of their residuals, these point the same way, have like codes, and codes
// err alike: the odds of one row are those of all. Then errors must be out of reach.
float ListEncoder::error_scale(double variance) const {
  constexpr double kSharedPart = 0.05;  // of the squares of the residuals
  constexpr double kOutOfReach = 4;
  if (count_ == 0) return 0;
  const auto count = static_cast<double>(count_);
  const double others = (squares_ - largest_square_) / count;
  const bool is_shared = count_ > 2 && largest_square_ > kSharedPart * count * count * others;
  return static_cast<float>((is_shared ? kOutOfReach : 1) * std::sqrt(variance / count));
}

quantize::Frame frame_of(const OwnedIndexData& data) {
  return {static_cast<Metric>(data.parameters.metric),
          data.parameters.dim,
          {data.parameters.max_norm, data.frame_scale.empty() ? 1.0f : data.frame_scale[0]},
          data.mean,
          data.rotation_signs};
}

std::size_t refine_row_bytes(const OwnedIndexData& data) {
  const unsigned bits = data.parameters.refine_bits;
  return bits == 0 ? 0 : quantize::refine_row_bytes(data.parameters.padded_dim, bits + 1);
}

void encode_lists(OwnedIndexData& data, ListRange range, const RowAt& row_at, CodeTarget target,
                  unsigned threads, Progress& progress) {
  if (range.begin == range.end) return;
  const quantize::Frame frame = frame_of(data);
  const IndexData view = data.view();  // of centroids
  const std::size_t padded_dim = frame.padded_dim();
  const std::size_t refine_row = refine_row_bytes(data);
  const std::uint64_t first_block = data.lists[range.begin].first_block;
  const auto lists = data.lists.begin();
  const auto first_leaf = std::find_if(lists + static_cast<std::ptrdiff_t>(range.begin),
                                       lists + static_cast<std::ptrdiff_t>(range.end),
                                       [](const ListEntry& list) { return list.level == 0; });
  const std::uint64_t first_row = first_leaf == data.lists.end() ? 0 : first_leaf->first_child;
  const auto encode = [&](std::size_t begin, std::size_t end, unsigned) {
    ListEncoder encoder(padded_dim, refine_row == 0 ? 0 : data.parameters.refine_bits + 1);
    std::vector<float> centre(padded_dim);
    std::vector<float> lifted(frame.lifted_dim());
    std::vector<float> child(padded_dim);
    std::vector<float> scratch(padded_dim);
    for (std::size_t i = range.begin + begin; i < range.begin + end; ++i) {
      ListEntry& list = data.lists[i];
      const bool is_leaf = list.level == 0;
      view.decode_centre(i, centre.data(), scratch.data());
      encoder.begin(
          centre.data(),
          target.blocks + (list.first_block - first_block) * kernels::block_bytes(padded_dim),
          is_leaf && refine_row != 0
              ? target.refine_codes + (list.first_child - first_row) * refine_row
              : nullptr);
      for (std::size_t c = list.first_child; c < list.first_child + list.num_children; ++c) {
        if (is_leaf) {
          frame.lift(row_at(c), lifted.data());
          frame.rotate(lifted.data(), child.data());
        } else {
          view.decode_centre(c, child.data(), scratch.data());
        }
        encoder.add(child.data());
      }
      list.scan_sigma = encoder.scan_sigma();
      list.refine_sigma = encoder.refine_sigma();
      list.refine_limit = encoder.refine_limit();
      progress.advance(is_leaf ? list.num_children : 0);
    }
  };
  base::parallel_chunks(range.end - range.begin, 4, threads, encode);
}

}  // namespace cairn::index

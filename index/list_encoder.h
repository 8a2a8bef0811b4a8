#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "index/index_data.h"
#include "index/progress.h"
#include "quantize/list_code.h"

namespace cairn::index {

// Encodes the children of one coded list: rotated vectors, one after another, into the list's
// blocks and refine rows. One per thread; reused from list to list.
class ListEncoder {
 public:
  // `refine_code_bits` 0: no refine codes.
  ListEncoder(std::size_t padded_dim, unsigned refine_code_bits);

  // Starts a list with centre [padded_dim], borrowed until the next begin(), whose children go to
  // zero-initialised `blocks` and to `refine_rows` (null without refine codes).
  void begin(const float* centre, std::uint8_t* blocks, std::uint8_t* refine_rows);
  // The next child [padded_dim], in the rotated frame.
  void add(const float* child);

  // Root mean square of the children's error scales, and more where errors are shared; 0 for an
  // empty list.
  float scan_sigma() const;
  float refine_sigma() const;
  // The largest error scale of any child's refine code.
  float refine_limit() const { return refine_limit_; }

 private:
  float error_scale(double variance) const;

  std::size_t padded_dim_;
  unsigned refine_code_bits_;
  const float* centre_ = nullptr;
  std::uint8_t* blocks_ = nullptr;
  std::uint8_t* refine_rows_ = nullptr;
  std::size_t count_ = 0;
  double scan_variance_ = 0;
  double refine_variance_ = 0;
  float refine_limit_ = 0;
  double squares_ = 0;  // of residuals
  double largest_square_ = 0;
  std::vector<float> residual_;
  std::vector<std::uint8_t> bits_;
  std::vector<std::uint16_t> values_;
};

// Lists [begin, end) of a plan.
struct ListRange {
  std::size_t begin = 0;
  std::size_t end = 0;
};

// Where the codes of a range go: the first block of its first list, and the refine row of its first
// row. Zero-initialised.
struct CodeTarget {
  std::uint8_t* blocks = nullptr;
  std::uint8_t* refine_codes = nullptr;
};

// The caller's vector [dim] that is `row` in leaf order.
using RowAt = std::function<const float*(std::size_t row)>;

quantize::Frame frame_of(const OwnedIndexData& data);
// 0 without refine codes.
std::size_t refine_row_bytes(const OwnedIndexData& data);

// Codes of the children of some lists of `data`, whose lists and centroids are set; sets the lists'
// error scales. Advances `progress` by rows.
void encode_lists(OwnedIndexData& data, ListRange range, const RowAt& row_at, CodeTarget target,
                  unsigned threads, Progress& progress);

}  // namespace cairn::index

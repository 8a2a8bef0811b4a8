#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

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

  // Root mean square of the children's error scales; 0 for an empty list.
  float scan_sigma() const;
  float refine_sigma() const;

 private:
  std::size_t padded_dim_;
  unsigned refine_code_bits_;
  const float* centre_ = nullptr;
  std::uint8_t* blocks_ = nullptr;
  std::uint8_t* refine_rows_ = nullptr;
  std::size_t count_ = 0;
  double scan_variance_ = 0;
  double refine_variance_ = 0;
  std::vector<float> residual_;
  std::vector<std::uint8_t> bits_;
  std::vector<std::uint16_t> values_;
};

}  // namespace cairn::index

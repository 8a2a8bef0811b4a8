#pragma once

#include <cstddef>
#include <mutex>
#include <span>
#include <vector>

#include "cairn/types.h"
#include "cairn/vector_source.h"

#include "index/point_source.h"
#include "quantize/frame.h"

namespace cairn::index {

// Rows of a source that are handled at once: by dimension alone, so that no result depends on where
// rows come from.
std::size_t rows_per_block(std::size_t dim);

// Calls use(first, rows) for one block of rows of `source` after the other. The view is valid
// during the call: of the source's own matrix if it has one, else of a copy.
template <typename Use>
void for_each_block(VectorSource& source, Use&& use) {
  const std::size_t dim = source.dim();
  const std::size_t rows = source.rows();
  const std::size_t block = rows_per_block(dim);
  const float* const matrix = source.contiguous();
  std::vector<float> copy(matrix != nullptr ? 0 : std::min(block, rows) * dim);
  for (std::size_t first = 0; first < rows; first += block) {
    const std::size_t count = std::min(block, rows - first);
    if (matrix == nullptr) source.read(first, count, copy.data());
    use(first, MatrixView{matrix != nullptr ? matrix + first * dim : copy.data(), count, dim});
  }
}

// The rows of a source, lifted and centred, as points. The source and the frame are borrowed.
class LiftedRows final : public PointSource {
 public:
  LiftedRows(VectorSource& source, const quantize::Frame& frame) : source_(source), frame_(frame) {}

  std::size_t rows() const noexcept override { return source_.rows(); }
  std::size_t dim() const noexcept override { return frame_.lifted_dim(); }
  void read(std::size_t first, std::size_t count, unsigned threads, float* out) const override;
  // Rows that lie near one another are read in one go, with what is between them.
  void load(std::span<const std::uint32_t> rows, float* out) const override;

 private:
  VectorSource& source_;
  const quantize::Frame& frame_;
  mutable std::vector<float> block_;  // of read()
  mutable std::mutex mutex_;          // one thread at a time reads from the source
};

}  // namespace cairn::index

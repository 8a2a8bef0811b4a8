#include "cairn/vector_source.h"

#include <algorithm>

namespace cairn {

std::size_t MatrixVectorSource::rows() const noexcept { return vectors_.rows; }
std::size_t MatrixVectorSource::dim() const noexcept { return vectors_.dim; }
const float* MatrixVectorSource::contiguous() const noexcept { return vectors_.data; }

void MatrixVectorSource::read(std::size_t first, std::size_t count, float* out) {
  std::copy_n(vectors_.row(first), count * vectors_.dim, out);
}

}  // namespace cairn

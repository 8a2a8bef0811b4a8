#include <algorithm>

#include "cairn/vector_store.h"

#include "base/aligned_buffer.h"
#include "storage/vector_shape.h"

namespace cairn {

struct MemoryVectorStore::Impl {
  Impl(std::size_t num_rows, std::size_t num_dim)
      : rows(num_rows), dim(num_dim), values(num_rows * num_dim) {}

  MatrixView view() const { return {values.data(), rows, dim}; }

  std::size_t rows;
  std::size_t dim;
  base::AlignedArray<float> values;
};

MemoryVectorStore::MemoryVectorStore(MatrixView vectors) {
  storage::check_view(vectors);
  impl_ = std::make_unique<Impl>(vectors.rows, vectors.dim);
  std::copy_n(vectors.data, vectors.rows * vectors.dim, impl_->values.data());
}

MemoryVectorStore::MemoryVectorStore(std::size_t rows, std::size_t dim,
                                     const RowProducer& producer) {
  storage::check_shape(rows, dim);
  impl_ = std::make_unique<Impl>(rows, dim);
  const std::size_t chunk = storage::rows_per_chunk(dim);
  for (std::size_t first = 0; first < rows; first += chunk) {
    producer(first, std::min(chunk, rows - first), impl_->values.data() + first * dim);
  }
}

MemoryVectorStore::~MemoryVectorStore() = default;

std::size_t MemoryVectorStore::rows() const noexcept { return impl_->rows; }
std::size_t MemoryVectorStore::dim() const noexcept { return impl_->dim; }
const float* MemoryVectorStore::contiguous() const noexcept { return impl_->values.data(); }

// There is nothing to fetch: the search reads contiguous() and hides the latency of RAM itself.
void MemoryVectorStore::prefetch(std::span<const std::uint32_t>) const noexcept {}

void MemoryVectorStore::read(std::span<const std::uint32_t> rows, float* out) const {
  storage::copy_rows(impl_->view(), rows, out);
}

StoreStats MemoryVectorStore::stats() const {
  return {.kind = StorageKind::memory, .ram_bytes = impl_->values.size() * sizeof(float)};
}

std::span<const float> MemoryVectorStore::get(std::size_t row) const {
  storage::check_row(row, impl_->rows);
  return {impl_->view().row(row), impl_->dim};
}

}  // namespace cairn

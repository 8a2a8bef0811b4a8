#pragma once

#include <algorithm>
#include <span>

#include "cairn/types.h"
#include "cairn/vector_store.h"

#include "index/progress.h"

namespace cairn::index {

// A matrix of rows as a store whose reads throw Error(cancelled) once the caller of a build wants
// it to stop: searches that calibrate end with it. Everything is borrowed.
class CancellableStore final : public VectorStore {
 public:
  CancellableStore(MatrixView rows, Progress& progress) : rows_(rows), progress_(progress) {}

  std::size_t rows() const noexcept override { return rows_.rows; }
  std::size_t dim() const noexcept override { return rows_.dim; }
  void read(std::span<const std::uint32_t> rows, float* out) const override {
    progress_.advance(0);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      std::copy_n(rows_.row(rows[i]), rows_.dim, out + i * rows_.dim);
    }
  }
  StoreStats stats() const override { return {}; }

 private:
  MatrixView rows_;
  Progress& progress_;
};

}  // namespace cairn::index

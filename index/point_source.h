#pragma once

// Part of index/: the tree of coded lists, how it is built, searched, saved and opened. Begin with
// index_data.h (what an index is), then searcher.h (the path of a query) and tree_builder.h (the
// path of a build).

#include <cstddef>
#include <cstdint>
#include <span>

namespace cairn::index {

// Points to be clustered, handed out by row number in batches.
class PointSource {
 public:
  virtual ~PointSource() = default;
  virtual std::size_t rows() const noexcept = 0;
  virtual std::size_t dim() const noexcept = 0;
  // Writes the points first, first + 1, ... to `out` [count, dim], on up to `threads` threads.
  virtual void read(std::size_t first, std::size_t count, unsigned threads, float* out) const = 0;
  // Writes the points of `rows` to `out` [rows.size(), dim]. Calls may run concurrently.
  virtual void load(std::span<const std::uint32_t> rows, float* out) const = 0;

 protected:
  PointSource() = default;
  PointSource(const PointSource&) = default;
  PointSource& operator=(const PointSource&) = default;
};

}  // namespace cairn::index

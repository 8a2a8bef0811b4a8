#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>

#include "cairn/export.h"
#include "cairn/types.h"

namespace cairn {

/// Rows that a build pulls a block at a time, so that they need not fit into memory.
///
/// A build reads through all rows, in ascending order, some eight times, and between these passes a
/// sample of them. It calls from one thread at a time. Every read of a row must give the same bits.
class CAIRN_EXPORT VectorSource {
 public:
  virtual ~VectorSource() = default;

  virtual std::size_t rows() const noexcept = 0;
  virtual std::size_t dim() const noexcept = 0;

  /// All rows as one dense row-major [rows, dim] matrix, if they are in memory anyway; nullptr (the
  /// default) otherwise.
  virtual const float* contiguous() const noexcept { return nullptr; }

  /// Copies rows [first, first + count) to `out` [count, dim]; both are within rows().
  /// @throws anything: it ends the build, which leaves nothing behind.
  virtual void read(std::size_t first, std::size_t count, float* out) = 0;

  /// Does `path`, by whatever links, name a file that the rows come from? A build refuses to
  /// replace it. No, by default.
  virtual bool reads_from(const std::filesystem::path& path) const {
    static_cast<void>(path);
    return false;
  }

 protected:
  VectorSource() = default;
  VectorSource(const VectorSource&) = default;
  VectorSource& operator=(const VectorSource&) = default;
};

/// The rows of a vector file (.fbin .u8bin .fvecs .bvecs .npy ...), converted as read_vectors()
/// does. The file must not change meanwhile. One thread.
class CAIRN_EXPORT FileVectorSource final : public VectorSource {
 public:
  /// @throws Error not_found, io, corrupt (size and header disagree: expected and found),
  ///   invalid_argument (unknown extension).
  explicit FileVectorSource(const std::filesystem::path& path);
  ~FileVectorSource() override;

  std::size_t rows() const noexcept override;
  std::size_t dim() const noexcept override;
  /// @throws Error io (unreadable, or shorter than it was), invalid_argument (a value that float32
  ///   cannot hold), corrupt (.fvecs: a row of another dimension).
  void read(std::size_t first, std::size_t count, float* out) override;
  bool reads_from(const std::filesystem::path& path) const override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The rows of a matrix in memory, borrowed for the life of the source.
class CAIRN_EXPORT MatrixVectorSource final : public VectorSource {
 public:
  explicit MatrixVectorSource(MatrixView vectors) : vectors_(vectors) {}

  std::size_t rows() const noexcept override;
  std::size_t dim() const noexcept override;
  const float* contiguous() const noexcept override;
  void read(std::size_t first, std::size_t count, float* out) override;

 private:
  MatrixView vectors_;
};

}  // namespace cairn

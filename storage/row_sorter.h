#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "storage/file.h"

namespace cairn::storage {

// External sort of fixed-size rows whose places are known: rows go in in any order, each into the
// bucket that its place lies in, and a bucket at a time comes out in order of place. Buckets live
// in a temporary file without a name; memory holds one write buffer for each and, while a bucket is
// read, the caller's room for it. Errors are Error(io) (disk full, ...). One thread.
class RowSorter {
 public:
  // Bucket b takes the places from ends[b - 1] (0) to ends[b]. The file lies in `directory` and
  // takes 4 bytes a row beyond the rows themselves, reserved now. `buffer_bytes`: all write
  // buffers.
  RowSorter(const std::filesystem::path& directory, std::size_t row_bytes,
            std::vector<std::uint32_t> ends, std::size_t buffer_bytes);

  // Every place must be put exactly once.
  void put(std::uint32_t place, std::span<const std::byte> row);

  std::size_t buckets() const noexcept { return ends_.size(); }
  std::uint32_t begin(std::size_t bucket) const noexcept {
    return bucket == 0 ? 0 : ends_[bucket - 1];
  }
  std::uint32_t end(std::size_t bucket) const noexcept { return ends_[bucket]; }

  // The rows of a bucket in order of place: [end - begin, row_bytes]. Call once all rows are put.
  void read_bucket(std::size_t bucket, std::byte* rows);

 private:
  struct Bucket {
    std::uint64_t written = 0;  // bytes in the file
    std::vector<std::byte> buffer;
  };

  void flush(std::size_t bucket);

  std::size_t row_bytes_;
  std::size_t record_bytes_;  // the place and the row
  std::size_t buffer_capacity_;
  std::vector<std::uint32_t> ends_;
  std::vector<Bucket> open_;
  File file_;
};

}  // namespace cairn::storage

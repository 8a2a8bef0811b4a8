#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <cairn/clustered_index.h>

namespace cold {

// The rows of an index as plain float32 in a file, mapped and open for reading, whose pages can be
// dropped from memory. One thread.
class RowFile {
 public:
  // Writes the rows of `index`, one each `stride` bytes or, if `packs_pages`, as many to a page as
  // fit whole.
  RowFile(std::filesystem::path path, const cairn::ClusteredIndex& index, bool packs_pages);
  RowFile(const RowFile&) = delete;
  RowFile& operator=(const RowFile&) = delete;
  ~RowFile();

  std::size_t rows() const noexcept { return rows_; }
  std::size_t dim() const noexcept { return dim_; }
  std::size_t row_bytes() const noexcept { return dim_ * sizeof(float); }
  std::uint64_t offset_of(std::uint32_t row) const noexcept;
  std::uint64_t bytes() const noexcept { return bytes_; }
  std::byte* mapped() const noexcept { return mapped_; }
  int descriptor() const noexcept { return descriptor_; }
  // Opened with O_DIRECT; -1 where the file system refuses.
  int direct_descriptor() const noexcept { return direct_descriptor_; }

  // False if the system keeps the pages (tmpfs).
  bool drop_pages() const;

 private:
  std::filesystem::path path_;
  std::size_t rows_;
  std::size_t dim_;
  std::size_t rows_per_page_ = 0;  // 0: rows follow each other
  std::uint64_t bytes_ = 0;
  int descriptor_ = -1;
  int direct_descriptor_ = -1;
  std::byte* mapped_ = nullptr;
};

// A way of getting rows that are not in memory.
struct Method {
  std::string name;
  std::unique_ptr<cairn::VectorStore> store;
  const RowFile* file;  // whose pages are to be dropped
};

// All that this machine offers. The files must outlive them.
std::vector<Method> all_methods(const RowFile& dense, const RowFile& packed);

}  // namespace cold

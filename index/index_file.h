#pragma once

#include <filesystem>
#include <functional>
#include <span>

#include "cairn/options.h"
#include "cairn/vector_store.h"

#include "index/index_data.h"
#include "storage/container.h"

namespace cairn::index {

// Writes an index file whose codes and vectors come in pieces, in leaf order, and whose other
// sections come last. Until the container is committed, the path is as it was before. Throws
// Error(io).
class IndexFileWriter {
 public:
  // Creates the file, so that a path that cannot be written is noticed at once.
  IndexFileWriter(const std::filesystem::path& path, const IndexParameters& parameters);

  // Sizes of all sections, from `data`; its blocks, refine codes and calibration are not looked at.
  // Reserves the disk space.
  // Vectors that are encoded are left to the container.
  void declare(const IndexData& data, std::size_t calibration_entries, std::size_t stop_entries,
               bool has_vectors = true);

  void append_blocks(std::span<const std::uint8_t> blocks);
  void append_refine_codes(std::span<const std::uint8_t> rows);
  void append_vectors(std::span<const float> rows);

  // What was appended, once all of it was, mapped from the file. Valid as long as the writer.
  struct MappedRows {
    std::span<const std::uint8_t> blocks;
    std::span<const std::uint8_t> refine_codes;
    std::span<const float> vectors;
  };
  MappedRows map();

  // Writes the rest of what was declared.
  void write_tables(const IndexData& data);

  storage::ContainerWriter& container() noexcept { return writer_; }

 private:
  storage::ContainerWriter writer_;
  std::size_t parameters_ = 0;
  std::size_t rotation_ = 0;
  std::size_t mean_ = 0;
  std::size_t lists_ = 0;
  std::size_t centroid_scales_ = 0;
  std::size_t calibration_ = 0;
  std::size_t stops_ = 0;
  std::size_t profile_ = 0;
  std::size_t centroid_lows_ = 0;
  std::size_t frame_scale_ = 0;
  std::size_t blocks_ = 0;
  std::size_t centroids_ = 0;
  std::size_t refine_codes_ = 0;  // 0: there are none
  std::size_t ids_ = 0;
  std::size_t id_order_ = 0;
  std::size_t vectors_ = 0;
};

// Appends the sections of payloads, the last ones; empty: there are none.
using PayloadWriter = std::function<void(storage::ContainerWriter&)>;

// Writes all sections and the rows of `store` to one container. Throws Error: io,
// invalid_argument (options).
void save_index(const std::filesystem::path& path, const IndexData& data, const VectorStore& store,
                const SaveOptions& options, const PayloadWriter& write_payloads);

// The sections of a mapped container, checked so that no search can leave them: sizes against
// parameters, every list's children, blocks and levels, finite scales. What only changes results
// (code bytes, ids) is left to ContainerReader::verify. Throws Error(corrupt) naming the section,
// expected and found. O(lists). The spans live as long as the reader.
IndexData load_index(const storage::ContainerReader& reader);

// Is it one of those that load_index() hands to searches? Vectors and checksums are not.
bool is_searched(const storage::SectionInfo& section) noexcept;

}  // namespace cairn::index

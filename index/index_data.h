#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "cairn/types.h"

#include "base/aligned_buffer.h"
#include "base/prefetch.h"
#include "quantize/frame.h"
#include "quantize/list_code.h"

namespace cairn::index {

// The structures below lie in files as they lie in memory (docs/format.md, "Index sections").
static_assert(std::endian::native == std::endian::little);

// What a unit of centroids has of centroid lows.
inline constexpr float kLowUnits = 2048;

// Node of the tree: a coded list. Its children are lists (inner node) or rows (leaf). Lists are
// numbered level by level from the root, list 0; children of a list are contiguous.
struct ListEntry {
  std::uint64_t first_block = 0;  // of its children's codes, in blocks of 32
  std::uint32_t first_child = 0;  // a list number, or a row if level == 0
  std::uint32_t num_children = 0;
  std::uint32_t level = 0;  // 0: leaf
  float scan_sigma = 0;     // error scale of its children's binary codes (query_code.h)
  float refine_sigma = 0;   // and of their refine codes; 0 in inner nodes
  float refine_limit = 0;   // the largest of any one refine code; 0: not recorded
};
static_assert(sizeof(ListEntry) == 32);

struct IndexParameters {
  std::uint32_t metric = 0;
  std::uint32_t dim = 0;
  std::uint32_t padded_dim = 0;
  std::uint32_t refine_bits = 0;  // 0: no refine codes; else each has refine_bits + 1 bits
  std::uint64_t rows = 0;
  std::uint32_t lists = 0;
  std::uint32_t levels = 0;
  std::uint64_t seed = 0;
  float max_norm = 0;              // inner product: the radius of the lifted sphere
  std::uint32_t ids_are_rows = 0;  // 1: ids are 0..rows-1, stored as 32 bits
  std::uint64_t blocks = 0;
  std::uint32_t leaf_target = 0;  // rows that a leaf was to have; 0: not recorded
  std::uint32_t reserved = 0;
};
static_assert(sizeof(IndexParameters) == 64);

// How many leaves to scan so that the mean recall at k reaches a level.
struct CalibrationEntry {
  std::uint32_t k = 0;
  float recall = 0;
  float probes = 0;
  std::uint32_t reserved = 0;
};
static_assert(sizeof(CalibrationEntry) == 16);

// When queries that want a recall at k may stop: see StopRule.
struct StopEntry {
  std::uint32_t k = 0;
  float recall = 0;
  float weight = 0;
  float limit = 0;
  float mean_leaves = 0;  // that calibrated queries scanned
  std::uint32_t reserved[3] = {};
};
static_assert(sizeof(StopEntry) == 32);

// What the queries of a calibration were like: where nearly all of them lie, as squared distances
// of the frame.
struct QueryProfile {
  float least_centroid_distance = 0;  // to the nearest leaf's centre
  float greatest_centroid_distance = 0;
  float least_norm = 0;  // to the mean of all rows
  float greatest_norm = 0;
  std::uint32_t queries = 0;
  std::uint32_t from_rows = 0;         // 1: they were rows of the index
  std::uint32_t navigation_width = 0;  // see IndexData; 0: 1
  std::uint32_t reserved = 0;
};
static_assert(sizeof(QueryProfile) == 32);

// Tables of a calibration; all empty, or none.
struct Calibration {
  std::vector<CalibrationEntry> probes;
  std::vector<StopEntry> stops;
  std::vector<QueryProfile> profile;  // one
};

class FileGuard;

// The sections of an index, wherever they live; everything is borrowed. Const calls may run
// concurrently.
struct IndexData {
  IndexParameters parameters;
  std::span<const ListEntry> lists;
  std::span<const std::uint8_t> blocks;          // [blocks, block_bytes]
  std::span<const std::uint16_t> centroids;      // [lists - 1, padded_dim], of lists 1, 2, ...
  std::span<const float> centroid_scales;        // [lists - 1]
  std::span<const std::uint16_t> centroid_lows;  // as centroids, or none: see decode_centroid()
  std::span<const std::uint8_t> refine_codes;    // [rows, refine_row_bytes]
  std::span<const std::uint32_t> row_ids;        // [rows], if ids_are_rows
  std::span<const std::uint64_t> ids;            // [rows], otherwise
  std::span<const std::uint32_t> id_order;       // [rows]: rows by ascending id
  std::span<const float> mean;                   // [lifted_dim]
  std::span<const float> frame_scale;            // one, or none
  std::span<const std::uint8_t> rotation_signs;  // [Rotation::sign_bytes]
  std::span<const CalibrationEntry> calibration;
  std::span<const StopEntry> stops;
  std::span<const QueryProfile> profile;  // one, or none
  quantize::Frame frame;
  // Checks what lies in a file before it is used; null where that is done. The three calls below
  // throw Error(corrupt).
  const FileGuard* guard = nullptr;
  void touch_list(std::uint32_t list) const {
    if (guard != nullptr) check_list(list);
  }
  void touch_vectors(std::span<const std::uint32_t> rows) const {
    if (guard != nullptr) check_vectors(rows);
  }
  void touch_all_ids() const;
  // Navigation looks at so many times as many lists as is usual: more where estimates of centroids
  // say little. Calibrated.
  std::size_t navigation_width = 1;

  std::size_t rows() const noexcept { return parameters.rows; }
  std::size_t dim() const noexcept { return parameters.dim; }
  std::size_t padded_dim() const noexcept { return parameters.padded_dim; }
  Metric metric() const noexcept { return static_cast<Metric>(parameters.metric); }
  // Bits of a refine code per dimension, 0 if there are none.
  unsigned refine_code_bits() const noexcept {
    return parameters.refine_bits == 0 ? 0 : parameters.refine_bits + 1;
  }
  std::size_t refine_row_bytes() const noexcept {
    return parameters.refine_bits == 0
               ? 0
               : quantize::refine_row_bytes(padded_dim(), refine_code_bits());
  }
  const std::uint8_t* block(std::uint64_t number) const noexcept {
    return blocks.data() + number * kernels::block_bytes(padded_dim());
  }
  // The centre [padded_dim] of a list: the origin for the root, else its halves times its scale
  // and, where rows are so near one another that the rounding of halves would matter, lows, halves
  // too, of what the first ones lack, in units 2,048 times as small. `scratch` holds padded_dim
  // floats.
  void decode_centre(std::size_t list, float* centre, float* scratch) const noexcept;
  std::size_t num_leaves() const noexcept { return lists_per_level_[0]; }
  std::size_t num_lists(std::uint32_t level) const noexcept { return lists_per_level_[level]; }
  std::size_t max_leaf_size() const noexcept { return max_leaf_size_; }

  VectorId id_of(std::uint32_t row) const noexcept {
    return parameters.ids_are_rows != 0 ? VectorId{row_ids[row]} : ids[row];
  }
  void prefetch_refine_row(std::uint32_t row) const noexcept {
    base::prefetch(refine_codes.data() + row * refine_row_bytes(), refine_row_bytes());
  }
  void prefetch_id(std::uint32_t row) const noexcept {
    if (parameters.ids_are_rows != 0) {
      base::prefetch(&row_ids[row], sizeof(std::uint32_t));
    } else {
      base::prefetch(&ids[row], sizeof(std::uint64_t));
    }
  }
  // The row of an id, or rows() if there is none. O(log rows).
  // Throws Error(corrupt) where the file is damaged.
  std::size_t row_of(VectorId id) const;

  // Borrows the tables.
  void use(const Calibration& tables) noexcept { use(tables.probes, tables.stops, tables.profile); }
  void use(std::span<const CalibrationEntry> probes, std::span<const StopEntry> rules,
           std::span<const QueryProfile> profiles) noexcept {
    calibration = probes;
    stops = rules;
    profile = profiles;
    navigation_width = 1;
    if (!profiles.empty()) navigation_width = std::max(profiles[0].navigation_width, 1u);
  }
  // Derives `frame` and the counts of lists from the other members. Call once they are set.
  void attach();

 private:
  void check_list(std::uint32_t list) const;
  void check_vectors(std::span<const std::uint32_t> rows) const;

  std::vector<std::size_t> lists_per_level_{0};
  std::size_t max_leaf_size_ = 0;
};

// The sections of an index that was built in this process.
struct OwnedIndexData {
  IndexParameters parameters;
  std::vector<ListEntry> lists;
  base::AlignedArray<std::uint8_t> blocks;
  base::AlignedArray<std::uint16_t> centroids;
  std::vector<float> centroid_scales;
  base::AlignedArray<std::uint16_t> centroid_lows;
  base::AlignedArray<std::uint8_t> refine_codes;
  std::vector<std::uint32_t> row_ids;
  std::vector<std::uint64_t> ids;
  std::vector<std::uint32_t> id_order;
  std::vector<float> mean;
  std::vector<float> frame_scale;
  std::vector<std::uint8_t> rotation_signs;
  Calibration calibration;

  IndexData view() const;
};

}  // namespace cairn::index

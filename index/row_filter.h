#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "index/index_data.h"

namespace cairn::index {

// The allowed rows of one index: a bit per lane of the leaves' blocks, so that a block is skipped
// by one look at a word, and what navigation needs to know of each list. Const calls may run
// concurrently.
class RowFilter {
 public:
  // Allows no row.
  explicit RowFilter(const IndexData& data);

  // Allows a row < data.rows(); again is no error. Call finish() after the last.
  void allow(std::uint32_t row);
  void finish(const IndexData& data);

  std::size_t rows() const noexcept { return allowed_.empty() ? 0 : allowed_[0]; }
  // Leaves and blocks that have allowed rows.
  std::size_t num_leaves() const noexcept { return num_leaves_; }
  std::size_t num_blocks() const noexcept { return num_blocks_; }
  // Allowed rows in a list and below it, and all rows there.
  std::size_t allowed_in(std::size_t list) const noexcept { return allowed_[list]; }
  std::size_t rows_in(std::size_t list) const noexcept { return rows_[list]; }
  // Of all rows in the index, and in a leaf on the average over allowed rows. The second is greater
  // the more allowed rows keep to themselves.
  double share() const noexcept { return share_; }
  double leaf_share() const noexcept { return leaf_share_; }

  // A word for each block of a leaf: bit i is set if lane i holds an allowed row.
  std::span<const std::uint32_t> masks(const ListEntry& leaf) const noexcept {
    return std::span(masks_).subspan(
        leaf.first_block - first_block_,
        (leaf.num_children + kernels::kBlockSize - 1) / kernels::kBlockSize);
  }
  // The allowed rows in ascending order, if there are at most kMaxListed, else none.
  static constexpr std::size_t kMaxListed = 8192;
  std::span<const std::uint32_t> listed_rows() const noexcept { return listed_; }

  std::size_t memory_bytes() const noexcept {
    return (masks_.size() + allowed_.size() + rows_.size() + listed_.size()) *
           sizeof(std::uint32_t);
  }

 private:
  void list_rows();

  std::span<const ListEntry> leaves_;  // borrowed until finish()
  std::size_t last_leaf_ = 0;          // that allow() was told a row of
  std::uint64_t first_block_ = 0;      // of the first leaf
  std::vector<std::uint32_t> masks_;
  std::vector<std::uint32_t> allowed_;
  std::vector<std::uint32_t> rows_;
  std::vector<std::uint32_t> listed_;
  std::size_t num_leaves_ = 0;
  std::size_t num_blocks_ = 0;
  double share_ = 0;
  double leaf_share_ = 0;
};

}  // namespace cairn::index

#include "index/row_filter.h"

#include <algorithm>
#include <bit>

namespace cairn::index {
namespace {

constexpr std::size_t kBlock = kernels::kBlockSize;

}  // namespace

RowFilter::RowFilter(const IndexData& data)
    : leaves_(data.lists.last(data.num_leaves())),
      first_block_(leaves_.empty() ? 0 : leaves_[0].first_block) {
  if (leaves_.empty()) return;
  const ListEntry& last = leaves_.back();
  masks_.assign(last.first_block + (last.num_children + kBlock - 1) / kBlock - first_block_, 0);
}

void RowFilter::allow(std::uint32_t row) {
  if (row - leaves_[last_leaf_].first_child >= leaves_[last_leaf_].num_children) {
    const auto after = std::upper_bound(
        leaves_.begin(), leaves_.end(), row,
        [](std::uint32_t value, const ListEntry& leaf) { return value < leaf.first_child; });
    last_leaf_ = static_cast<std::size_t>(after - leaves_.begin()) - 1;
  }
  const ListEntry& leaf = leaves_[last_leaf_];
  const std::uint32_t place = row - leaf.first_child;
  masks_[leaf.first_block - first_block_ + place / kBlock] |= 1u << place % kBlock;
}

// Children follow their parents, so one pass from the last list on adds all up.
void RowFilter::finish(const IndexData& data) {
  allowed_.assign(data.lists.size(), 0);
  rows_.assign(data.lists.size(), 0);
  double shares = 0;
  for (std::size_t i = data.lists.size(); i-- > 0;) {
    const ListEntry& list = data.lists[i];
    if (list.level != 0) {
      for (std::size_t c = list.first_child; c < list.first_child + list.num_children; ++c) {
        allowed_[i] += allowed_[c];
        rows_[i] += rows_[c];
      }
      continue;
    }
    for (const std::uint32_t mask : masks(list)) {
      allowed_[i] += static_cast<std::uint32_t>(std::popcount(mask));
      num_blocks_ += mask != 0 ? 1 : 0;
    }
    rows_[i] = list.num_children;
    if (allowed_[i] == 0) continue;
    ++num_leaves_;
    shares += static_cast<double>(allowed_[i]) * allowed_[i] / rows_[i];
  }
  if (rows() == 0) return;
  if (rows() <= kMaxListed) list_rows();
  share_ = static_cast<double>(rows()) / static_cast<double>(data.rows());
  leaf_share_ = shares / static_cast<double>(rows());
  leaves_ = {};
}

void RowFilter::list_rows() {
  listed_.reserve(rows());
  for (const ListEntry& leaf : leaves_) {
    std::uint32_t first = leaf.first_child;
    for (const std::uint32_t mask : masks(leaf)) {
      for (std::uint32_t rest = mask; rest != 0; rest &= rest - 1) {
        listed_.push_back(first + static_cast<std::uint32_t>(std::countr_zero(rest)));
      }
      first += kBlock;
    }
  }
}

}  // namespace cairn::index

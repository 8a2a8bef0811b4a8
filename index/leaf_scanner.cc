#include "index/leaf_scanner.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/prefetch.h"
#include "quantize/kernels/kernels.h"

namespace cairn::index {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Survivors, besides the k sought, that are refined before a look at what the others must beat.
constexpr std::size_t kFirstMargin = 6;

void append_refined(const IndexData& data, const QueryState& query, const Survivors& survivors,
                    float threshold, Candidates& out) {
  const std::size_t known = out.size();
  out.resize(known + survivors.count + 16);
  const std::size_t passed = kernels::active().refine_rows(
      data.refine_codes.data(), data.refine_row_bytes(), survivors.rows.data(), survivors.count,
      data.refine_code_bits(), query.code.refine_query(), data.padded_dim(), survivors.base.data(),
      survivors.spread.data(), threshold, out.rows.data() + known, out.lower.data() + known,
      out.upper.data() + known);
  out.resize(known + passed);
}

}  // namespace

void Survivors::reserve(std::size_t room) {
  rows.reserve_discarding(room);
  lower.reserve_discarding(room);
  base.reserve_discarding(room);
  spread.reserve_discarding(room);
}

void LeafScanner::scan_group(const IndexData& data, const QueryState& query, std::size_t begin,
                             std::size_t end, Candidates& out) {
  const std::size_t room = kGroup * ((data.max_leaf_size() + 31) / 32 * 32) + 64;
  survivors_.reserve(room);
  survivors_.count = 0;
  for (std::size_t i = begin; i < end; ++i) {
    const RankedList& next = query.leaves[std::min(i + 1, query.leaves.size() - 1)];
    scan_leaf(data, query, query.leaves[i], data.block(data.lists[next.list].first_block));
  }
  if (query.has_refine) {
    refine(data, query, out);
  } else {
    take_unrefined(query, out);
  }
}

void LeafScanner::scan_leaf(const IndexData& data, const QueryState& query, const RankedList& leaf,
                            const std::uint8_t* next) {
  const ListEntry& list = data.lists[leaf.list];
  const float distance = std::sqrt(leaf.squared_distance);
  const float sigma = distance * list.scan_sigma;
  const float slack = query.scan_deviations * std::sqrt(sigma * sigma + query.code.table_variance);
  const float spread = -query.refine_deviations * distance * list.refine_sigma;
  const std::size_t known = survivors_.count;
  std::uint32_t* const rows = survivors_.rows.data() + known;
  const std::size_t found = kernels::active().scan_blocks(
      data.block(list.first_block), list.num_children, query.code.scan_query(slack),
      data.padded_dim(), leaf.squared_distance, query.threshold, list.first_child, next, rows,
      survivors_.lower.data() + known);
  codes_scanned += list.num_children;
  survivors_.count += found;
  if (!query.has_refine) return;
  std::fill_n(survivors_.base.data() + known, found, leaf.squared_distance);
  std::fill_n(survivors_.spread.data() + known, found, spread);
  if (query.threshold == kInfinity) return;
  // They are scattered over memory: on their way while the next leaf is scanned.
  const std::size_t row_bytes = data.refine_row_bytes();
  for (std::size_t i = 0; i < found; ++i) {
    base::prefetch(data.refine_codes.data() + rows[i] * row_bytes, row_bytes);
  }
}

void LeafScanner::take_unrefined(const QueryState& query, Candidates& out) const {
  const std::size_t known = out.size();
  out.resize(known + survivors_.count);
  std::copy_n(survivors_.rows.data(), survivors_.count, out.rows.data() + known);
  std::copy_n(survivors_.lower.data(), survivors_.count, out.lower.data() + known);
  // Upper bounds of binary codes are too loose to be of use; a fixed number of candidates is
  // chosen by estimates.
  if (query.request.rerank != 0) {
    std::copy_n(survivors_.lower.data(), survivors_.count, out.upper.data() + known);
  } else {
    std::fill_n(out.upper.data() + known, survivors_.count, kInfinity);
  }
}

// The most promising survivors go first, and the others are measured against what they give.
void LeafScanner::refine(const IndexData& data, const QueryState& query, Candidates& out) {
  const std::size_t first = query.threshold_rank + kFirstMargin;
  const std::size_t count = survivors_.count;
  if (count <= 2 * first) {
    append_refined(data, query, survivors_, query.threshold, out);
    codes_refined += count;
    return;
  }
  const float cut = kernels::active().find_cut(survivors_.lower.data(), count, first, 2 * first);
  const std::size_t known = out.size();
  refine_between(data, query, -kInfinity, cut, query.threshold, out);
  const float kth = query.uppers.kth_with(std::span(out.upper).subspan(known), uppers_);
  const float threshold = query.threshold_for(kth);
  refine_between(data, query, cut, threshold, threshold, out);
}

// Those with above < first-stage bound <= limit.
void LeafScanner::refine_between(const IndexData& data, const QueryState& query, float above,
                                 float limit, float threshold, Candidates& out) {
  const std::size_t count = survivors_.count;
  places_.reserve_discarding(count + 16);
  chosen_.reserve(count + 16);
  chosen_.count = kernels::active().take_between(survivors_.lower.data(), count, above, limit,
                                                 places_.data(), chosen_.lower.data());
  const std::size_t row_bytes = data.refine_row_bytes();
  for (std::size_t i = 0; i < chosen_.count; ++i) {
    const std::uint32_t place = places_[i];
    chosen_.rows[i] = survivors_.rows[place];
    chosen_.base[i] = survivors_.base[place];
    chosen_.spread[i] = survivors_.spread[place];
    if (query.threshold == kInfinity) {
      base::prefetch(data.refine_codes.data() + chosen_.rows[i] * row_bytes, row_bytes);
    }
  }
  append_refined(data, query, chosen_, threshold, out);
  codes_refined += chosen_.count;
}

}  // namespace cairn::index

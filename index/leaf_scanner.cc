#include "index/leaf_scanner.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "quantize/kernels/kernels.h"

namespace cairn::index {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Survivors, besides the k sought, that are refined before a look at what the others must beat.
constexpr std::size_t kFirstMargin = 6;

// Packs those of `count` rows of a leaf together that its masks allow; returns how many.
std::size_t keep_allowed(std::span<const std::uint32_t> masks, std::uint32_t first_row,
                         std::size_t count, std::uint32_t* rows, float* lower) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t place = rows[i] - first_row;
    rows[kept] = rows[i];
    lower[kept] = lower[i];
    kept += masks[place / kernels::kBlockSize] >> place % kernels::kBlockSize & 1;
  }
  return kept;
}

}  // namespace

void Survivors::reserve(std::size_t room) {
  rows.reserve_discarding(room);
  lower.reserve_discarding(room);
  base.reserve_discarding(room);
  spread.reserve_discarding(room);
}

void Survivors::set_bounds(std::size_t first, const LeafBounds& bounds) {
  std::fill_n(base.data() + first, count - first, bounds.base);
  std::fill_n(spread.data() + first, count - first, bounds.refine_spread);
}

void append_refined(const IndexData& data, const kernels::RefineQuery& query,
                    const Survivors& survivors, float threshold, Candidates& out) {
  const std::size_t known = out.size();
  out.resize(known + survivors.count + 16);
  const std::size_t passed = kernels::active().refine_rows(
      data.refine_codes.data(), data.refine_row_bytes(), survivors.rows.data(), survivors.count,
      data.refine_code_bits(), query, data.padded_dim(), survivors.base.data(),
      survivors.spread.data(), threshold, out.rows.data() + known, out.lower.data() + known,
      out.upper.data() + known);
  out.resize(known + passed);
}

void append_unrefined(const SearchRequest& request, const Survivors& survivors, Candidates& out) {
  const std::size_t known = out.size();
  out.resize(known + survivors.count);
  std::copy_n(survivors.rows.data(), survivors.count, out.rows.data() + known);
  std::copy_n(survivors.lower.data(), survivors.count, out.lower.data() + known);
  // Upper bounds of binary codes are too loose to be of use; a fixed number of candidates is
  // chosen by estimates.
  if (request.rerank != 0) {
    std::copy_n(survivors.lower.data(), survivors.count, out.upper.data() + known);
  } else {
    std::fill_n(out.upper.data() + known, survivors.count, kInfinity);
  }
}

void LeafScanner::scan_group(const IndexData& data, const QueryState& query, std::size_t begin,
                             std::size_t end, Candidates& out) {
  survivors_.reserve(kGroup * Survivors::room_for_leaf(data));
  survivors_.count = 0;
  for (std::size_t i = begin; i < end; ++i) {
    const RankedList& next = query.leaves[std::min(i + 1, query.leaves.size() - 1)];
    scan_leaf(data, query, query.leaves[i], data.block(data.lists[next.list].first_block));
  }
  if (!query.has_refine) {
    append_unrefined(query.request, survivors_, out);
  } else if (query.threshold.is_open()) {
    refine_best_first(data, query, query.margin(query.leaves[end - 1].squared_distance), out);
  } else {
    append_refined(data, query.code.refine_query(), survivors_, query.threshold.value(), out);
    codes_refined += survivors_.count;
  }
}

void LeafScanner::scan_leaf(const IndexData& data, const QueryState& query, const RankedList& leaf,
                            const std::uint8_t* next) {
  data.touch_list(leaf.list);
  const ListEntry& list = data.lists[leaf.list];
  const LeafBounds bounds =
      leaf_bounds(data, query.code.errors, query.deviations, list, leaf.squared_distance);
  const std::size_t known = survivors_.count;
  std::uint32_t* const rows = survivors_.rows.data() + known;
  float* const lower = survivors_.lower.data() + known;
  const std::size_t found = query.request.filter == nullptr
                                ? scan_all(data, query, list, bounds, next, rows, lower)
                                : scan_allowed(data, query, list, bounds, next, rows, lower);
  survivors_.count += found;
  if (!query.has_refine) return;
  survivors_.set_bounds(known, bounds);
  if (query.threshold.is_open()) return;
  // They are scattered over memory: on their way while the next leaf is scanned.
  for (std::size_t i = 0; i < found; ++i) data.prefetch_refine_row(rows[i]);
}

std::size_t LeafScanner::scan_all(const IndexData& data, const QueryState& query,
                                  const ListEntry& list, const LeafBounds& bounds,
                                  const std::uint8_t* next, std::uint32_t* rows, float* lower) {
  codes_scanned += list.num_children;
  return kernels::active().scan_blocks(
      data.block(list.first_block), list.num_children, query.code.scan_query(bounds.scan_slack),
      data.padded_dim(), bounds.base, query.threshold.value(), list.first_child, next, rows, lower);
}

// Blocks without allowed rows are passed over; of the others all rows are scanned, and those that
// survive are asked for in the masks.
std::size_t LeafScanner::scan_allowed(const IndexData& data, const QueryState& query,
                                      const ListEntry& list, const LeafBounds& bounds,
                                      const std::uint8_t* next, std::uint32_t* rows, float* lower) {
  constexpr std::size_t kBlock = kernels::kBlockSize;
  const kernels::Kernels& k = kernels::active();
  const std::span<const std::uint32_t> masks = query.request.filter->masks(list);
  const kernels::ScanQuery scan = query.code.scan_query(bounds.scan_slack);
  std::size_t found = 0;
  for (std::size_t begin = 0; begin < masks.size();) {
    if (masks[begin] == 0) {
      ++begin;
      continue;
    }
    std::size_t end = begin + 1;
    while (end < masks.size() && masks[end] != 0) ++end;
    const std::size_t count =
        std::min<std::size_t>(end * kBlock, list.num_children) - begin * kBlock;
    const auto first = static_cast<std::uint32_t>(list.first_child + begin * kBlock);
    const std::size_t passed =
        k.scan_blocks(data.block(list.first_block + begin), count, scan, data.padded_dim(),
                      bounds.base, query.threshold.value(), first,
                      end == masks.size() ? next : data.block(list.first_block + end), rows + found,
                      lower + found);
    codes_scanned += count;
    found += keep_allowed(masks, list.first_child, passed, rows + found, lower + found);
    begin = end;
  }
  return found;
}

// Before there is a threshold, the most promising survivors go first, and the others are measured
// against what these give.
void LeafScanner::refine_best_first(const IndexData& data, const QueryState& query, float margin,
                                    Candidates& out) {
  const Threshold& threshold = query.threshold;
  const std::size_t first = threshold.k() + kFirstMargin;
  const std::size_t count = survivors_.count;
  const std::size_t known = out.size();
  float cut = kInfinity;
  if (count > 2 * first) {
    cut = kernels::active().find_cut(survivors_.lower.data(), count, first, 2 * first);
  }
  refine_between(data, query, -kInfinity, cut, threshold.value(), out);
  if (cut == kInfinity) return;
  const float limit = threshold.value_with(std::span(out.upper).subspan(known), margin, uppers_);
  refine_between(data, query, cut, limit, limit, out);
}

// Those with above < first-stage bound <= limit.
void LeafScanner::refine_between(const IndexData& data, const QueryState& query, float above,
                                 float limit, float threshold, Candidates& out) {
  const std::size_t count = survivors_.count;
  places_.reserve_discarding(count + 16);
  chosen_.reserve(count + 16);
  chosen_.count = kernels::active().take_between(survivors_.lower.data(), count, above, limit,
                                                 places_.data(), chosen_.lower.data());
  for (std::size_t i = 0; i < chosen_.count; ++i) {
    const std::uint32_t place = places_[i];
    chosen_.rows[i] = survivors_.rows[place];
    chosen_.base[i] = survivors_.base[place];
    chosen_.spread[i] = survivors_.spread[place];
    data.prefetch_refine_row(chosen_.rows[i]);
  }
  append_refined(data, query.code.refine_query(), chosen_, threshold, out);
  codes_refined += chosen_.count;
}

}  // namespace cairn::index

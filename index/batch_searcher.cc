#include "index/batch_searcher.h"

#include <algorithm>

#include "base/prefetch.h"
#include "quantize/kernels/kernels.h"

namespace cairn::index {
namespace {

// Visits per leaf below which the order of leaves is not worth its trouble.
constexpr std::size_t kFewVisits = 3;

}  // namespace

void BatchSearcher::search(
    const IndexData& data, const VectorStore& store, MatrixView queries,
    const SearchRequest& request,
    const std::function<void(std::size_t, std::span<const RowDistance>)>& result) {
  start(data, queries, request);
  while (plan_round()) {
    // The first round of a query is one piece of work.
    const bool is_first = states_[0].done == 0;
    if (sort_visits(data) * kFewVisits > visits_.size() || is_first) {
      scan_by_query(data);
    } else {
      scan_by_leaf(data);
    }
    for (std::size_t q = 0; q < count_; ++q) {
      QueryState& state = states_[q];
      if (state.is_done()) continue;
      state.end_round(known_[q], state.round_end());
      state.apply_stop_rule();
      if (state.is_done() && state.wants_more_leaves(data)) {
        state.add_leaves(
            navigator_.find_leaves(data, state.code, state.more_leaves(data), nullptr, state.stats),
            is_known_);
      }
    }
  }
  // While one query is settled, the vectors of the next are on their way.
  const auto prepare = [&](std::size_t q) {
    Reranker& reranker = rerankers_[q % 2];
    reranker.start(data, store, queries.row(q), request);
    reranker.prepare(states_[q]);
  };
  prepare(0);
  for (std::size_t q = 0; q < count_; ++q) {
    if (q + 1 < count_) prepare(q + 1);
    result(q, rerankers_[q % 2].finish(states_[q]));
  }
}

void BatchSearcher::start(const IndexData& data, MatrixView queries, const SearchRequest& request) {
  count_ = queries.rows;
  request_ = request;
  deviations_ = deviations_of(data, request);
  if (states_.size() < count_) states_.resize(count_);
  for (std::size_t q = 0; q < count_; ++q) {
    QueryState& state = states_[q];
    state.start(data, queries.row(q), request);
    const std::span<const RankedList> leaves =
        navigator_.find_leaves(data, state.code, request.probes, nullptr, state.stats);
    state.add_leaves(leaves, is_known_);
  }
}

// Fills visits_ with the next round of all queries; false if there is none.
bool BatchSearcher::plan_round() {
  known_.resize(count_);
  visits_.clear();
  for (std::uint32_t q = 0; q < count_; ++q) {
    const QueryState& state = states_[q];
    known_[q] = state.candidates.size();
    for (std::size_t i = state.done; i < state.round_end(); ++i) {
      visits_.push_back({q, state.leaves[i].list, state.leaves[i].squared_distance});
    }
  }
  return !visits_.empty();
}

// Each query by itself, in the order of the leaves where they begin.
void BatchSearcher::scan_by_query(const IndexData& data) {
  for (const Visit& visit : sorted_) {
    QueryState& state = states_[visit.query];
    if (visit.list != state.leaves[state.done].list) continue;
    const std::size_t end = state.round_end();
    for (std::size_t begin = state.done; begin < end; begin += LeafScanner::kGroup) {
      scanner_.scan_group(data, state, begin, std::min(end, begin + LeafScanner::kGroup),
                          state.candidates);
    }
  }
}

// Survivors of one group of visits are refined after the next group has been scanned, so that their
// refine codes are on their way meanwhile.
void BatchSearcher::scan_by_leaf(const IndexData& data) {
  probes_.reserve_discarding(count_);
  for (std::size_t q = 0; q < count_; ++q) {
    const quantize::QueryCode& code = states_[q].code;
    probes_[q] = {code.scan_query(0), code.refine_query(), states_[q].threshold.value(),
                  code.errors};
  }
  for (auto& side : survivors_) {
    for (Survivors& survivors : side) survivors.reserve(Survivors::room_for_leaf(data));
  }
  found_.resize(0);
  found_queries_.clear();
  std::span<const Visit> before;
  std::size_t side = 0;
  for (std::size_t begin = 0; begin < sorted_.size();) {
    std::size_t end = begin + 1;
    while (end < sorted_.size() && sorted_[end].list == sorted_[begin].list &&
           end - begin < kLeafQueries) {
      ++end;
    }
    prefetch_queries(data, end);
    const std::span<const Visit> visits = std::span(sorted_).subspan(begin, end - begin);
    scan_leaf(data, visits, data.lists[sorted_[std::min(end, sorted_.size() - 1)].list], side);
    side = 1 - side;
    take_survivors(data, before, side);
    before = visits;
    begin = end;
  }
  take_survivors(data, before, 1 - side);
  hand_out_found();
}

// By leaf, then by query: a counting sort. Returns how many leaves there are.
std::size_t BatchSearcher::sort_visits(const IndexData& data) {
  starts_.assign(data.lists.size() + 1, 0);
  for (const Visit& visit : visits_) ++starts_[visit.list + 1];
  std::size_t leaves = 0;
  for (std::size_t i = 1; i < starts_.size(); ++i) {
    leaves += starts_[i] != 0 ? 1 : 0;
    starts_[i] += starts_[i - 1];
  }
  sorted_.resize(visits_.size());
  for (const Visit& visit : visits_) sorted_[starts_[visit.list]++] = visit;
  return leaves;
}

// Asks for what the visits from `begin` on need of their queries: the processor cannot know.
void BatchSearcher::prefetch_queries(const IndexData& data, std::size_t begin) const {
  const std::size_t end = std::min(begin + kLeafQueries, sorted_.size());
  for (std::size_t i = begin; i < end; ++i) {
    const Probe& probe = probes_[sorted_[i].query];
    base::prefetch(probe.scan.table, std::min<std::size_t>(data.padded_dim() * 4, 1024));
    base::prefetch(probe.refine.high, std::min<std::size_t>(data.padded_dim(), 256));
    base::prefetch(probe.refine.low, std::min<std::size_t>(data.padded_dim(), 256));
  }
  for (std::size_t i = end; i < std::min(end + kLeafQueries, sorted_.size()); ++i) {
    base::prefetch(&probes_[sorted_[i].query], sizeof(Probe));
  }
}

// Scans one leaf for up to kLeafQueries queries; `next` is the leaf that is scanned next.
void BatchSearcher::scan_leaf(const IndexData& data, std::span<const Visit> visits,
                              const ListEntry& next, std::size_t side) {
  data.touch_list(visits[0].list);
  const ListEntry& list = data.lists[visits[0].list];
  kernels::ScanTask tasks[kLeafQueries];
  for (std::size_t i = 0; i < visits.size(); ++i) {
    const Probe& probe = probes_[visits[i].query];
    const LeafBounds bounds =
        leaf_bounds(data, probe.errors, deviations_, list, visits[i].squared_distance);
    Survivors& survivors = survivors_[side][i];
    tasks[i] = {{probe.scan.table, probe.scan.step, probe.scan.offset + bounds.scan_slack},
                bounds.base,
                probe.threshold,
                survivors.rows.data(),
                survivors.lower.data(),
                0};
  }
  kernels::active().scan_blocks_many(data.block(list.first_block), list.num_children,
                                     data.padded_dim(), list.first_child,
                                     data.block(next.first_block), tasks, visits.size());
  for (std::size_t i = 0; i < visits.size(); ++i) {
    Survivors& survivors = survivors_[side][i];
    survivors.count = tasks[i].found;
    for (std::size_t j = 0; j < survivors.count; ++j) {
      data.prefetch_refine_row(survivors.rows[j]);
    }
  }
}

void BatchSearcher::take_survivors(const IndexData& data, std::span<const Visit> visits,
                                   std::size_t side) {
  for (std::size_t i = 0; i < visits.size(); ++i) {
    Survivors& survivors = survivors_[side][i];
    if (survivors.count == 0) continue;
    const Probe& probe = probes_[visits[i].query];
    if (data.refine_code_bits() != 0) {
      const ListEntry& list = data.lists[visits[i].list];
      survivors.set_bounds(
          0, leaf_bounds(data, probe.errors, deviations_, list, visits[i].squared_distance));
      append_refined(data, probe.refine, survivors, probe.threshold, found_);
    } else {
      append_unrefined(request_, survivors, found_);
    }
    found_queries_.resize(found_.size(), visits[i].query);
  }
}

void BatchSearcher::hand_out_found() {
  for (std::size_t i = 0; i < found_.size(); ++i) {
    states_[found_queries_[i]].candidates.append(found_.rows[i], found_.lower[i], found_.upper[i]);
  }
}

}  // namespace cairn::index

#include "index/filter_rows.h"

#include <algorithm>
#include <utility>

#include "cairn/error.h"

namespace cairn {
namespace {

// Ids looked up one by one rather than by a walk over all rows in the order of ids: up to this
// share of the rows.
constexpr std::size_t kLookupShare = 8;

// Those rows whose ids, in ascending order, are among `ids`, sorted.
void allow_common(const index::IndexData& data, const std::vector<VectorId>& ids,
                  index::RowFilter& rows) {
  std::size_t next = 0;
  for (const std::uint32_t row : data.id_order) {
    if (row >= data.rows()) continue;  // a damaged file
    const VectorId id = data.id_of(row);
    while (next < ids.size() && ids[next] < id) ++next;
    if (next == ids.size()) return;
    if (ids[next] == id) rows.allow(row);
  }
}

}  // namespace

Filter::Filter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Filter::Filter(Filter&&) noexcept = default;
Filter& Filter::operator=(Filter&&) noexcept = default;
Filter::~Filter() = default;

Filter Filter::from_ids(std::span<const VectorId> ids) {
  std::vector<VectorId> sorted(ids.begin(), ids.end());
  if (!std::is_sorted(sorted.begin(), sorted.end())) std::sort(sorted.begin(), sorted.end());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  return Filter(std::make_unique<Impl>(Impl{Impl::Ids{std::move(sorted)}}));
}

Filter Filter::from_bitmap(std::span<const std::uint64_t> words) {
  return Filter(std::make_unique<Impl>(Impl{Impl::Bitmap{{words.begin(), words.end()}}}));
}

Filter Filter::from_predicate(std::function<bool(VectorId)> allows) {
  if (!allows) {
    throw Error(ErrorCode::invalid_argument, "filter: expected a predicate, found an empty one");
  }
  return Filter(std::make_unique<Impl>(Impl{std::move(allows)}));
}

bool Filter::allows(VectorId id) const {
  if (const auto* ids = std::get_if<Impl::Ids>(&impl_->allowed)) {
    return std::binary_search(ids->sorted.begin(), ids->sorted.end(), id);
  }
  if (const auto* bitmap = std::get_if<Impl::Bitmap>(&impl_->allowed)) {
    return id / 64 < bitmap->words.size() && (bitmap->words[id / 64] >> id % 64 & 1) != 0;
  }
  return std::get<Impl::Predicate>(impl_->allowed)(id);
}

PreparedFilter::PreparedFilter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PreparedFilter::PreparedFilter(PreparedFilter&&) noexcept = default;
PreparedFilter& PreparedFilter::operator=(PreparedFilter&&) noexcept = default;
PreparedFilter::~PreparedFilter() = default;

std::size_t PreparedFilter::size() const noexcept { return impl_->rows.rows(); }
std::size_t PreparedFilter::memory_usage_bytes() const noexcept {
  return impl_->rows.memory_bytes();
}

namespace index {

RowFilter find_rows(const IndexData& data, const Filter& filter) {
  RowFilter rows(data);
  const auto* ids = std::get_if<Filter::Impl::Ids>(&filter.impl().allowed);
  if (ids != nullptr && ids->sorted.size() > data.rows() / kLookupShare) {
    data.touch_all_ids();
    allow_common(data, ids->sorted, rows);
  } else if (ids != nullptr) {
    for (const VectorId id : ids->sorted) {
      const std::size_t row = data.row_of(id);
      if (row < data.rows()) rows.allow(static_cast<std::uint32_t>(row));
    }
  } else {
    data.touch_all_ids();
    for (std::uint32_t row = 0; row < data.rows(); ++row) {
      if (filter.allows(data.id_of(row))) rows.allow(row);
    }
  }
  rows.finish(data);
  return rows;
}

}  // namespace index
}  // namespace cairn

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <variant>
#include <vector>

#include "cairn/filter.h"

#include "index/row_filter.h"

namespace cairn {

struct Filter::Impl {
  struct Ids {
    std::vector<VectorId> sorted;  // without duplicates
  };
  struct Bitmap {
    std::vector<std::uint64_t> words;
  };
  using Predicate = std::function<bool(VectorId)>;
  std::variant<Ids, Bitmap, Predicate> allowed;
};

struct PreparedFilter::Impl {
  index::RowFilter rows;
  std::uint64_t index_serial;  // of the index it was made for
};

namespace index {

// The rows of `data` whose ids are allowed.
RowFilter find_rows(const IndexData& data, const Filter& filter);

}  // namespace index
}  // namespace cairn

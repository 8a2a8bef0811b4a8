#pragma once

// Which vectors a search may return.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "cairn/export.h"
#include "cairn/types.h"

namespace cairn {

/// A set of allowed ids, for SearchOptions::filter. It belongs to no index: ids that an index does
/// not have mean nothing to it. See also cairn/roaring.h.
///
/// A search that is given a Filter first looks its rows up, which costs more than most searches:
/// for more than one search, ClusteredIndex::prepare() it. Immutable, move-only. Const calls may
/// run concurrently, those of a predicate if it may be called so.
class CAIRN_EXPORT Filter {
 public:
  /// Allows `ids`, in any order; copies them. 8 bytes per id.
  static Filter from_ids(std::span<const VectorId> ids);
  /// Allows id i where bit i % 64 of words[i / 64] is set; copies the words. Ids past the end are
  /// not allowed.
  static Filter from_bitmap(std::span<const std::uint64_t> words);
  /// Allows the ids for which `allows` returns true. It is called for each row of an index each
  /// time the filter is prepared for it, on the thread that does so. What it throws is passed on.
  /// @throws Error invalid_argument if it is empty.
  static Filter from_predicate(std::function<bool(VectorId)> allows);

  Filter(Filter&&) noexcept;
  Filter& operator=(Filter&&) noexcept;
  ~Filter();

  bool allows(VectorId id) const;

  struct Impl;  ///< internal
  const Impl& impl() const noexcept { return *impl_; }

 private:
  explicit Filter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// A filter in terms of one index's rows: a bit per row, a count per list of the tree. Made by
/// ClusteredIndex::prepare() for any number of searches of that index, which it may outlive but not
/// serve another. Immutable, move-only. Thread-safe.
class CAIRN_EXPORT PreparedFilter {
 public:
  PreparedFilter(PreparedFilter&&) noexcept;
  PreparedFilter& operator=(PreparedFilter&&) noexcept;
  ~PreparedFilter();

  /// How many vectors of the index are allowed.
  std::size_t size() const noexcept;
  /// RAM that it takes: about size of the index / 8 bytes.
  std::size_t memory_usage_bytes() const noexcept;

  struct Impl;  ///< internal
  explicit PreparedFilter(std::unique_ptr<Impl> impl);
  const Impl& impl() const noexcept { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace cairn

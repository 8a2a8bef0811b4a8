#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "cairn/types.h"

#include "index/kmeans.h"

namespace cairn::index {

// Centroids arranged for finding the nearest one to each of many points by matrix products. A few
// hundred are all looked at. More are put into groups of some 32 that lie near one another, and a
// point looks at the members of the 6 groups whose centres are nearest to it: now and then it gets
// another centroid than the nearest, which does not show in the partition. Const calls may run
// concurrently.
class CentroidTable {
 public:
  // Copies `centroids`. `penalty` is added to the squared distance to each; empty: none.
  CentroidTable(MatrixView centroids, std::span<const float> penalty, std::uint64_t seed,
                unsigned threads, const Checkpoint& checkpoint);

  // For each of `rows` [count, dim] the centroid with the least penalised distance, ties in favour
  // of one or the other but always the same. The result depends on `rows` and `count` but not on
  // threads.
  void find_nearest(const float* rows, std::size_t count, unsigned threads,
                    std::uint32_t* nearest) const;

 private:
  void add_group(MatrixView centroids, std::span<const float> penalty,
                 std::span<const std::uint32_t> members);
  void find_in_all(const float* rows, std::size_t count, unsigned threads,
                   std::uint32_t* nearest) const;
  void find_in_groups(const float* rows, std::size_t count, unsigned threads,
                      std::uint32_t* nearest) const;

  std::size_t groups() const noexcept { return begin_.size() - 1; }

  std::size_t dim_;
  // Groups one after another, each filled up to a multiple of kPadding by rows of zeros that are
  // infinitely far from everything: matrix products of odd widths cost twice as much.
  std::vector<std::size_t> begin_{0};
  std::vector<float> rows_;
  std::vector<float> bias_;        // half the squared norm plus half the penalty
  std::vector<std::uint32_t> id_;  // place in the constructor's `centroids`
  std::vector<float> centres_;     // [groups, dim], filled up likewise; empty if there is one
  std::vector<float> centre_bias_;
};

}  // namespace cairn::index

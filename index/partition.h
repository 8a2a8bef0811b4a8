#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "index/kmeans.h"
#include "index/point_source.h"
#include "index/progress.h"

namespace cairn::index {

struct PartitionOptions {
  std::size_t target_size = 128;  // members aimed at per part
  std::size_t max_size = 256;     // hard cap
  std::size_t iterations = 8;     // passes over the sample
  std::uint64_t seed = 1;
  std::size_t max_sample_rows = ~std::size_t{0};
  unsigned threads = 1;
  Progress* progress = nullptr;  // if set, told of the phases "cluster" and "assign"
};

// Points in compact parts, each with its mean. Parts that follow one another lie near one another.
struct Partition {
  std::vector<float> centroids;  // [parts, dim]
  Groups parts;

  std::size_t size() const noexcept { return parts.size(); }
  std::span<const std::uint32_t> part(std::size_t p) const noexcept { return parts[p]; }
};

// Balanced clustering of many points into many small parts:
//   1. two-level k-means on a sample gives centroids, neighbours beside one another;
//   2. passes of over-relaxed Lloyd over the sample, then a few over all points, each in the order
//      of points; with a small penalty on large parts, and between passes oversized parts are split
//      and small ones dissolved;
//   3. parts above max_size are cut for good; equal points, which no k-means can separate, by
//      cutting their list.
// Reads all points a fixed number of times; otherwise holds the sample, the centroids, one number
// per point and a block of points. Cost per pass: about O(n dim (parts / 32 + 192)).
// The result depends on points and options but not on threads. n = 0 gives no parts.
Partition partition_points(const PointSource& points, const PartitionOptions& options,
                           const Checkpoint& checkpoint);

}  // namespace cairn::index

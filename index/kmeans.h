#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "cairn/types.h"

namespace cairn::index {

// Called between steps of a build; throws Error(cancelled) if the caller wants it to stop.
using Checkpoint = std::function<void()>;

struct KmeansOptions {
  std::size_t clusters = 2;    // at most points.rows
  std::size_t iterations = 8;  // fewer if assignments stop changing
  std::uint64_t seed = 1;
  unsigned threads = 1;
};

struct KmeansResult {
  std::vector<float> centroids;           // [clusters, dim]
  std::vector<std::uint32_t> assignment;  // [points.rows], to the centroids of the last iteration
};

// Lloyd's k-means from a random choice of distinct rows. An empty cluster takes half of the
// largest. The result depends on points and options but not on threads.
KmeansResult kmeans(MatrixView points, const KmeansOptions& options, const Checkpoint& checkpoint);

// Half the squared norm of each row of `centroids`: the bias of kernels::argmin_rows.
std::vector<float> half_squared_norms(MatrixView centroids);

// For each point the nearest centroid; `bias` as half_squared_norms (plus any penalty).
void assign_points(MatrixView points, MatrixView centroids, const std::vector<float>& bias,
                   unsigned threads, std::uint32_t* assignment);

}  // namespace cairn::index

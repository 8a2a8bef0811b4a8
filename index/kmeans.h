#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
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

// Rows grouped by what they are assigned to: those of group g are members[begin[g] .. begin[g +
// 1]), ascending.
struct Groups {
  std::vector<std::uint32_t> begin;
  std::vector<std::uint32_t> members;

  std::size_t size() const noexcept { return begin.size() - 1; }
  std::span<const std::uint32_t> operator[](std::size_t g) const noexcept {
    return {members.data() + begin[g], begin[g + 1] - begin[g]};
  }
};

Groups group_by(const std::vector<std::uint32_t>& assignment, std::size_t groups);

// Half the squared norm of each row of `centroids`: the bias of kernels::argmin_rows.
std::vector<float> half_squared_norms(MatrixView centroids);

// For each point the nearest centroid; `bias` as half_squared_norms (plus any penalty).
void assign_points(MatrixView points, MatrixView centroids, const std::vector<float>& bias,
                   unsigned threads, std::uint32_t* assignment);

}  // namespace cairn::index

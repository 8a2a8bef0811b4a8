#include "index/kmeans.h"

#include <algorithm>
#include <cassert>
#include <numeric>

#include "base/parallel.h"
#include "base/random.h"
#include "quantize/kernels/kernels.h"

namespace cairn::index {
namespace {

// Rows of points times rows of centroids that one matrix product handles: borders are fixed, so
// that results do not depend on threads, and the product of a block stays in the second-level
// cache.
constexpr std::size_t kRowBlock = 256;
constexpr std::size_t kCentroidBlock = 512;

// Distinct rows, chosen at random (Floyd's sampling), ascending.
std::vector<std::uint32_t> choose_rows(std::size_t rows, std::size_t count, base::Random& random) {
  std::vector<std::uint32_t> all(rows);
  std::iota(all.begin(), all.end(), 0u);
  for (std::size_t i = 0; i < count; ++i) {
    std::swap(all[i], all[i + random.below(rows - i)]);
  }
  all.resize(count);
  std::sort(all.begin(), all.end());
  return all;
}

// An empty cluster gets every second member of the largest one.
void fill_empty_clusters(std::vector<std::uint32_t>& assignment, std::size_t clusters) {
  std::vector<std::uint32_t> sizes(clusters, 0);
  for (const std::uint32_t c : assignment) ++sizes[c];
  for (std::size_t empty = 0; empty < clusters; ++empty) {
    if (sizes[empty] != 0) continue;
    const auto largest =
        static_cast<std::uint32_t>(std::max_element(sizes.begin(), sizes.end()) - sizes.begin());
    if (sizes[largest] < 2) return;
    bool take = false;
    for (std::uint32_t& c : assignment) {
      if (c != largest) continue;
      if (take) {
        c = static_cast<std::uint32_t>(empty);
        --sizes[largest];
        ++sizes[empty];
      }
      take = !take;
    }
  }
}

void update_centroids(MatrixView points, const Groups& groups, unsigned threads,
                      std::vector<float>& centroids) {
  const std::size_t dim = points.dim;
  const std::size_t clusters = groups.size();
  base::parallel_chunks(clusters, 16, threads, [&](std::size_t begin, std::size_t end, unsigned) {
    std::vector<double> sum(dim);
    for (std::size_t c = begin; c < end; ++c) {
      if (groups[c].empty()) continue;
      std::fill(sum.begin(), sum.end(), 0.0);
      for (const std::uint32_t member : groups[c]) {
        const float* row = points.row(member);
        for (std::size_t j = 0; j < dim; ++j) sum[j] += static_cast<double>(row[j]);
      }
      const double inverse = 1.0 / static_cast<double>(groups[c].size());
      for (std::size_t j = 0; j < dim; ++j) {
        centroids[c * dim + j] = static_cast<float>(sum[j] * inverse);
      }
    }
  });
}

}  // namespace

Groups group_by(const std::vector<std::uint32_t>& assignment, std::size_t groups) {
  Groups result;
  result.begin.assign(groups + 1, 0);
  for (const std::uint32_t g : assignment) ++result.begin[g + 1];
  std::partial_sum(result.begin.begin(), result.begin.end(), result.begin.begin());
  result.members.resize(assignment.size());
  std::vector<std::uint32_t> next(result.begin.begin(), result.begin.end() - 1);
  for (std::uint32_t i = 0; i < assignment.size(); ++i) result.members[next[assignment[i]]++] = i;
  return result;
}

std::vector<float> half_squared_norms(MatrixView centroids) {
  std::vector<float> norms(centroids.rows);
  for (std::size_t c = 0; c < centroids.rows; ++c) {
    float norm = 0;
    kernels::active().dot_rows(centroids.row(c), centroids.row(c), centroids.dim, nullptr, 1,
                               centroids.dim, &norm);
    norms[c] = 0.5f * norm;
  }
  return norms;
}

void assign_points(MatrixView points, MatrixView centroids, const std::vector<float>& bias,
                   unsigned threads, std::uint32_t* assignment) {
  const kernels::Kernels& k = kernels::active();
  base::parallel_chunks(
      points.rows, kRowBlock, threads, [&](std::size_t begin, std::size_t end, unsigned) {
        thread_local std::vector<float> dots(kRowBlock * kCentroidBlock);
        std::uint32_t best[kRowBlock];
        float value[kRowBlock];
        float least[kRowBlock];
        const std::size_t rows = end - begin;
        for (std::size_t first = 0; first < centroids.rows; first += kCentroidBlock) {
          const std::size_t count = std::min(kCentroidBlock, centroids.rows - first);
          k.gemm_nt(points.row(begin), rows, centroids.row(first), count, points.dim, dots.data());
          k.argmin_rows(dots.data(), rows, count, bias.data() + first, best, value);
          for (std::size_t i = 0; i < rows; ++i) {
            if (first != 0 && !(value[i] < least[i])) continue;
            least[i] = value[i];
            assignment[begin + i] = static_cast<std::uint32_t>(first) + best[i];
          }
        }
      });
}

KmeansResult kmeans(MatrixView points, const KmeansOptions& options, const Checkpoint& checkpoint) {
  assert(options.clusters >= 1 && options.clusters <= points.rows);
  const std::size_t dim = points.dim;
  KmeansResult result;
  result.centroids.resize(options.clusters * dim);
  result.assignment.assign(points.rows, 0);
  base::Random random(options.seed);
  const std::vector<std::uint32_t> seeds = choose_rows(points.rows, options.clusters, random);
  for (std::size_t c = 0; c < seeds.size(); ++c) {
    std::copy_n(points.row(seeds[c]), dim, result.centroids.data() + c * dim);
  }
  if (options.clusters == 1) {
    update_centroids(points, group_by(result.assignment, 1), options.threads, result.centroids);
    return result;
  }
  std::vector<std::uint32_t> assignment(points.rows);
  for (std::size_t iteration = 0; iteration < std::max<std::size_t>(options.iterations, 1);
       ++iteration) {
    checkpoint();
    const MatrixView centroids{result.centroids.data(), options.clusters, dim};
    assign_points(points, centroids, half_squared_norms(centroids), options.threads,
                  assignment.data());
    fill_empty_clusters(assignment, options.clusters);
    const bool changed = iteration == 0 || assignment != result.assignment;
    result.assignment = assignment;
    if (!changed) break;
    update_centroids(points, group_by(assignment, options.clusters), options.threads,
                     result.centroids);
  }
  return result;
}

}  // namespace cairn::index

#include "index/centroid_table.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/parallel.h"
#include "quantize/kernels/kernels.h"

namespace cairn::index {
namespace {

// Few enough to look at all of them: the product is short and nothing is missed.
constexpr std::size_t kFlatCentroids = 512;
// Looking at 6 groups of 32 gave the same partitions as looking at everything (GloVe, SIFT).
constexpr std::size_t kGroupSize = 32;
constexpr std::size_t kGroupsLookedAt = 6;
constexpr std::size_t kPadding = 16;
constexpr std::size_t kRowBlock = 256;
constexpr std::size_t kGroupIterations = 6;

std::size_t padded(std::size_t count) { return (count + kPadding - 1) / kPadding * kPadding; }

}  // namespace

CentroidTable::CentroidTable(MatrixView centroids, std::span<const float> penalty,
                             std::uint64_t seed, unsigned threads, const Checkpoint& checkpoint)
    : dim_(centroids.dim) {
  if (centroids.rows <= kFlatCentroids) {
    std::vector<std::uint32_t> all(centroids.rows);
    std::iota(all.begin(), all.end(), 0u);
    add_group(centroids, penalty, all);
    return;
  }
  const KmeansResult clustered = kmeans(centroids,
                                        {.clusters = centroids.rows / kGroupSize,
                                         .iterations = kGroupIterations,
                                         .seed = seed,
                                         .threads = threads},
                                        checkpoint);
  const Groups members = group_by(clustered.assignment, clustered.centroids.size() / centroids.dim);
  for (std::size_t g = 0; g < members.size(); ++g) add_group(centroids, penalty, members[g]);
  const std::size_t count = members.size();
  centres_ = clustered.centroids;
  centres_.resize(padded(count) * dim_, 0.0f);
  centre_bias_ = half_squared_norms({centres_.data(), count, dim_});
  for (std::size_t g = 0; g < count; ++g) {
    if (members[g].empty()) centre_bias_[g] = INFINITY;
  }
  centre_bias_.resize(padded(count), INFINITY);
}

void CentroidTable::add_group(MatrixView centroids, std::span<const float> penalty,
                              std::span<const std::uint32_t> members) {
  const std::size_t first = begin_.back();
  const std::size_t end = first + padded(members.size());
  rows_.resize(end * dim_, 0.0f);
  bias_.resize(end, INFINITY);
  id_.resize(end, 0);
  for (std::size_t i = 0; i < members.size(); ++i) {
    std::copy_n(centroids.row(members[i]), dim_, rows_.data() + (first + i) * dim_);
    id_[first + i] = members[i];
  }
  const std::vector<float> norms =
      half_squared_norms({rows_.data() + first * dim_, members.size(), dim_});
  for (std::size_t i = 0; i < members.size(); ++i) {
    bias_[first + i] = norms[i] + (penalty.empty() ? 0.0f : 0.5f * penalty[members[i]]);
  }
  begin_.push_back(end);
}

void CentroidTable::find_nearest(const float* rows, std::size_t count, unsigned threads,
                                 std::uint32_t* nearest) const {
  if (groups() == 1) {
    find_in_all(rows, count, threads, nearest);
  } else {
    find_in_groups(rows, count, threads, nearest);
  }
}

void CentroidTable::find_in_all(const float* rows, std::size_t count, unsigned threads,
                                std::uint32_t* nearest) const {
  assign_points({rows, count, dim_}, {rows_.data(), begin_.back(), dim_}, bias_, threads, nearest);
  for (std::size_t i = 0; i < count; ++i) nearest[i] = id_[nearest[i]];
}

void CentroidTable::find_in_groups(const float* rows, std::size_t count, unsigned threads,
                                   std::uint32_t* nearest) const {
  const kernels::Kernels& k = kernels::active();
  const std::size_t beam = std::min(kGroupsLookedAt, groups());
  const std::size_t width = centre_bias_.size();
  // Which groups each row looks at: [count, beam].
  std::vector<std::uint32_t> chosen(count * beam);
  base::parallel_chunks(
      count, kRowBlock, threads, [&](std::size_t begin, std::size_t end, unsigned) {
        thread_local std::vector<float> dots;
        std::uint32_t best[kRowBlock];
        float value[kRowBlock];
        const std::size_t block = end - begin;
        dots.resize(kRowBlock * width);
        k.gemm_nt(rows + begin * dim_, block, centres_.data(), width, dim_, dots.data());
        for (std::size_t b = 0; b < beam; ++b) {
          k.argmin_rows(dots.data(), block, width, centre_bias_.data(), best, value);
          for (std::size_t i = 0; i < block; ++i) {
            chosen[(begin + i) * beam + b] = best[i];
            dots[i * width + best[i]] = -INFINITY;
          }
        }
      });
  // The same by group: places in `chosen`.
  const Groups lookers = group_by(chosen, groups());
  std::vector<std::uint32_t> found(count * beam);
  std::vector<float> distance(count * beam, INFINITY);
  base::parallel_for(groups(), threads, [&](std::size_t g, unsigned) {
    thread_local std::vector<float> gathered;
    thread_local std::vector<float> dots;
    std::uint32_t best[kRowBlock];
    float value[kRowBlock];
    const std::size_t members = begin_[g + 1] - begin_[g];
    if (members == 0) return;
    gathered.resize(kRowBlock * dim_);
    dots.resize(kRowBlock * members);
    for (std::size_t first = 0; first < lookers[g].size(); first += kRowBlock) {
      const std::size_t block = std::min(kRowBlock, lookers[g].size() - first);
      const std::uint32_t* places = lookers[g].data() + first;
      for (std::size_t i = 0; i < block; ++i) {
        std::copy_n(rows + places[i] / beam * dim_, dim_, gathered.data() + i * dim_);
      }
      k.gemm_nt(gathered.data(), block, rows_.data() + begin_[g] * dim_, members, dim_,
                dots.data());
      k.argmin_rows(dots.data(), block, members, bias_.data() + begin_[g], best, value);
      for (std::size_t i = 0; i < block; ++i) {
        found[places[i]] = id_[begin_[g] + best[i]];
        distance[places[i]] = value[i];
      }
    }
  });
  for (std::size_t i = 0; i < count; ++i) {
    std::size_t best = i * beam;
    for (std::size_t place = best + 1; place < (i + 1) * beam; ++place) {
      if (distance[place] < distance[best]) best = place;
    }
    nearest[i] = found[best];
  }
}

}  // namespace cairn::index

#include "index/partition.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/parallel.h"
#include "base/random.h"
#include "quantize/kernels/kernels.h"

namespace cairn::index {
namespace {

constexpr std::size_t kSamplesPerPart = 64;
constexpr std::size_t kNeighbourhood = 64;  // centroids that a point looks at in a pass
constexpr std::size_t kPasses = 4;
constexpr std::size_t kLoadBlock = 1024;  // points handled at once
constexpr double kSplitAbove = 1.5;       // times the target size
constexpr double kDissolveBelow = 0.35;
// Weight of the size penalty: a part twice the target size looks this much of the mean squared
// radius farther away.
constexpr double kBalance = 0.05;

std::vector<float> load_all(const PointSource& points, std::span<const std::uint32_t> rows,
                            unsigned threads) {
  const std::size_t dim = points.dim();
  std::vector<float> out(rows.size() * dim);
  base::parallel_chunks(rows.size(), kLoadBlock, threads,
                        [&](std::size_t begin, std::size_t end, unsigned) {
                          points.load(rows.subspan(begin, end - begin), out.data() + begin * dim);
                        });
  return out;
}

// Rows spread evenly over all rows, one drawn at random from each stratum.
std::vector<std::uint32_t> sample_rows(std::size_t rows, std::size_t count, base::Random& random) {
  std::vector<std::uint32_t> sample(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t begin = rows * i / count;
    const std::size_t end = rows * (i + 1) / count;
    sample[i] = static_cast<std::uint32_t>(begin + random.below(end - begin));
  }
  return sample;
}

// Centroids in groups: those of group g are [begin[g], begin[g + 1]).
struct GroupedCentroids {
  std::vector<float> centroids;
  std::vector<float> group_centroids;
  std::vector<std::uint32_t> begin{0};

  std::size_t groups() const { return begin.size() - 1; }
};

// Two-level k-means: about sqrt(parts) groups, then parts within each group in proportion to its
// share of the sample.
GroupedCentroids cluster_sample(MatrixView sample, std::size_t parts,
                                const PartitionOptions& options, const Checkpoint& checkpoint) {
  const std::size_t dim = sample.dim;
  GroupedCentroids result;
  const auto groups = static_cast<std::size_t>(std::sqrt(static_cast<double>(parts)) + 0.5);
  const KmeansResult top = kmeans(sample,
                                  {.clusters = std::clamp<std::size_t>(groups, 1, sample.rows),
                                   .iterations = options.iterations,
                                   .seed = options.seed,
                                   .threads = options.threads},
                                  checkpoint);
  result.group_centroids = top.centroids;
  const std::size_t num_groups = top.centroids.size() / dim;
  std::vector<std::vector<std::uint32_t>> members(num_groups);
  for (std::uint32_t i = 0; i < sample.rows; ++i) members[top.assignment[i]].push_back(i);

  std::vector<std::vector<float>> sub_centroids(num_groups);
  base::parallel_for(num_groups, options.threads, [&](std::size_t g, unsigned) {
    const std::size_t size = members[g].size();
    if (size == 0) return;
    std::vector<float> rows(size * dim);
    for (std::size_t i = 0; i < size; ++i) {
      std::copy_n(sample.row(members[g][i]), dim, rows.data() + i * dim);
    }
    const double share = static_cast<double>(size) / static_cast<double>(sample.rows);
    const auto wanted = static_cast<std::size_t>(share * static_cast<double>(parts) + 0.5);
    sub_centroids[g] = kmeans({rows.data(), size, dim},
                              {.clusters = std::clamp<std::size_t>(wanted, 1, size),
                               .iterations = options.iterations,
                               .seed = options.seed + 1 + g,
                               .threads = 1},
                              checkpoint)
                           .centroids;
  });
  for (const std::vector<float>& part : sub_centroids) {
    result.centroids.insert(result.centroids.end(), part.begin(), part.end());
    result.begin.push_back(static_cast<std::uint32_t>(result.centroids.size() / dim));
  }
  return result;
}

// Every point to the best centroid of its two nearest groups.
void assign_by_groups(const PointSource& points, const GroupedCentroids& grouped, unsigned threads,
                      std::uint32_t* assignment) {
  const kernels::Kernels& k = kernels::active();
  const std::size_t dim = points.dim();
  const std::size_t groups = grouped.groups();
  const MatrixView tops{grouped.group_centroids.data(), groups, dim};
  const MatrixView centroids{grouped.centroids.data(), grouped.centroids.size() / dim, dim};
  std::vector<float> top_bias = half_squared_norms(tops);
  for (std::size_t g = 0; g < groups; ++g) {
    if (grouped.begin[g] == grouped.begin[g + 1]) top_bias[g] = INFINITY;  // no centroid in there
  }
  const std::vector<float> bias = half_squared_norms(centroids);
  std::size_t widest = groups;
  for (std::size_t g = 0; g < groups; ++g) {
    widest = std::max<std::size_t>(widest, grouped.begin[g + 1] - grouped.begin[g]);
  }
  constexpr std::size_t kBlock = 4 * kLoadBlock;
  const auto body = [&](std::size_t begin, std::size_t end, unsigned) {
    const std::size_t count = end - begin;
    std::vector<std::uint32_t> rows(count);
    std::iota(rows.begin(), rows.end(), static_cast<std::uint32_t>(begin));
    std::vector<float> block(count * dim);
    points.load(rows, block.data());
    std::vector<float> dots(count * widest);
    k.gemm_nt(block.data(), count, tops.data, groups, dim, dots.data());
    std::vector<std::uint32_t> nearest[2] = {std::vector<std::uint32_t>(count),
                                             std::vector<std::uint32_t>(count)};
    std::vector<float> value(count);
    for (std::vector<std::uint32_t>& choice : nearest) {
      k.argmin_rows(dots.data(), count, groups, top_bias.data(), choice.data(), value.data());
      for (std::size_t i = 0; i < count; ++i) dots[i * groups + choice[i]] = -INFINITY;
    }
    std::vector<float> least(count, INFINITY);
    std::vector<float> gathered(count * dim);
    std::vector<std::uint32_t> who;
    std::vector<std::uint32_t> best(count);
    for (std::size_t g = 0; g < groups; ++g) {
      const std::size_t width = grouped.begin[g + 1] - grouped.begin[g];
      if (width == 0) continue;
      who.clear();
      for (std::uint32_t i = 0; i < count; ++i) {
        if (nearest[0][i] == g || nearest[1][i] == g) {
          std::copy_n(block.data() + i * dim, dim, gathered.data() + who.size() * dim);
          who.push_back(i);
        }
      }
      if (who.empty()) continue;
      k.gemm_nt(gathered.data(), who.size(), centroids.row(grouped.begin[g]), width, dim,
                dots.data());
      k.argmin_rows(dots.data(), who.size(), width, bias.data() + grouped.begin[g], best.data(),
                    value.data());
      for (std::size_t w = 0; w < who.size(); ++w) {
        if (value[w] < least[who[w]]) {
          least[who[w]] = value[w];
          assignment[begin + who[w]] = grouped.begin[g] + best[w];
        }
      }
    }
  };
  base::parallel_chunks(points.rows(), kBlock, threads, body);
}

// Means and radii of the groups; a part without members keeps no centroid (zeros).
void compute_means(const PointSource& points, const Groups& groups, unsigned threads,
                   std::vector<float>& centroids, std::vector<double>& radius) {
  const std::size_t dim = points.dim();
  const std::size_t parts = groups.size();
  centroids.assign(parts * dim, 0.0f);
  radius.assign(parts, 0.0);
  base::parallel_chunks(parts, 8, threads, [&](std::size_t begin, std::size_t end, unsigned) {
    std::vector<float> block(kLoadBlock * dim);
    std::vector<double> sum(dim);
    for (std::size_t p = begin; p < end; ++p) {
      const std::span<const std::uint32_t> rows = groups[p];
      if (rows.empty()) continue;
      std::fill(sum.begin(), sum.end(), 0.0);
      double squares = 0;
      for (std::size_t first = 0; first < rows.size(); first += kLoadBlock) {
        const std::size_t count = std::min(kLoadBlock, rows.size() - first);
        points.load(rows.subspan(first, count), block.data());
        for (std::size_t i = 0; i < count; ++i) {
          const float* row = block.data() + i * dim;
          float norm = 0;
          kernels::active().dot_rows(row, row, dim, nullptr, 1, dim, &norm);
          squares += static_cast<double>(norm);
          for (std::size_t j = 0; j < dim; ++j) sum[j] += static_cast<double>(row[j]);
        }
      }
      const double inverse = 1.0 / static_cast<double>(rows.size());
      double mean_norm = 0;
      for (std::size_t j = 0; j < dim; ++j) {
        const double mean = sum[j] * inverse;
        mean_norm += mean * mean;
        centroids[p * dim + j] = static_cast<float>(mean);
      }
      radius[p] = std::max(0.0, squares - mean_norm * static_cast<double>(rows.size()));
    }
  });
}

// Centroids that the members of a part may move to: the part's own, or the halves of an oversized
// part, or none if the part is dissolved.
std::vector<float> split_part(const PointSource& points, std::span<const std::uint32_t> rows,
                              std::size_t pieces, std::uint64_t seed,
                              const Checkpoint& checkpoint) {
  const std::vector<float> members = load_all(points, rows, 1);
  return kmeans({members.data(), rows.size(), points.dim()},
                {.clusters = pieces, .iterations = 6, .seed = seed, .threads = 1}, checkpoint)
      .centroids;
}

// The next pass's centroids, in the order of the parts they come from.
std::vector<float> rebalance(const PointSource& points, const Groups& groups,
                             const std::vector<float>& means, const PartitionOptions& options,
                             const Checkpoint& checkpoint) {
  const std::size_t dim = points.dim();
  const std::size_t parts = groups.size();
  const auto target = static_cast<double>(options.target_size);
  std::vector<std::vector<float>> pieces(parts);
  base::parallel_for(parts, options.threads, [&](std::size_t p, unsigned) {
    const std::span<const std::uint32_t> rows = groups[p];
    const auto size = static_cast<double>(rows.size());
    if (size > kSplitAbove * target) {
      const auto wanted = std::max<std::size_t>(2, static_cast<std::size_t>(size / target + 0.5));
      pieces[p] = split_part(points, rows, wanted, options.seed + p, checkpoint);
    } else if (size >= kDissolveBelow * target) {
      pieces[p].assign(means.begin() + static_cast<std::ptrdiff_t>(p * dim),
                       means.begin() + static_cast<std::ptrdiff_t>((p + 1) * dim));
    }
  });
  std::vector<float> centroids;
  for (const std::vector<float>& piece : pieces) {
    centroids.insert(centroids.end(), piece.begin(), piece.end());
  }
  return centroids.empty() ? means : centroids;
}

// For each row of `from` the `count` nearest rows of `to`, nearest first: [from.rows, count].
std::vector<std::uint32_t> nearest_centroids(MatrixView from, MatrixView to, std::size_t count,
                                             unsigned threads) {
  const kernels::Kernels& k = kernels::active();
  std::vector<std::uint32_t> nearest(from.rows * count);
  const std::vector<float> bias = half_squared_norms(to);
  base::parallel_chunks(from.rows, 64, threads, [&](std::size_t begin, std::size_t end, unsigned) {
    std::vector<float> dots((end - begin) * to.rows);
    std::vector<std::pair<float, std::uint32_t>> order(to.rows);
    k.gemm_nt(from.row(begin), end - begin, to.data, to.rows, to.dim, dots.data());
    for (std::size_t i = begin; i < end; ++i) {
      const float* row = dots.data() + (i - begin) * to.rows;
      for (std::uint32_t j = 0; j < to.rows; ++j) order[j] = {bias[j] - row[j], j};
      const auto cut = order.begin() + static_cast<std::ptrdiff_t>(count);
      std::nth_element(order.begin(), cut - 1, order.end());
      std::sort(order.begin(), cut);
      for (std::size_t j = 0; j < count; ++j) nearest[i * count + j] = order[j].second;
    }
  });
  return nearest;
}

// One neighbourhood pass: every point to the best of the centroids nearest to its part's mean.
void reassign(const PointSource& points, const Groups& groups, const std::vector<float>& means,
              MatrixView centroids, const std::vector<float>& bias, unsigned threads,
              std::vector<std::uint32_t>& assignment) {
  const kernels::Kernels& k = kernels::active();
  const std::size_t dim = points.dim();
  const std::size_t width = std::min(kNeighbourhood, centroids.rows);
  const std::vector<std::uint32_t> nearest =
      nearest_centroids({means.data(), groups.size(), dim}, centroids, width, threads);
  base::parallel_chunks(
      groups.size(), 4, threads, [&](std::size_t begin, std::size_t end, unsigned) {
        std::vector<float> block(kLoadBlock * dim);
        std::vector<float> near(width * dim);
        std::vector<float> near_bias(width);
        std::vector<float> dots(kLoadBlock * width);
        std::vector<std::uint32_t> best(kLoadBlock);
        std::vector<float> value(kLoadBlock);
        for (std::size_t p = begin; p < end; ++p) {
          const std::span<const std::uint32_t> rows = groups[p];
          const std::uint32_t* candidates = nearest.data() + p * width;
          for (std::size_t j = 0; j < width; ++j) {
            std::copy_n(centroids.row(candidates[j]), dim, near.data() + j * dim);
            near_bias[j] = bias[candidates[j]];
          }
          for (std::size_t first = 0; first < rows.size(); first += kLoadBlock) {
            const std::size_t count = std::min(kLoadBlock, rows.size() - first);
            points.load(rows.subspan(first, count), block.data());
            k.gemm_nt(block.data(), count, near.data(), width, dim, dots.data());
            k.argmin_rows(dots.data(), count, width, near_bias.data(), best.data(), value.data());
            for (std::size_t i = 0; i < count; ++i)
              assignment[rows[first + i]] = candidates[best[i]];
          }
        }
      });
}

// Cuts a member list into pieces of at most max_size: by k-means, or by position where the points
// do not separate.
void cut_to_size(const PointSource& points, std::vector<std::uint32_t> rows,
                 const PartitionOptions& options, std::uint64_t seed, const Checkpoint& checkpoint,
                 std::vector<std::vector<std::uint32_t>>& out) {
  if (rows.size() <= options.max_size) {
    if (!rows.empty()) out.push_back(std::move(rows));
    return;
  }
  const std::size_t pieces = (rows.size() + options.target_size - 1) / options.target_size;
  const std::vector<float> members = load_all(points, rows, 1);
  const KmeansResult split =
      kmeans({members.data(), rows.size(), points.dim()},
             {.clusters = std::max<std::size_t>(2, std::min<std::size_t>(pieces, 64)),
              .iterations = 6,
              .seed = seed,
              .threads = 1},
             checkpoint);
  std::vector<std::vector<std::uint32_t>> parts(split.centroids.size() / points.dim());
  for (std::size_t i = 0; i < rows.size(); ++i) parts[split.assignment[i]].push_back(rows[i]);
  std::size_t largest = 0;
  for (const auto& part : parts) largest = std::max(largest, part.size());
  if (10 * largest > 9 * rows.size()) {  // (nearly) equal points: separating them is no gain
    for (std::size_t begin = 0; begin < rows.size(); begin += options.max_size) {
      const std::size_t end = std::min(rows.size(), begin + options.max_size);
      out.emplace_back(rows.begin() + static_cast<std::ptrdiff_t>(begin),
                       rows.begin() + static_cast<std::ptrdiff_t>(end));
    }
    return;
  }
  for (auto& part : parts) {
    cut_to_size(points, std::move(part), options, seed + 1, checkpoint, out);
  }
}

// Drops empty parts and cuts oversized ones.
void enforce_max_size(const PointSource& points, const PartitionOptions& options,
                      const Checkpoint& checkpoint, Groups& groups) {
  std::vector<std::vector<std::vector<std::uint32_t>>> cut(groups.size());
  base::parallel_for(groups.size(), options.threads, [&](std::size_t p, unsigned) {
    const std::span<const std::uint32_t> rows = groups[p];
    cut_to_size(points, {rows.begin(), rows.end()}, options, options.seed + p, checkpoint, cut[p]);
  });
  Groups result;
  result.begin.push_back(0);
  result.members.reserve(groups.members.size());
  for (const auto& pieces : cut) {
    for (const auto& rows : pieces) {
      result.members.insert(result.members.end(), rows.begin(), rows.end());
      result.begin.push_back(static_cast<std::uint32_t>(result.members.size()));
    }
  }
  groups = std::move(result);
}

}  // namespace

Partition partition_points(const PointSource& points, const PartitionOptions& options,
                           const Checkpoint& checkpoint) {
  const std::size_t n = points.rows();
  const std::size_t dim = points.dim();
  Partition result;
  Groups& groups = result.parts;
  std::vector<double> radius;
  if (n == 0) {
    groups.begin.push_back(0);
    return result;
  }
  std::vector<std::uint32_t> assignment(n, 0);
  if (n <= options.target_size) {
    groups = group_by(assignment, 1);
    enforce_max_size(points, options, checkpoint, groups);
    compute_means(points, groups, options.threads, result.centroids, radius);
    return result;
  }
  const std::size_t parts = (n + options.target_size - 1) / options.target_size;
  base::Random random(options.seed);
  const std::vector<std::uint32_t> sample =
      sample_rows(n, std::min(n, kSamplesPerPart * parts), random);
  {
    const std::vector<float> sampled = load_all(points, sample, options.threads);
    const GroupedCentroids grouped =
        cluster_sample({sampled.data(), sample.size(), dim}, parts, options, checkpoint);
    checkpoint();
    assign_by_groups(points, grouped, options.threads, assignment.data());
    groups = group_by(assignment, grouped.centroids.size() / dim);
  }
  std::vector<float> means;
  for (std::size_t pass = 0; pass < kPasses; ++pass) {
    checkpoint();
    compute_means(points, groups, options.threads, means, radius);
    const double mean_radius =
        std::accumulate(radius.begin(), radius.end(), 0.0) / static_cast<double>(n);
    const std::vector<float> centroids = rebalance(points, groups, means, options, checkpoint);
    const MatrixView view{centroids.data(), centroids.size() / dim, dim};
    std::vector<float> bias = half_squared_norms(view);
    if (view.rows == groups.size()) {  // sizes carry over only while parts do
      for (std::size_t p = 0; p < view.rows; ++p) {
        const double share =
            static_cast<double>(groups[p].size()) / static_cast<double>(options.target_size);
        bias[p] += static_cast<float>(0.5 * kBalance * mean_radius * (share - 1));
      }
    }
    reassign(points, groups, means, view, bias, options.threads, assignment);
    groups = group_by(assignment, view.rows);
  }
  enforce_max_size(points, options, checkpoint, groups);
  compute_means(points, groups, options.threads, result.centroids, radius);
  return result;
}

}  // namespace cairn::index

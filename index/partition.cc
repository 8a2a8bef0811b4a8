#include "index/partition.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/parallel.h"
#include "base/random.h"
#include "index/centroid_table.h"
#include "index/dense_points.h"
#include "index/part_sums.h"

namespace cairn::index {
namespace {

constexpr std::size_t kSamplesPerPart = 64;
constexpr std::size_t kSeedIterations = 3;                 // more do not show after the passes
constexpr std::size_t kPasses = 4;                         // over all points
constexpr std::size_t kBlockBytes = std::size_t{4} << 20;  // of points handled at once
constexpr std::size_t kLoadBlock = 1024;                   // points loaded at once
constexpr double kSplitAbove = 1.5;                        // times the target size
constexpr double kDissolveBelow = 0.35;
constexpr std::size_t kMaxPieces = 64;     // of one split
constexpr std::size_t kMaxCutPieces = 16;  // times the hard cap: members held at once while cutting
constexpr std::size_t kSplitIterations = 6;
// Weight of the size penalty: a part twice the target size looks this much of the mean squared
// radius farther away. More makes sizes swing from pass to pass.
constexpr double kBalance = 0.02;
// A centroid moves to its part's mean and on by this much of the way. Lloyd's steps are short where
// parts touch: this takes half the passes, and 1.3 already diverges.
constexpr float kOverRelaxation = 0.9f;

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

std::vector<float> gather(MatrixView points, std::span<const std::uint32_t> rows) {
  std::vector<float> out(rows.size() * points.dim);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::copy_n(points.row(rows[i]), points.dim, out.data() + i * points.dim);
  }
  return out;
}

// Centroids from which the passes start: two-level k-means, about sqrt(parts) groups, then parts
// within each group in proportion to its share of the points. Neighbours lie beside one another.
std::vector<float> seed_centroids(MatrixView points, std::size_t parts,
                                  const PartitionOptions& options, const Checkpoint& checkpoint) {
  const auto groups = static_cast<std::size_t>(std::sqrt(static_cast<double>(parts)) + 0.5);
  const KmeansResult top = kmeans(points,
                                  {.clusters = std::clamp<std::size_t>(groups, 1, points.rows),
                                   .iterations = std::min(kSeedIterations, options.iterations),
                                   .seed = options.seed,
                                   .threads = options.threads},
                                  checkpoint);
  const Groups members = group_by(top.assignment, top.centroids.size() / points.dim);
  std::vector<std::vector<float>> pieces(members.size());
  base::parallel_for(members.size(), options.threads, [&](std::size_t g, unsigned) {
    const std::size_t size = members[g].size();
    if (size == 0) return;
    const std::vector<float> rows = gather(points, members[g]);
    const double share = static_cast<double>(size) / static_cast<double>(points.rows);
    const auto wanted = static_cast<std::size_t>(share * static_cast<double>(parts) + 0.5);
    pieces[g] = kmeans({rows.data(), size, points.dim},
                       {.clusters = std::clamp<std::size_t>(wanted, 1, size),
                        .iterations = std::min(kSeedIterations, options.iterations),
                        .seed = options.seed + 1 + g,
                        .threads = 1},
                       checkpoint)
                    .centroids;
  });
  std::vector<float> centroids;
  for (const std::vector<float>& piece : pieces) {
    centroids.insert(centroids.end(), piece.begin(), piece.end());
  }
  return centroids;
}

std::size_t sample_size(std::size_t n, std::size_t parts, const PartitionOptions& options) {
  const std::size_t allowed =
      std::max(parts, std::min(kSamplesPerPart * parts, options.max_sample_rows));
  return std::min(n, allowed);
}

void start_phase(const PartitionOptions& options, const char* phase, std::size_t total) {
  if (options.progress != nullptr) options.progress->start_phase(phase, total);
}

void advance(const PartitionOptions& options, std::size_t work) {
  if (options.progress != nullptr) options.progress->advance(work);
}

// Every point to its nearest centroid.
PartSums assign_all(const PointSource& points, const CentroidTable& table, std::size_t parts,
                    const PartitionOptions& options, const Checkpoint& checkpoint,
                    std::vector<std::uint32_t>& assignment) {
  const std::size_t dim = points.dim();
  const std::size_t block =
      std::clamp<std::size_t>(kBlockBytes / (dim * sizeof(float)), 256, 32768);
  PartSums sums(parts, dim);
  std::vector<float> rows(std::min(block, points.rows()) * dim);
  std::vector<std::uint32_t> nearest;
  for (std::size_t first = 0; first < points.rows(); first += block) {
    checkpoint();
    nearest.resize(std::min(block, points.rows() - first));
    points.read(first, nearest.size(), options.threads, rows.data());
    table.find_nearest(rows.data(), nearest.size(), options.threads, nearest.data());
    sums.add(rows.data(), nearest, options.threads);
    std::copy(nearest.begin(), nearest.end(),
              assignment.begin() + static_cast<std::ptrdiff_t>(first));
    advance(options, nearest.size());
  }
  return sums;
}

// Centroids, and how many points each may expect.
struct Centroids {
  std::vector<float> rows;
  std::vector<double> expected;
};

// Lloyd passes over a set of points. What a pass needs from the one before lives here.
class Passes {
 public:
  Passes(MatrixView sample, std::vector<float> seeds, const PartitionOptions& options,
         const Checkpoint& checkpoint)
      : sample_(sample), options_(options), checkpoint_(checkpoint) {
    for (std::size_t i = 0; i < sample.rows; ++i) {
      const float* row = sample.row(i);
      for (std::size_t j = 0; j < sample.dim; ++j) {
        mean_square_ += static_cast<double>(row[j]) * static_cast<double>(row[j]);
      }
    }
    mean_square_ /= static_cast<double>(sample.rows);
    centroids_.rows = std::move(seeds);
  }

  // Assigns all of `points`.
  PartSums assign(const PointSource& points, std::vector<std::uint32_t>& assignment) {
    const std::size_t parts = centroids_.rows.size() / sample_.dim;
    const CentroidTable table({centroids_.rows.data(), parts, sample_.dim}, penalties_,
                              options_.seed, options_.threads, checkpoint_);
    return assign_all(points, table, parts, options_, checkpoint_, assignment);
  }

  // Moves the centroids by what assign() returned; `sampled` are the members of each part that are
  // in the sample, `target` the size aimed at among as many points as were assigned.
  void move(const PartSums& sums, const Groups& sampled, double target);

 private:
  Centroids move_one(const PartSums& sums, std::size_t part, std::span<const std::uint32_t> sampled,
                     double target) const;
  Centroids split(std::size_t part, double size, std::span<const std::uint32_t> sampled,
                  std::size_t pieces) const;

  MatrixView sample_;
  const PartitionOptions& options_;
  const Checkpoint& checkpoint_;
  double mean_square_ = 0;  // of the sample's norms
  Centroids centroids_;
  std::vector<float> penalties_;
};

void Passes::move(const PartSums& sums, const Groups& sampled, double target) {
  std::vector<Centroids> pieces(sums.parts());
  base::parallel_for(sums.parts(), options_.threads, [&](std::size_t part, unsigned) {
    pieces[part] = move_one(sums, part, sampled[part], target);
  });
  Centroids next;
  double points = 0;
  for (std::size_t part = 0; part < sums.parts(); ++part) {
    const Centroids& piece = pieces[part];
    next.rows.insert(next.rows.end(), piece.rows.begin(), piece.rows.end());
    next.expected.insert(next.expected.end(), piece.expected.begin(), piece.expected.end());
    points += static_cast<double>(sums.count(part));
  }
  if (next.expected.empty()) return;  // all parts are small: they stay
  centroids_ = std::move(next);
  const double radius = std::max(0.0, mean_square_ - sums.sum_of_squared_means() / points);
  penalties_.resize(centroids_.expected.size());
  for (std::size_t part = 0; part < penalties_.size(); ++part) {
    penalties_[part] =
        static_cast<float>(kBalance * radius * (centroids_.expected[part] / target - 1));
  }
}

// The centroids that follow on one: its part's mean, relaxed, the pieces of an oversized part, or
// none for a small one, which is dissolved.
Centroids Passes::move_one(const PartSums& sums, std::size_t part,
                           std::span<const std::uint32_t> sampled, double target) const {
  const auto size = static_cast<double>(sums.count(part));
  if (size < kDissolveBelow * target) return {};
  const std::size_t pieces =
      std::min({static_cast<std::size_t>(size / target + 0.5), kMaxPieces, sampled.size()});
  if (size > kSplitAbove * target && pieces >= 2) return split(part, size, sampled, pieces);
  Centroids moved;
  moved.expected.push_back(size);
  moved.rows.resize(sample_.dim);
  sums.write_mean(part, moved.rows.data());
  const float* old = centroids_.rows.data() + part * sample_.dim;
  for (std::size_t j = 0; j < sample_.dim; ++j) {
    moved.rows[j] += kOverRelaxation * (moved.rows[j] - old[j]);
  }
  return moved;
}

Centroids Passes::split(std::size_t part, double size, std::span<const std::uint32_t> sampled,
                        std::size_t pieces) const {
  const std::vector<float> members = gather(sample_, sampled);
  KmeansResult clusters = kmeans({members.data(), sampled.size(), sample_.dim},
                                 {.clusters = pieces,
                                  .iterations = kSplitIterations,
                                  .seed = options_.seed + part,
                                  .threads = 1},
                                 checkpoint_);
  Centroids result;
  result.rows = std::move(clusters.centroids);
  result.expected.assign(pieces, 0.0);
  for (const std::uint32_t piece : clusters.assignment) {
    result.expected[piece] += size / static_cast<double>(sampled.size());
  }
  return result;
}

// Cuts a member list into pieces of at most max_size: by k-means, or by position where the points
// do not separate, or are so many that they would take too much memory.
void cut_to_size(const PointSource& points, std::vector<std::uint32_t> rows,
                 const PartitionOptions& options, std::uint64_t seed, const Checkpoint& checkpoint,
                 std::vector<std::vector<std::uint32_t>>& out) {
  if (rows.size() <= options.max_size) {
    if (!rows.empty()) out.push_back(std::move(rows));
    return;
  }
  const auto cut_by_position = [&](std::size_t size) {
    for (std::size_t begin = 0; begin < rows.size(); begin += size) {
      const std::size_t end = std::min(rows.size(), begin + size);
      cut_to_size(points,
                  {rows.begin() + static_cast<std::ptrdiff_t>(begin),
                   rows.begin() + static_cast<std::ptrdiff_t>(end)},
                  options, seed, checkpoint, out);
    }
  };
  const std::size_t most = kMaxCutPieces * options.max_size;
  if (rows.size() > most) return cut_by_position(most);
  checkpoint();
  const std::size_t pieces = (rows.size() + options.target_size - 1) / options.target_size;
  const std::vector<float> members = load_all(points, rows, 1);
  const KmeansResult split = kmeans({members.data(), rows.size(), points.dim()},
                                    {.clusters = std::max<std::size_t>(2, pieces),
                                     .iterations = kSplitIterations,
                                     .seed = seed,
                                     .threads = 1},
                                    checkpoint);
  const Groups parts = group_by(split.assignment, split.centroids.size() / points.dim());
  std::size_t largest = 0;
  for (std::size_t p = 0; p < parts.size(); ++p) largest = std::max(largest, parts[p].size());
  // (Nearly) equal points: separating them is no gain.
  if (10 * largest > 9 * rows.size()) return cut_by_position(options.max_size);
  for (std::size_t p = 0; p < parts.size(); ++p) {
    std::vector<std::uint32_t> piece;
    for (const std::uint32_t i : parts[p]) piece.push_back(rows[i]);
    cut_to_size(points, std::move(piece), options, seed + 1, checkpoint, out);
  }
}

void write_mean_of(const PointSource& points, std::span<const std::uint32_t> rows, float* mean) {
  PartSums sums(1, points.dim());
  const std::vector<float> members = load_all(points, rows, 1);
  sums.add(members.data(), std::vector<std::uint32_t>(rows.size(), 0), 1);
  sums.write_mean(0, mean);
}

// Parts and their means, without those that are empty, and oversized ones cut.
Partition finish(const PointSource& points, const Groups& groups, const PartSums& sums,
                 const PartitionOptions& options, const Checkpoint& checkpoint) {
  const std::size_t dim = points.dim();
  std::vector<std::vector<std::vector<std::uint32_t>>> cut(groups.size());
  std::vector<std::vector<float>> means(groups.size());
  base::parallel_for(groups.size(), options.threads, [&](std::size_t g, unsigned) {
    const std::span<const std::uint32_t> rows = groups[g];
    cut_to_size(points, {rows.begin(), rows.end()}, options, options.seed + g, checkpoint, cut[g]);
    means[g].resize(cut[g].size() * dim);
    if (cut[g].size() == 1) {
      sums.write_mean(g, means[g].data());
      return;
    }
    for (std::size_t piece = 0; piece < cut[g].size(); ++piece) {
      write_mean_of(points, cut[g][piece], means[g].data() + piece * dim);
    }
  });
  Partition result;
  result.parts.begin.push_back(0);
  result.parts.members.reserve(groups.members.size());
  for (std::size_t g = 0; g < groups.size(); ++g) {
    for (const std::vector<std::uint32_t>& rows : cut[g]) {
      result.parts.members.insert(result.parts.members.end(), rows.begin(), rows.end());
      result.parts.begin.push_back(static_cast<std::uint32_t>(result.parts.members.size()));
    }
    result.centroids.insert(result.centroids.end(), means[g].begin(), means[g].end());
  }
  return result;
}

}  // namespace

Partition partition_points(const PointSource& points, const PartitionOptions& options,
                           const Checkpoint& checkpoint) {
  const std::size_t n = points.rows();
  const std::size_t dim = points.dim();
  const std::size_t parts = (n + options.target_size - 1) / options.target_size;
  if (n == 0) return finish(points, group_by({}, 0), PartSums(0, dim), options, checkpoint);
  base::Random random(options.seed);
  const std::vector<std::uint32_t> sample = sample_rows(n, sample_size(n, parts, options), random);
  const std::size_t sample_passes = parts > 1 ? options.iterations : 0;
  const std::size_t passes_over_all = parts > 1 ? kPasses : 1;
  start_phase(options, "cluster", sample.size() * sample_passes);
  const std::vector<float> sampled = load_all(points, sample, options.threads);
  const MatrixView view{sampled.data(), sample.size(), dim};
  Passes passes(view, seed_centroids(view, parts, options, checkpoint), options, checkpoint);
  const auto target = static_cast<double>(options.target_size);
  const double share = static_cast<double>(sample.size()) / static_cast<double>(n);
  std::vector<std::uint32_t> sample_parts(sample.size());
  for (std::size_t pass = 0; pass < sample_passes; ++pass) {
    const PartSums sums = passes.assign(DensePoints(view), sample_parts);
    passes.move(sums, group_by(sample_parts, sums.parts()), target * share);
  }
  start_phase(options, "assign", n * passes_over_all);
  std::vector<std::uint32_t> assignment(n);
  for (std::size_t pass = 1;; ++pass) {
    const PartSums sums = passes.assign(points, assignment);
    if (pass == passes_over_all) {
      return finish(points, group_by(assignment, sums.parts()), sums, options, checkpoint);
    }
    for (std::size_t i = 0; i < sample.size(); ++i) sample_parts[i] = assignment[sample[i]];
    passes.move(sums, group_by(sample_parts, sums.parts()), target);
  }
}

}  // namespace cairn::index

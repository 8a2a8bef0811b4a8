#include "index/partition.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

#include <gtest/gtest.h>

#include "index/centroid_table.h"
#include "index/dense_points.h"
#include "index/part_sums.h"
#include "tests/util/random_vectors.h"

namespace cairn::test {
namespace {

using index::CentroidTable;
using index::DensePoints;
using index::Partition;
using index::partition_points;
using index::PartitionOptions;
using index::PartSums;

const index::Checkpoint kNoCheckpoint = [] {};

double squared_distance(const float* a, const float* b, std::size_t dim) {
  double sum = 0;
  for (std::size_t j = 0; j < dim; ++j) {
    const double difference = static_cast<double>(a[j]) - static_cast<double>(b[j]);
    sum += difference * difference;
  }
  return sum;
}

Partition partition(const Vectors& vectors, std::size_t target, unsigned threads = 2) {
  return partition_points(DensePoints(vectors.view()),
                          {.target_size = target, .max_size = 2 * target, .threads = threads},
                          kNoCheckpoint);
}

// Every row is in one part, no part is empty or above the cap, centroids are means.
void expect_valid(const Partition& partition, const Vectors& vectors, std::size_t max_size) {
  const MatrixView view = vectors.view();
  std::vector<int> seen(view.rows, 0);
  for (std::size_t p = 0; p < partition.size(); ++p) {
    ASSERT_GE(partition.part(p).size(), 1u);
    ASSERT_LE(partition.part(p).size(), max_size);
    for (std::size_t j = 0; j < view.dim; ++j) {
      double sum = 0;
      for (const std::uint32_t row : partition.part(p))
        sum += static_cast<double>(view.row(row)[j]);
      ASSERT_NEAR(sum / static_cast<double>(partition.part(p).size()),
                  partition.centroids[p * view.dim + j], 1e-4);
    }
    for (const std::uint32_t row : partition.part(p)) ++seen[row];
  }
  EXPECT_TRUE(std::all_of(seen.begin(), seen.end(), [](int count) { return count == 1; }));
}

double squared_error(const Partition& partition, MatrixView view) {
  double error = 0;
  for (std::size_t p = 0; p < partition.size(); ++p) {
    for (const std::uint32_t row : partition.part(p)) {
      error += squared_distance(view.row(row), partition.centroids.data() + p * view.dim, view.dim);
    }
  }
  return error;
}

double size_variation(const Partition& partition) {
  const auto parts = static_cast<double>(partition.size());
  const double mean = static_cast<double>(partition.parts.members.size()) / parts;
  double variance = 0;
  for (std::size_t p = 0; p < partition.size(); ++p) {
    const double deviation = static_cast<double>(partition.part(p).size()) - mean;
    variance += deviation * deviation;
  }
  return std::sqrt(variance / parts) / mean;
}

TEST(PartitionPoints, HoldsEveryRowOnceInPartsOfEvenSize) {
  const Vectors vectors = clustered_vectors(20000, 24, 60, 3);
  const Partition result = partition(vectors, 100);
  expect_valid(result, vectors, 200);
  EXPECT_LT(size_variation(result), 0.35);
}

TEST(PartitionPoints, IsAsTightAsFlatKmeans) {
  const Vectors vectors = clustered_vectors(20000, 24, 60, 4);
  const MatrixView view = vectors.view();
  const Partition result = partition(vectors, 100);
  index::KmeansResult flat = index::kmeans(
      view, {.clusters = result.size(), .iterations = 25, .threads = 2}, kNoCheckpoint);
  const Partition reference{std::move(flat.centroids),
                            index::group_by(flat.assignment, result.size())};
  EXPECT_LT(squared_error(result, view), 1.05 * squared_error(reference, view));
}

TEST(PartitionPoints, DoesNotDependOnThreads) {
  // More than 512 parts, so that groups of centroids are in play.
  const Vectors vectors = clustered_vectors(30000, 12, 40, 5);
  const Partition one = partition(vectors, 40, 1);
  const Partition three = partition(vectors, 40, 3);
  EXPECT_GT(one.size(), 512u);
  EXPECT_EQ(one.centroids, three.centroids);
  EXPECT_EQ(one.parts.begin, three.parts.begin);
  EXPECT_EQ(one.parts.members, three.parts.members);
}

TEST(PartitionPoints, CutsEqualPointsByPosition) {
  Vectors vectors = clustered_vectors(5000, 8, 1, 1);
  std::fill(vectors.values.begin(), vectors.values.end(), 1.5f);
  const Partition result = partition(vectors, 32);
  expect_valid(result, vectors, 64);
}

TEST(PartitionPoints, KeepsACrowdOfDuplicatesAmongOtherRowsUnderTheCap) {
  Vectors vectors = clustered_vectors(6000, 8, 10, 6);
  std::fill(vectors.values.begin(), vectors.values.begin() + 8 * 3000, 0.25f);
  const Partition result = partition(vectors, 32);
  expect_valid(result, vectors, 64);
}

TEST(PartitionPoints, TakesAnyNumberOfRows) {
  for (const std::size_t rows : {1, 2, 3, 31, 32, 33, 65, 200}) {
    const Vectors vectors = clustered_vectors(rows, 4, 2, rows);
    expect_valid(partition(vectors, 32), vectors, 64);
  }
  EXPECT_EQ(partition(Vectors{{}, 0, 4}, 32).size(), 0u);
}

TEST(PartitionPoints, MakesPartsOfOneRow) {
  const Vectors vectors = clustered_vectors(300, 4, 3, 7);
  const Partition result = partition_points(
      DensePoints(vectors.view()), {.target_size = 1, .max_size = 1, .threads = 2}, kNoCheckpoint);
  EXPECT_EQ(result.size(), 300u);
  expect_valid(result, vectors, 1);
}

TEST(PartitionPoints, StopsWhereTheCheckpointThrows) {
  const Vectors vectors = clustered_vectors(20000, 8, 10, 8);
  int calls = 0;
  const index::Checkpoint stop_at_third = [&calls] {
    if (++calls == 3) throw std::runtime_error("stop");
  };
  EXPECT_THROW(partition_points(DensePoints(vectors.view()), {.target_size = 64, .max_size = 128},
                                stop_at_third),
               std::runtime_error);
  EXPECT_EQ(calls, 3);
}

// Share of rows whose nearest centroid is found.
double share_found(const Vectors& rows, const Vectors& centroids, unsigned threads) {
  const std::size_t dim = rows.view().dim;
  const CentroidTable table(centroids.view(), {}, 1, 2, kNoCheckpoint);
  std::vector<std::uint32_t> nearest(rows.view().rows);
  table.find_nearest(rows.view().data, rows.view().rows, threads, nearest.data());
  std::size_t found = 0;
  for (std::size_t i = 0; i < nearest.size(); ++i) {
    const auto distance_to = [&](std::size_t c) {
      return squared_distance(rows.view().row(i), centroids.view().row(c), dim);
    };
    double least = INFINITY;
    for (std::size_t c = 0; c < centroids.view().rows; ++c) least = std::min(least, distance_to(c));
    found += distance_to(nearest[i]) <= least * (1 + 1e-5) + 1e-5 ? 1 : 0;
  }
  return static_cast<double>(found) / static_cast<double>(nearest.size());
}

TEST(CentroidTable, LooksAtAllOfAFewCentroids) {
  const Vectors rows = clustered_vectors(700, 20, 30, 1);
  for (const std::size_t count : {1, 2, 15, 16, 17, 500}) {
    EXPECT_EQ(share_found(rows, clustered_vectors(count, 20, 30, 2), 2), 1.0) << count;
  }
}

TEST(CentroidTable, FindsNearlyAllOfMany) {
  const Vectors all = clustered_vectors(4000, 20, 60, 1);
  const auto middle = all.values.begin() + 2000 * 20;
  const Vectors centroids{{all.values.begin(), middle}, 2000, 20};
  const Vectors rows{{middle, all.values.end()}, 2000, 20};
  EXPECT_GT(share_found(rows, centroids, 2), 0.95);
}

TEST(CentroidTable, SurvivesEqualCentroids) {
  Vectors centroids = clustered_vectors(2000, 8, 1, 1);
  std::fill(centroids.values.begin(), centroids.values.end(), 1.0f);
  EXPECT_EQ(share_found(clustered_vectors(500, 8, 5, 1), centroids, 2), 1.0);
}

TEST(CentroidTable, PenaltiesMoveTheBorder) {
  const Vectors centroids{{0.0f, 10.0f}, 2, 1};
  const std::vector<float> rows = {4.0f, 6.0f};
  std::vector<std::uint32_t> nearest(2);
  CentroidTable(centroids.view(), {}, 1, 1, kNoCheckpoint)
      .find_nearest(rows.data(), 2, 1, nearest.data());
  EXPECT_EQ(nearest, (std::vector<std::uint32_t>{0, 1}));
  // 4^2 + 30 > 6^2: the row at 4 goes to the other one.
  CentroidTable(centroids.view(), std::vector<float>{30.0f, 0.0f}, 1, 1, kNoCheckpoint)
      .find_nearest(rows.data(), 2, 1, nearest.data());
  EXPECT_EQ(nearest, (std::vector<std::uint32_t>{1, 1}));
}

TEST(PartSums, AddsUpOverBlocks) {
  PartSums sums(3, 2);
  const std::vector<float> first = {1, 2, 3, 4};
  const std::vector<float> second = {5, 6};
  sums.add(first.data(), {0, 2}, 1);
  sums.add(second.data(), {0}, 2);
  std::vector<float> mean(2);
  sums.write_mean(0, mean.data());
  EXPECT_EQ(sums.count(0), 2u);
  EXPECT_EQ(mean, (std::vector<float>{3, 4}));
  sums.write_mean(1, mean.data());
  EXPECT_EQ(sums.count(1), 0u);
  EXPECT_EQ(mean, (std::vector<float>{0, 0}));
  EXPECT_DOUBLE_EQ(sums.sum_of_squared_means(), 2 * 25.0 + 25.0);
}

}  // namespace
}  // namespace cairn::test

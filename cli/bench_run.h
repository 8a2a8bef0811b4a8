#pragma once

// Measures searches: latency of each query, recall against known neighbours, work done.

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <cairn/clustered_index.h>

namespace cairn::cli {

// The true neighbours of some of the queries.
struct BenchTruth {
  std::vector<std::size_t> queries;  // which ones, ascending
  BatchResult neighbours;            // row i belongs to queries[i]
  std::string source;                // "file" or "exact search"
};

// Reads ids, and the distances beside them if there are any, for these queries.
// Throws Error if there are fewer rows, or fewer than k columns, or it cannot be the truth of this
// index (see check_truth_fits).
BenchTruth read_truth(const std::filesystem::path& path, const ClusteredIndex& index,
                      MatrixView queries, std::size_t k);

// Finds the true neighbours of queries spread over all, as many as a few seconds allow, among
// `base`; row i of the base is the index's ids[i], or i if ids are empty.
BenchTruth compute_truth(MatrixView base, std::span<const VectorId> ids, MatrixView queries,
                         std::size_t k, Metric metric);

struct BenchPlan {
  MatrixView queries;
  SearchOptions options;  // k, rerank_factor; a point sets the rest
  unsigned clients = 1;   // threads that each ask one query after another
  unsigned repeat = 3;    // the run of least median latency counts
};

struct BenchPoint {
  std::optional<double> target_recall;  // empty if probes were asked for
  std::size_t probes = 0;
  double recall = 0;
  double qps = 0;
  double mean_us = 0;
  double p50_us = 0;
  double p95_us = 0;
  double p99_us = 0;
  double scanned_vectors = 0;  // means per query, from here on
  double refined_vectors = 0;
  double exact_reads = 0;
  double leaves_scanned = 0;
  std::vector<double> latencies_us;  // of the run that counts, ascending
  std::optional<TieredStats> tiers;  // of the measured runs, if vectors are tiered
};

// Warms up with one run over all queries, which also gives recall and the work done, then measures
// plan.repeat runs. Throws Error: cancelled, and what search() throws.
BenchPoint measure_point(const ClusteredIndex& index, const BenchPlan& plan,
                         const BenchTruth& truth, std::optional<double> target_recall,
                         std::size_t probes);

}  // namespace cairn::cli

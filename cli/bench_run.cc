#include "cli/bench_run.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <exception>
#include <functional>
#include <limits>
#include <mutex>
#include <numeric>
#include <thread>

#include <cairn/error.h>
#include <cairn/exact_search.h>

#include "cli/interruption.h"
#include "cli/progress_bar.h"
#include "cli/result_files.h"
#include "cli/truth_fit.h"

namespace cairn::cli {
namespace {

using Clock = std::chrono::steady_clock;

// Multiplications that exact search may spend on truth for a sample of the queries.
constexpr double kTruthBudget = 4e10;
constexpr std::size_t kLeastSample = 20;

// Calls ask(query) for each query, from as many threads as there are clients.
void run_clients(std::size_t queries, unsigned clients,
                 const std::function<void(std::size_t)>& ask) {
  std::atomic<std::size_t> next{0};
  std::exception_ptr failure;
  std::mutex failure_mutex;
  const auto serve = [&] {
    try {
      for (std::size_t query = next++; query < queries; query = next++) {
        stop_if_interrupted();
        ask(query);
      }
    } catch (...) {
      next = queries;
      const std::lock_guard lock(failure_mutex);
      if (!failure) failure = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> others;
    for (unsigned i = 1; i < clients; ++i) others.emplace_back(serve);
    serve();
  }
  if (failure) std::rethrow_exception(failure);
}

struct WarmUp {
  std::vector<Neighbor> found;  // [queries, k]
  std::vector<std::size_t> counts;
  std::vector<SearchStats> stats;
};

WarmUp warm_up(const ClusteredIndex& index, const BenchPlan& plan, const SearchOptions& options) {
  const MatrixView& queries = plan.queries;
  WarmUp result{std::vector<Neighbor>(queries.rows * options.k),
                std::vector<std::size_t>(queries.rows), std::vector<SearchStats>(queries.rows)};
  run_clients(queries.rows, plan.clients, [&](std::size_t query) {
    result.counts[query] = index.search(
        {queries.row(query), queries.dim}, options,
        std::span(result.found).subspan(query * options.k, options.k), &result.stats[query]);
  });
  return result;
}

double recall_of(const WarmUp& run, std::size_t k, const BenchTruth& truth) {
  BatchResult found{truth.queries.size(), k, {}, {}};
  found.ids.assign(found.queries * k, kNoId);
  found.distances.assign(found.queries * k, std::numeric_limits<float>::infinity());
  for (std::size_t i = 0; i < truth.queries.size(); ++i) {
    const std::size_t query = truth.queries[i];
    for (std::size_t rank = 0; rank < run.counts[query]; ++rank) {
      found.ids[i * k + rank] = run.found[query * k + rank].id;
      found.distances[i * k + rank] = run.found[query * k + rank].distance;
    }
  }
  return recall_at_k(found, truth.neighbours, k);
}

void add_work(const std::vector<SearchStats>& stats, BenchPoint& point) {
  for (const SearchStats& one : stats) {
    point.scanned_vectors += static_cast<double>(one.codes_scanned);
    point.refined_vectors += static_cast<double>(one.codes_refined);
    point.exact_reads += static_cast<double>(one.vectors_read);
    point.leaves_scanned += static_cast<double>(one.leaves_scanned);
  }
  const auto queries = static_cast<double>(stats.size());
  for (double* mean : {&point.scanned_vectors, &point.refined_vectors, &point.exact_reads,
                       &point.leaves_scanned}) {
    *mean /= queries;
  }
}

// The value that a share of the sorted values does not exceed.
double percentile(const std::vector<double>& sorted, double share) {
  const auto rank = std::ceil(share * static_cast<double>(sorted.size()));
  return sorted[std::min(sorted.size() - 1, static_cast<std::size_t>(std::max(rank, 1.0)) - 1)];
}

struct TimedRun {
  std::vector<double> latencies_us;  // ascending
  double seconds = 0;
};

TimedRun time_run(const ClusteredIndex& index, const BenchPlan& plan,
                  const SearchOptions& options) {
  const MatrixView& queries = plan.queries;
  TimedRun run{std::vector<double>(queries.rows), 0};
  std::vector<Neighbor> found(queries.rows * options.k);
  const Clock::time_point start = Clock::now();
  run_clients(queries.rows, plan.clients, [&](std::size_t query) {
    const Clock::time_point asked = Clock::now();
    index.search({queries.row(query), queries.dim}, options,
                 std::span(found).subspan(query * options.k, options.k));
    run.latencies_us[query] =
        std::chrono::duration<double, std::micro>(Clock::now() - asked).count();
  });
  run.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  std::sort(run.latencies_us.begin(), run.latencies_us.end());
  return run;
}

}  // namespace

BenchTruth read_truth(const std::filesystem::path& path, const ClusteredIndex& index,
                      MatrixView queries, std::size_t k) {
  BenchTruth truth{std::vector<std::size_t>(queries.rows), read_result(path, queries.rows), "file"};
  std::iota(truth.queries.begin(), truth.queries.end(), std::size_t{0});
  if (truth.neighbours.k < k) {
    throw Error(ErrorCode::invalid_argument,
                path.string() + ": truth has " + std::to_string(truth.neighbours.k) +
                    " columns; expected at least k = " + std::to_string(k));
  }
  check_truth_fits(path.string(), truth.neighbours, index, queries);
  return truth;
}

BenchTruth compute_truth(MatrixView base, std::span<const VectorId> ids, MatrixView queries,
                         std::size_t k, Metric metric) {
  const double cost_of_one = static_cast<double>(base.rows) * static_cast<double>(base.dim);
  const double affordable = kTruthBudget / std::max(cost_of_one, 1.0);
  const std::size_t sample =
      affordable >= static_cast<double>(queries.rows)
          ? queries.rows
          : std::min(queries.rows, std::max(kLeastSample, static_cast<std::size_t>(affordable)));
  BenchTruth truth{{}, {}, "exact search"};
  std::vector<float> sampled;
  for (std::size_t i = 0; i < sample; ++i) {
    truth.queries.push_back(i * queries.rows / sample);
    const float* const query = queries.row(truth.queries.back());
    sampled.insert(sampled.end(), query, query + queries.dim);
  }
  ProgressBar bar("truth");
  truth.neighbours = exact_search(base, {sampled.data(), sample, queries.dim}, k, metric, 0,
                                  [&](std::size_t done) { return bar.update(done, sample); });
  if (ids.empty()) return truth;
  for (VectorId& id : truth.neighbours.ids) {
    if (id != kNoId) id = ids[id];
  }
  return truth;
}

BenchPoint measure_point(const ClusteredIndex& index, const BenchPlan& plan,
                         const BenchTruth& truth, std::optional<double> target_recall,
                         std::size_t probes) {
  SearchOptions options = plan.options;
  options.probes = probes;
  if (target_recall) options.target_recall = static_cast<float>(*target_recall);
  BenchPoint point;
  point.target_recall = target_recall;
  point.probes = target_recall ? index.calibrated_probes(options.target_recall, options.k) : probes;
  const WarmUp warm = warm_up(index, plan, options);
  point.recall = recall_of(warm, options.k, truth);
  add_work(warm.stats, point);

  const std::optional<TieredStats> tiers_before = index.tier_stats();
  TimedRun best;
  for (unsigned i = 0; i < plan.repeat; ++i) {
    TimedRun run = time_run(index, plan, options);
    if (i == 0 || percentile(run.latencies_us, 0.5) < percentile(best.latencies_us, 0.5)) {
      best = std::move(run);
    }
  }
  if (tiers_before) point.tiers = index.tier_stats()->since(*tiers_before);
  const auto queries = static_cast<double>(plan.queries.rows);
  point.qps = queries / best.seconds;
  point.mean_us =
      std::accumulate(best.latencies_us.begin(), best.latencies_us.end(), 0.0) / queries;
  point.p50_us = percentile(best.latencies_us, 0.5);
  point.p95_us = percentile(best.latencies_us, 0.95);
  point.p99_us = percentile(best.latencies_us, 0.99);
  point.latencies_us = std::move(best.latencies_us);
  return point;
}

}  // namespace cairn::cli

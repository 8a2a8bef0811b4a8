// Filtered search beside unfiltered search and beside exact search of the allowed vectors, for
// filters of all sizes, at random and as correlated with where vectors lie; then range search at
// distances that hold few to many vectors. Writes two tables.
//
//   cairn_filters_bench BASE QUERIES METRIC [LABELS QUERY_LABELS] [RECALL]
//
// Times are CPU time per query of one thread, the least of some rounds that take turns. Exact
// search is the library's own kernel over the allowed rows of the matrix, one query at a time.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <cairn/clustered_index.h>
#include <cairn/exact_search.h>
#include <cairn/io.h>

#include "quantize/kernels/kernels.h"

namespace {

using cairn::MatrixView;
using cairn::Metric;
using cairn::VectorId;

constexpr std::size_t kQueries = 500;
constexpr std::size_t kVariants = 10;  // filters of a kind, which queries take in turn
constexpr std::size_t kK = 10;
constexpr std::size_t kMostInRange = 5000;
constexpr int kRounds = 7;
constexpr std::size_t kExactRows = 2'000'000;

struct DataSet {
  cairn::Matrix<float> base;
  cairn::Matrix<float> queries;
  Metric metric = Metric::l2;
  std::vector<int> labels;  // of rows, empty if there are none
  std::vector<int> query_labels;

  MatrixView rows() const { return {base.values.data(), base.rows, base.dim}; }
};

// A filter for each of kVariants; query q is asked with the one of variant(q).
struct FilterKind {
  std::string name;
  std::vector<std::vector<VectorId>> ids;
  std::function<std::size_t(std::size_t)> variant;
};

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// A number for each line; equal lines get equal numbers.
std::vector<int> read_labels(const std::filesystem::path& path,
                             std::map<std::string, int>& numbers) {
  std::ifstream file(path);
  std::vector<int> labels;
  for (std::string line; std::getline(file, line);) {
    labels.push_back(numbers.emplace(line, static_cast<int>(numbers.size())).first->second);
  }
  return labels;
}

// Distances of all rows to a query, as users see them.
void all_distances(const DataSet& data, const float* query, const std::vector<std::uint32_t>& rows,
                   std::vector<double>& products, std::vector<float>& out) {
  const cairn::kernels::Kernels& kernels = cairn::kernels::active();
  const std::size_t dim = data.base.dim;
  const float* const base = data.base.values.data();
  out.resize(rows.size());
  switch (data.metric) {
    case Metric::l2:
      kernels.l2sq_rows(query, base, dim, rows.data(), rows.size(), dim, out.data());
      return;
    case Metric::inner_product:
      kernels.dot_rows(query, base, dim, rows.data(), rows.size(), dim, out.data());
      for (float& value : out) value = -value;
      return;
    case Metric::cosine: {
      products.resize(2 * rows.size());
      double* const dots = products.data();
      double* const norms = dots + rows.size();
      double dot = 0;
      double norm = 0;
      kernels.dot_norm_rows(query, query, dim, nullptr, 1, dim, &dot, &norm);
      kernels.dot_norm_rows(query, base, dim, rows.data(), rows.size(), dim, dots, norms);
      for (std::size_t i = 0; i < out.size(); ++i) {
        out[i] = static_cast<float>(1 - dots[i] / std::sqrt(norm * norms[i]));
      }
      return;
    }
  }
}

std::vector<std::uint32_t> to_rows(const std::vector<VectorId>& ids) {
  return {ids.begin(), ids.end()};
}

// The nearest kK of some rows by reading them all.
class ExactSearch {
 public:
  void search(const DataSet& data, const float* query, const std::vector<std::uint32_t>& rows,
              std::vector<VectorId>& found) {
    all_distances(data, query, rows, products_, distances_);
    const std::size_t count = std::min(kK, rows.size());
    order_.resize(rows.size());
    for (std::uint32_t i = 0; i < rows.size(); ++i) order_[i] = {distances_[i], rows[i]};
    std::nth_element(order_.begin(), order_.begin() + static_cast<std::ptrdiff_t>(count) - 1,
                     order_.end());
    found.clear();
    for (std::size_t i = 0; i < count; ++i) found.push_back(order_[i].second);
  }

 private:
  std::vector<double> products_;
  std::vector<float> distances_;
  std::vector<std::pair<float, std::uint32_t>> order_;
};

std::vector<FilterKind> make_kinds(const DataSet& data) {
  std::vector<FilterKind> kinds;
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> uniform(0, 1);
  const auto in_turn = [](std::size_t query) { return query % kVariants; };
  for (const double share : {0.5, 0.1, 0.01, 0.001, 0.0001}) {
    FilterKind kind{"random", {}, in_turn};
    for (std::size_t v = 0; v < kVariants; ++v) {
      std::vector<VectorId> ids;
      for (VectorId id = 0; id < data.base.rows; ++id) {
        if (uniform(random) < share) ids.push_back(id);
      }
      if (ids.empty()) ids.push_back(random() % data.base.rows);
      kind.ids.push_back(std::move(ids));
    }
    kinds.push_back(std::move(kind));
  }
  // The nearest to a row chosen at random, and all but these.
  std::vector<std::uint32_t> all(data.base.rows);
  for (std::uint32_t i = 0; i < all.size(); ++i) all[i] = i;
  std::vector<std::vector<std::uint32_t>> by_distance;
  for (std::size_t v = 0; v < kVariants; ++v) {
    std::vector<double> products;
    std::vector<float> distances;
    all_distances(data, data.base.row(random() % data.base.rows), all, products, distances);
    by_distance.push_back(all);
    std::sort(by_distance.back().begin(), by_distance.back().end(), [&](auto a, auto b) {
      return distances[a] != distances[b] ? distances[a] < distances[b] : a < b;
    });
  }
  for (const double share : {0.5, 0.1, 0.01, 0.001, 0.0001}) {
    FilterKind kind{"neighbourhood", {}, in_turn};
    const auto count = std::max<std::size_t>(
        1, static_cast<std::size_t>(share * static_cast<double>(data.base.rows)));
    for (const auto& rows : by_distance)
      kind.ids.emplace_back(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(count));
    kinds.push_back(std::move(kind));
  }
  FilterKind rest{"all but a neighbourhood", {}, in_turn};
  for (const auto& rows : by_distance) {
    rest.ids.emplace_back(rows.begin() + static_cast<std::ptrdiff_t>(rows.size() / 2), rows.end());
  }
  kinds.push_back(std::move(rest));
  if (data.labels.empty()) return kinds;
  FilterKind any{"a label", {}, in_turn};
  FilterKind other{"all but the query's label", {}, [&data](std::size_t query) {
                     return static_cast<std::size_t>(data.query_labels[query]);
                   }};
  for (int label = 0; label < static_cast<int>(kVariants); ++label) {
    std::vector<VectorId> with;
    std::vector<VectorId> without;
    for (VectorId id = 0; id < data.base.rows; ++id) {
      (data.labels[id] == label ? with : without).push_back(id);
    }
    any.ids.push_back(std::move(with));
    other.ids.push_back(std::move(without));
  }
  FilterKind own{"the query's label", any.ids, other.variant};
  kinds.push_back(std::move(any));
  kinds.push_back(std::move(own));
  kinds.push_back(std::move(other));
  return kinds;
}

// Least CPU time per query of each of several searches, in turns.
struct Timed {
  std::size_t queries;
  std::function<void(std::size_t)> search;
};
std::vector<double> time_in_turns(const std::vector<Timed>& searches) {
  std::vector<double> least(searches.size(), 1e9);
  for (int round = 0; round < kRounds; ++round) {
    for (std::size_t s = 0; s < searches.size(); ++s) {
      const double start = cpu_seconds();
      for (std::size_t q = 0; q < searches[s].queries; ++q) searches[s].search(q);
      least[s] =
          std::min(least[s], (cpu_seconds() - start) / static_cast<double>(searches[s].queries));
    }
  }
  return least;
}

struct Work {
  double leaves = 0;
  double codes = 0;
  double refined = 0;
  double reads = 0;
};

void measure(const DataSet& data, const cairn::ClusteredIndex& index, const FilterKind& kind,
             float target) {
  const std::size_t queries = std::min<std::size_t>(kQueries, data.queries.rows);
  std::vector<cairn::PreparedFilter> filters;
  std::vector<std::vector<std::uint32_t>> rows;
  std::size_t allowed = 0;
  for (const auto& ids : kind.ids) {
    filters.push_back(index.prepare(cairn::Filter::from_ids(ids)));
    rows.push_back(to_rows(ids));
    std::sort(rows.back().begin(), rows.back().end());
    allowed += ids.size();
  }
  ExactSearch exact;
  std::vector<VectorId> truth;
  std::vector<cairn::Neighbor> found(kK);
  cairn::SearchStats stats;
  const auto ask = [&](std::size_t q, bool is_filtered) {
    cairn::SearchOptions options{.k = kK, .target_recall = target};
    if (is_filtered) options.prepared_filter = &filters[kind.variant(q)];
    return index.search({data.queries.row(q), data.queries.dim}, options, found, &stats);
  };
  const auto ask_exact = [&](std::size_t q) {
    exact.search(data, data.queries.row(q), rows[kind.variant(q)], truth);
  };
  std::size_t hits = 0;
  std::size_t wanted = 0;
  bool is_full = true;
  Work work;
  for (std::size_t q = 0; q < queries; ++q) {
    ask_exact(q);
    const std::size_t count = ask(q, true);
    is_full = is_full && count == truth.size();
    const std::set<VectorId> expected(truth.begin(), truth.end());
    wanted += expected.size();
    for (std::size_t i = 0; i < count; ++i) hits += expected.count(found[i].id);
    work.leaves += static_cast<double>(stats.leaves_scanned);
    work.codes += static_cast<double>(stats.codes_scanned);
    work.refined += static_cast<double>(stats.codes_refined);
    work.reads += static_cast<double>(stats.vectors_read);
  }
  // Of exact search, which takes its time, fewer queries will do.
  const std::size_t few =
      std::clamp<std::size_t>(kExactRows / (allowed / kind.ids.size() + 1), 2 * kVariants, queries);
  const std::vector<double> seconds =
      time_in_turns({{queries, [&](std::size_t q) { ask(q, false); }},
                     {queries, [&](std::size_t q) { ask(q, true); }},
                     {few, ask_exact}});
  const auto n = static_cast<double>(queries);
  std::printf(
      "| %s | %.3g %% | %.4f%s | %.1f | %.2f | %.3g | %.0f | %.0f | %.0f | %.0f |\n",
      kind.name.c_str(),
      100.0 * static_cast<double>(allowed) / static_cast<double>(kind.ids.size() * data.base.rows),
      static_cast<double>(hits) / static_cast<double>(wanted), is_full ? "" : " (too few!)",
      1e6 * seconds[1], seconds[1] / seconds[0], seconds[1] / seconds[2], work.leaves / n,
      work.codes / n, work.refined / n, work.reads / n);
  std::fflush(stdout);
}

double unfiltered_recall(const DataSet& data, const cairn::ClusteredIndex& index, float target) {
  const MatrixView queries{data.queries.values.data(),
                           std::min<std::size_t>(kQueries, data.queries.rows), data.queries.dim};
  return cairn::recall_at_k(index.search_batch(queries, {.k = kK, .target_recall = target}),
                            cairn::exact_search(data.rows(), queries, kK, data.metric), kK);
}

// One distance for all queries: the median over queries of that of the neighbour of this rank.
void measure_range(const DataSet& data, const cairn::ClusteredIndex& index,
                   const cairn::BatchResult& truth, std::size_t rank, float target) {
  std::vector<float> distances;
  for (std::size_t q = 0; q < truth.queries; ++q) {
    distances.push_back(truth.distances[q * truth.k + rank - 1]);
  }
  const auto middle = distances.begin() + static_cast<std::ptrdiff_t>(distances.size() / 2);
  std::nth_element(distances.begin(), middle, distances.end());
  const float distance = *middle;
  std::size_t found = 0;
  std::size_t expected = 0;
  std::size_t queries = 0;
  std::size_t leaves = 0;
  double seconds = 0;
  for (std::size_t q = 0; q < truth.queries; ++q) {
    const float* const row = truth.distances.data() + q * truth.k;
    const auto count =
        static_cast<std::size_t>(std::upper_bound(row, row + truth.k, distance) - row);
    if (count == truth.k) continue;  // the truth may be longer
    cairn::SearchStats stats;
    const double start = cpu_seconds();
    found += index
                 .range_search({data.queries.row(q), data.queries.dim}, distance,
                               {.target_recall = target}, &stats)
                 .size();
    seconds += cpu_seconds() - start;
    expected += count;
    leaves += stats.leaves_scanned;
    ++queries;
  }
  const auto n = static_cast<double>(queries);
  std::printf("| %zu | %.1f | %.4f | %.1f | %.0f |\n", rank, static_cast<double>(expected) / n,
              static_cast<double>(found) / static_cast<double>(expected), 1e6 * seconds / n,
              static_cast<double>(leaves) / n);
}

void measure_ranges(const DataSet& data, const cairn::ClusteredIndex& index, float target) {
  const MatrixView queries{data.queries.values.data(),
                           std::min<std::size_t>(kQueries, data.queries.rows), data.queries.dim};
  const cairn::BatchResult truth =
      cairn::exact_search(data.rows(), queries, kMostInRange, data.metric);
  std::printf(
      "\n| distance of rank | vectors within | recall | us | leaves |\n"
      "|---|---|---|---|---|\n");
  for (const std::size_t rank : {1, 10, 100, 1000}) {
    measure_range(data, index, truth, rank, target);
  }
}

int run(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: %s BASE QUERIES METRIC [LABELS QUERY_LABELS] [RECALL]\n", argv[0]);
    return 2;
  }
  DataSet data{cairn::read_vectors(argv[1]),
               cairn::read_vectors(argv[2]),
               cairn::parse_metric(argv[3]).value_or(Metric::l2),
               {},
               {}};
  if (argc >= 6) {
    std::map<std::string, int> numbers;
    data.labels = read_labels(argv[4], numbers);
    data.query_labels = read_labels(argv[5], numbers);
  }
  const float target = argc == 5 || argc == 7 ? std::strtof(argv[argc - 1], nullptr) : 0.95f;
  const auto index = cairn::ClusteredIndex::build(data.rows(), {.metric = data.metric});
  std::printf("%zu x %zu, %s, %s; unfiltered recall@%zu %.4f at target %.2f\n\n", data.base.rows,
              data.base.dim, cairn::to_string(data.metric), cairn::active_isa(), kK,
              unfiltered_recall(data, index, target), static_cast<double>(target));
  std::printf(
      "| filter | allowed | recall | us | time / unfiltered | time / exact | leaves | codes | "
      "refined "
      "| reads |\n|---|---|---|---|---|---|---|---|---|---|\n");
  for (const FilterKind& kind : make_kinds(data)) measure(data, index, kind, target);
  measure_ranges(data, index, target);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}

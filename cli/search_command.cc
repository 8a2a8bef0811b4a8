#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <cairn/clustered_index.h>
#include <cairn/error.h>
#include <cairn/io.h>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/file_arguments.h"
#include "cli/interruption.h"
#include "cli/progress_bar.h"
#include "cli/query_file.h"
#include "cli/result_files.h"
#include "cli/search_output.h"

namespace cairn::cli {
namespace {

constexpr std::size_t kQueriesPerThread = 64;

struct SearchArguments {
  std::filesystem::path index;
  std::filesystem::path queries;
  std::filesystem::path output;
  bool writes_distances = false;
  bool shows_payloads = false;
  bool is_json = false;
  std::filesystem::path filter;
  std::optional<float> range;
  std::size_t limit = 0;
  SearchOptions options;
};

// Batches are small enough to be interrupted between them and large enough to keep threads busy.
BatchResult search_all(const ClusteredIndex& index, const Matrix<float>& queries,
                       const SearchOptions& options) {
  const std::size_t threads =
      options.threads != 0 ? options.threads : std::max(1u, std::thread::hardware_concurrency());
  const std::size_t batch_rows = threads * kQueriesPerThread;
  BatchResult all{queries.rows, options.k, {}, {}};
  ProgressBar bar("search");
  for (std::size_t first = 0; first < queries.rows; first += batch_rows) {
    stop_if_interrupted();
    const std::size_t rows = std::min(batch_rows, queries.rows - first);
    const BatchResult part = index.search_batch({queries.row(first), rows, queries.dim}, options);
    all.ids.insert(all.ids.end(), part.ids.begin(), part.ids.end());
    all.distances.insert(all.distances.end(), part.distances.begin(), part.distances.end());
    all.is_cut_short.insert(all.is_cut_short.end(), part.is_cut_short.begin(),
                            part.is_cut_short.end());
    bar.update(first + rows, queries.rows);
  }
  return all;
}

// As many columns as the most that a query found.
BatchResult search_ranges(const ClusteredIndex& index, const Matrix<float>& queries,
                          const SearchArguments& arguments) {
  const SearchOptions& options = arguments.options;
  const RangeOptions range{.target_recall = options.target_recall,
                           .limit = arguments.limit,
                           .prepared_filter = options.prepared_filter,
                           .max_microseconds = options.max_microseconds,
                           .threads = options.threads};
  std::vector<std::vector<Neighbor>> found;
  BatchResult all{queries.rows, 1, {}, {}};
  ProgressBar bar("search");
  for (std::size_t query = 0; query < queries.rows; ++query) {
    stop_if_interrupted();
    SearchStats stats;
    found.push_back(
        index.range_search({queries.row(query), queries.dim}, *arguments.range, range, &stats));
    all.k = std::max(all.k, found.back().size());
    if (range.max_microseconds != 0) {
      all.is_cut_short.push_back(stats.stop_reason == StopReason::deadline ? 1 : 0);
    }
    bar.update(query + 1, queries.rows);
  }
  all.ids.assign(queries.rows * all.k, kNoId);
  all.distances.assign(queries.rows * all.k, std::numeric_limits<float>::infinity());
  for (std::size_t query = 0; query < queries.rows; ++query) {
    for (std::size_t rank = 0; rank < found[query].size(); ++rank) {
      all.ids[query * all.k + rank] = found[query][rank].id;
      all.distances[query * all.k + rank] = found[query][rank].distance;
    }
  }
  return all;
}

void print_cut_short(const BatchResult& result) {
  const auto count = std::count(result.is_cut_short.begin(), result.is_cut_short.end(), 1);
  if (count != 0) {
    std::printf("%lld of %zu queries were cut short by --max-microseconds\n",
                static_cast<long long>(count), result.queries);
  }
}

VectorId largest_id(const ClusteredIndex& index) {
  const std::vector<VectorId> ids = index.ids();
  return ids.empty() ? 0 : *std::max_element(ids.begin(), ids.end());
}

// What would fail after the search fails before it.
void check_arguments(const SearchArguments& arguments) {
  std::vector<NamedFile> outputs{{"--output", arguments.output}};
  if (arguments.writes_distances) {
    outputs.push_back({"--distances", distances_path(arguments.output)});
  }
  check_files({{"--index", arguments.index},
               {"--queries", arguments.queries},
               {"--filter", arguments.filter}},
              outputs);
}

void print_result(const ClusteredIndex& index, const SearchArguments& arguments,
                  const BatchResult& result) {
  constexpr std::size_t kMostHits = 10;
  SearchOutput output{.shows_payloads = arguments.shows_payloads};
  if (arguments.range) output.most_hits = kMostHits;
  if (arguments.is_json) {
    print_as_json(index, result, output);
  } else {
    print_cut_short(result);
    print_first_rows(index, result, output);
  }
}

void run_search(SearchArguments arguments) {
  check_arguments(arguments);
  const ClusteredIndex index = ClusteredIndex::open(arguments.index);
  if (arguments.shows_payloads && !index.has_payloads()) {
    throw Error(ErrorCode::invalid_argument,
                arguments.index.string() + ": has no payloads; build it with --payload");
  }
  if (!arguments.output.empty() && !holds_all_ids(arguments.output)) {
    require_room_for_ids(arguments.output, largest_id(index));
  }
  const Matrix<float> queries = read_queries(arguments.queries, index);
  std::optional<PreparedFilter> filter;
  if (!arguments.filter.empty()) {
    filter = index.prepare(Filter::from_ids(read_ids(arguments.filter)));
    arguments.options.prepared_filter = &*filter;
  }
  const auto start = std::chrono::steady_clock::now();
  const BatchResult result = arguments.range ? search_ranges(index, queries, arguments)
                                             : search_all(index, queries, arguments.options);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  if (arguments.output.empty()) {
    print_result(index, arguments, result);
    return;
  }
  print_cut_short(result);
  const std::filesystem::path distances =
      arguments.writes_distances ? distances_path(arguments.output) : std::filesystem::path();
  write_result(arguments.output, distances, result);
  std::printf("wrote the %zu nearest of %zu queries to %s%s%s, %.0f queries/s\n", result.k,
              result.queries, arguments.output.string().c_str(), distances.empty() ? "" : " and ",
              distances.string().c_str(), static_cast<double>(result.queries) / seconds.count());
}

void add_output_options(CLI::App& command, SearchArguments& arguments) {
  CLI::Option* const output =
      command
          .add_option(
              "--output,-o", arguments.output,
              "file of ids, a row for each query; where there are fewer than k: -1 in .ibin and "
              ".ivecs (int32), 2^64 - 1 in .u64bin and .npy (uint64)")
          ->check(result_extension());
  command
      .add_flag("--distances", arguments.writes_distances,
                "write distances beside the ids: NAME.distances.fbin")
      ->needs(output);
  command
      .add_flag("--payload", arguments.shows_payloads,
                "print a line for each hit, with its payload")
      ->excludes(output);
  command.add_flag("--json", arguments.is_json, "print all hits as one JSON object")
      ->excludes(output);
}

}  // namespace

void add_search_command(CLI::App& app) {
  CLI::App& command = *app.add_subcommand("search", "Find the nearest neighbours of queries");
  const auto arguments = std::make_shared<SearchArguments>();
  SearchOptions& options = arguments->options;
  options.threads = 0;
  CLI::Option* const index = command.add_option("--index", arguments->index, "index file");
  CLI::Option* const queries =
      command.add_option("--queries,-q", arguments->queries,
                         "query vectors; - for standard input: .npy, .fbin or lines of numbers");
  CLI::Option* const k = add_k_option(command, options.k);
  CLI::Option* const recall = add_recall_option(command, options.target_recall);
  CLI::Option* const probes = add_probes_option(command, options.probes)->excludes(recall);
  CLI::Option* const rerank = add_rerank_option(command, options.rerank_factor);
  command.add_option("--filter", arguments->filter, "ids that may be found (.u64bin, .ibin, .npy)");
  CLI::Option* const farthest =
      command.add_option("--max-distance", options.max_distance, "nothing farther is found")
          ->check(CLI::Number);
  CLI::Option* const range = command
                                 .add_option("--range", arguments->range,
                                             "find all within this distance, not the nearest k")
                                 ->check(CLI::Number)
                                 ->excludes(k)
                                 ->excludes(probes)
                                 ->excludes(rerank)
                                 ->excludes(farthest);
  command.add_option("--limit", arguments->limit, "of --range, the nearest so many")
      ->check(at_least(1))
      ->needs(range);
  command
      .add_option("--max-microseconds", options.max_microseconds,
                  "time after which a query is answered by what it has found")
      ->check(at_least(1));
  add_threads_option(command, "--threads", options.threads, "0: all cores");
  add_output_options(command, *arguments);
  add_file_arguments(command, "INDEX QUERIES", {{index}, {queries}},
                     [arguments] { run_search(*arguments); });
}

}  // namespace cairn::cli

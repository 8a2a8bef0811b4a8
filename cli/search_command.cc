#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <cairn/clustered_index.h>
#include <cairn/error.h>
#include <cairn/io.h>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/interruption.h"
#include "cli/progress_bar.h"
#include "cli/query_file.h"
#include "cli/result_files.h"
#include "cli/text_file.h"

namespace cairn::cli {
namespace {

constexpr std::size_t kPrintedQueries = 10;
constexpr std::size_t kQueriesPerThread = 64;

struct SearchArguments {
  std::filesystem::path index;
  std::filesystem::path queries;
  std::filesystem::path output;
  bool writes_distances = false;
  bool shows_payloads = false;
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

// A hit a line, with its payload as it is.
void print_payloads(const ClusteredIndex& index, const BatchResult& result, std::size_t query) {
  const std::size_t begin = query * result.k;
  const std::span all = std::span(result.ids).subspan(begin, result.k);
  const auto hits =
      static_cast<std::size_t>(std::find(all.begin(), all.end(), kNoId) - all.begin());
  const auto payloads = index.payloads(all.first(hits));
  std::printf("query %zu:\n", query);
  for (std::size_t rank = 0; rank < hits; ++rank) {
    std::printf("  %llu (%.6g)  ", static_cast<unsigned long long>(all[rank]),
                static_cast<double>(result.distances[begin + rank]));
    const std::string payload = payloads[rank].value_or("");
    std::fwrite(payload.data(), 1, payload.size(), stdout);
    std::printf("\n");
  }
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

void print_first_rows(const ClusteredIndex& index, const BatchResult& result, bool shows_payloads) {
  for (std::size_t query = 0; query < std::min(result.queries, kPrintedQueries); ++query) {
    if (shows_payloads) {
      print_payloads(index, result, query);
      continue;
    }
    std::printf("query %zu:", query);
    for (std::size_t rank = 0; rank < result.k; ++rank) {
      const std::size_t at = query * result.k + rank;
      if (result.ids[at] == kNoId) break;
      std::printf("  %llu (%.6g)", static_cast<unsigned long long>(result.ids[at]),
                  static_cast<double>(result.distances[at]));
    }
    std::printf("\n");
  }
  if (result.queries > kPrintedQueries) {
    std::printf("... and %zu more queries; --output writes them all\n",
                result.queries - kPrintedQueries);
  }
}

void run_search(SearchArguments arguments) {
  if (!arguments.output.empty()) require_writable(arguments.output);
  const ClusteredIndex index = ClusteredIndex::open(arguments.index);
  if (arguments.shows_payloads && !index.has_payloads()) {
    throw Error(ErrorCode::invalid_argument,
                arguments.index.string() + ": has no payloads; build it with --payload");
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
  print_cut_short(result);
  if (arguments.output.empty()) {
    print_first_rows(index, result, arguments.shows_payloads);
    return;
  }
  if (arguments.writes_distances) {
    write_result_distances(distances_path(arguments.output), result);
  }
  write_result_ids(arguments.output, result);
  std::printf("wrote the %zu nearest of %zu queries to %s, %.0f queries/s\n", result.k,
              result.queries, arguments.output.string().c_str(),
              static_cast<double>(result.queries) / seconds.count());
}

}  // namespace

void add_search_command(CLI::App& app) {
  CLI::App& command = *app.add_subcommand("search", "Find the nearest neighbours of queries");
  const auto arguments = std::make_shared<SearchArguments>();
  SearchOptions& options = arguments->options;
  options.threads = 0;
  command.add_option("--index", arguments->index, "index file")->required();
  command.add_option("--queries,-q", arguments->queries, "query vectors")->required();
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
      ->check(CLI::PositiveNumber)
      ->needs(range);
  command
      .add_option("--max-microseconds", options.max_microseconds,
                  "time after which a query is answered by what it has found")
      ->check(CLI::PositiveNumber);
  add_threads_option(command, "--threads", options.threads, "0: all cores");
  CLI::Option* const output =
      command.add_option("--output,-o", arguments->output, "ids, -1 where there are fewer than k")
          ->check(has_extension({".ibin", ".ivecs", ".npy"}));
  command
      .add_flag("--distances", arguments->writes_distances,
                "write distances beside the ids, as .fbin")
      ->needs(output);
  command
      .add_flag("--payload", arguments->shows_payloads,
                "print a line for each hit, with its payload")
      ->excludes(output);
  command.callback([arguments] { run_search(*arguments); });
}

}  // namespace cairn::cli

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include <cairn/error.h>
#include <cairn/exact_search.h>
#include <cairn/io.h>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/file_arguments.h"
#include "cli/interruption.h"
#include "cli/progress_bar.h"
#include "cli/query_file.h"
#include "cli/result_files.h"

namespace cairn::cli {
namespace {

struct TruthArguments {
  std::filesystem::path input;
  std::filesystem::path index;
  std::filesystem::path ids;
  std::filesystem::path queries;
  std::filesystem::path output;
  std::size_t k = 100;
  Metric metric = Metric::l2;
  unsigned threads = 0;
};

// Rows in the order of their ids, which decides between rows that are equally far.
struct Base {
  Matrix<float> rows;
  std::vector<VectorId> ids;  // ascending; empty: row numbers
  Metric metric = Metric::l2;
};

std::vector<std::size_t> order_of(const std::vector<VectorId>& ids) {
  std::vector<std::size_t> order(ids.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return ids[a] < ids[b]; });
  return order;
}

std::vector<VectorId> in_order(const std::vector<VectorId>& ids,
                               const std::vector<std::size_t>& order) {
  std::vector<VectorId> sorted;
  for (const std::size_t row : order) sorted.push_back(ids[row]);
  return sorted;
}

Base read_index(const std::filesystem::path& path) {
  const ClusteredIndex index = ClusteredIndex::open(path);
  std::vector<VectorId> ids(index.size());
  for (std::size_t row = 0; row < ids.size(); ++row) {
    ids[row] = index.id_of(static_cast<std::uint32_t>(row));
  }
  const std::vector<std::size_t> order = order_of(ids);
  Base base{{{}, index.size(), index.dim()}, in_order(ids, order), index.metric()};
  base.rows.values.resize(index.size() * index.dim());
  for (std::size_t i = 0; i < order.size(); ++i) {
    index.read_rows(order[i], 1, base.rows.values.data() + i * index.dim());
  }
  return base;
}

void check_ids(const std::filesystem::path& path, const std::vector<VectorId>& ids,
               std::size_t rows) {
  const auto refuse = [&](const std::string& problem) {
    throw Error(ErrorCode::invalid_argument, path.string() + ": " + problem);
  };
  if (ids.size() != rows) {
    refuse(std::to_string(ids.size()) + " ids; expected one per row, " + std::to_string(rows));
  }
  std::vector<VectorId> sorted = ids;
  std::sort(sorted.begin(), sorted.end());
  const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
  if (twice != sorted.end()) refuse("id " + std::to_string(*twice) + " is there twice");
  if (!sorted.empty() && sorted.back() == kNoId) refuse("2^64 - 1 is no id");
}

Base read_base(const TruthArguments& arguments) {
  if (!arguments.index.empty()) return read_index(arguments.index);
  Base base{read_vectors(arguments.input), {}, arguments.metric};
  if (arguments.ids.empty()) return base;
  const std::vector<VectorId> ids = read_ids(arguments.ids);
  check_ids(arguments.ids, ids, base.rows.rows);
  const std::vector<std::size_t> order = order_of(ids);
  if (!std::is_sorted(order.begin(), order.end())) {
    Matrix<float> sorted{{}, base.rows.rows, base.rows.dim};
    for (const std::size_t row : order) {
      sorted.values.insert(sorted.values.end(), base.rows.row(row),
                           base.rows.row(row) + base.rows.dim);
    }
    base.rows = std::move(sorted);
  }
  base.ids = in_order(ids, order);
  return base;
}

void check_truth_files(const TruthArguments& arguments) {
  check_files({{"--input", arguments.input},
               {"--index", arguments.index},
               {"--ids", arguments.ids},
               {"--queries", arguments.queries}},
              {{"--output", arguments.output},
               {"the distances of --output", distances_path(arguments.output)}});
}

void run_truth(const TruthArguments& arguments) {
  check_truth_files(arguments);
  const Base base = read_base(arguments);
  const std::size_t rows = base.rows.rows;
  require_room_for_ids(arguments.output, base.ids.empty() ? rows : base.ids.back());
  const Matrix<float> queries = read_query_vectors(arguments.queries, base.rows.dim);
  stop_if_interrupted();
  BatchResult truth;
  {
    ProgressBar bar("truth");
    truth = exact_search({base.rows.values.data(), rows, base.rows.dim},
                         {queries.values.data(), queries.rows, queries.dim}, arguments.k,
                         base.metric, arguments.threads,
                         [&](std::size_t done) { return bar.update(done, queries.rows); });
  }
  if (!base.ids.empty()) {
    for (VectorId& id : truth.ids) {
      if (id != kNoId) id = base.ids[id];
    }
  }
  const std::filesystem::path distances = distances_path(arguments.output);
  write_result(arguments.output, distances, truth);
  std::printf("wrote the %zu nearest of %zu queries to %s and %s\n", truth.k, truth.queries,
              arguments.output.string().c_str(), distances.string().c_str());
}

}  // namespace

void add_truth_command(CLI::App& app) {
  CLI::App& command =
      *app.add_subcommand("truth", "Find the exact nearest neighbours by brute force");
  const auto arguments = std::make_shared<TruthArguments>();
  CLI::Option* const input = command.add_option("--input,-i", arguments->input, "base vectors");
  CLI::Option* const index =
      command
          .add_option("--index", arguments->index,
                      "instead of --input: the vectors, ids and metric of an index")
          ->excludes(input);
  command
      .add_option("--ids", arguments->ids,
                  "ids of the base vectors (.u64bin); default: row numbers")
      ->excludes(index);
  CLI::Option* const queries =
      command.add_option("--queries,-q", arguments->queries, "query vectors; - for standard input");
  CLI::Option* const output =
      command
          .add_option("--output,-o", arguments->output,
                      "file of ids; the distances go beside them: NAME.distances.fbin")
          ->check(result_extension());
  add_k_option(command, arguments->k);
  add_metric_option(command, arguments->metric)->excludes(index);
  add_threads_option(command, "--threads", arguments->threads, "0: all cores");
  add_file_arguments(command, "INPUT QUERIES OUTPUT", {{input, index}, {queries}, {output}},
                     [arguments] { run_truth(*arguments); });
}

}  // namespace cairn::cli

#include <cstdio>
#include <filesystem>
#include <memory>

#include <cairn/exact_search.h>
#include <cairn/io.h>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/interruption.h"
#include "cli/progress_bar.h"
#include "cli/result_files.h"
#include "cli/text_file.h"

namespace cairn::cli {
namespace {

struct TruthArguments {
  std::filesystem::path input;
  std::filesystem::path queries;
  std::filesystem::path output;
  std::size_t k = 100;
  Metric metric = Metric::l2;
  unsigned threads = 0;
};

void run_truth(const TruthArguments& arguments) {
  require_writable(arguments.output);
  const Matrix<float> base = read_vectors(arguments.input);
  const Matrix<float> queries = read_vectors(arguments.queries);
  stop_if_interrupted();
  BatchResult truth;
  {
    ProgressBar bar("truth");
    truth = exact_search({base.values.data(), base.rows, base.dim},
                         {queries.values.data(), queries.rows, queries.dim}, arguments.k,
                         arguments.metric, arguments.threads,
                         [&](std::size_t done) { return bar.update(done, queries.rows); });
  }
  const std::filesystem::path distances = distances_path(arguments.output);
  write_result_distances(distances, truth);
  write_result_ids(arguments.output, truth);
  std::printf("wrote the %zu nearest of %zu queries to %s and %s\n", truth.k, truth.queries,
              arguments.output.string().c_str(), distances.string().c_str());
}

}  // namespace

void add_truth_command(CLI::App& app) {
  CLI::App& command =
      *app.add_subcommand("truth", "Find the exact nearest neighbours by brute force");
  const auto arguments = std::make_shared<TruthArguments>();
  command.add_option("--input,-i", arguments->input, "base vectors")->required();
  command.add_option("--queries,-q", arguments->queries, "query vectors")->required();
  command
      .add_option("--output,-o", arguments->output,
                  "row numbers; the distances go beside them as .fbin")
      ->required()
      ->check(has_extension({".ibin", ".ivecs", ".npy"}));
  add_k_option(command, arguments->k);
  add_metric_option(command, arguments->metric);
  add_threads_option(command, "--threads", arguments->threads, "0: all cores");
  command.callback([arguments] { run_truth(*arguments); });
}

}  // namespace cairn::cli

#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

#include <cairn/clustered_index.h>
#include <cairn/io.h>

#include "cli/arguments.h"
#include "cli/calibration_table.h"
#include "cli/commands.h"
#include "cli/file_arguments.h"
#include "cli/query_file.h"

namespace cairn::cli {
namespace {

struct CalibrateArguments {
  std::filesystem::path index;
  std::filesystem::path queries;
  std::filesystem::path output;
  unsigned threads = 0;
};

// Vectors stay as they are saved: a lossless code of theirs is found again.
void run_calibrate(const CalibrateArguments& arguments) {
  const std::filesystem::path& output =
      arguments.output.empty() ? arguments.index : arguments.output;
  check_files({{"the index", arguments.index}, {"--queries", arguments.queries}},
              {{"--output", arguments.output}});
  ClusteredIndex index = ClusteredIndex::open(arguments.index);
  const Matrix<float> queries = read_queries(arguments.queries, index);
  index.calibrate({queries.values.data(), queries.rows, queries.dim}, arguments.threads);
  SaveOptions save;
  if (index.storage_kind() == StorageKind::compressed) save.compression.emplace();
  index.save(output, save);
  std::printf("calibrated %s on %zu queries\n%s", output.string().c_str(), queries.rows,
              calibration_table(index).c_str());
}

}  // namespace

void add_calibrate_command(CLI::App& app) {
  CLI::App& command = *app.add_subcommand(
      "calibrate", "Measure on queries of your own what recall costs, and keep it in the index");
  const auto arguments = std::make_shared<CalibrateArguments>();
  CLI::Option* const index = command.add_option("--index", arguments->index, "index file");
  CLI::Option* const queries =
      command.add_option("--queries,-q", arguments->queries, "query vectors; - for standard input");
  command.add_option("--output,-o", arguments->output, "default: the index file itself");
  command.add_option("--threads", arguments->threads, "0: all cores")->check(CLI::Range(0u, 4096u));
  add_file_arguments(command, "INDEX QUERIES", {{index}, {queries}},
                     [arguments] { run_calibrate(*arguments); });
}

}  // namespace cairn::cli

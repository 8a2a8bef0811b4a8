#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

#include <cairn/clustered_index.h>
#include <cairn/io.h>

#include "cli/arguments.h"
#include "cli/calibration_table.h"
#include "cli/commands.h"
#include "cli/text_file.h"

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
  require_writable(output);
  ClusteredIndex index = ClusteredIndex::open(arguments.index);
  const Matrix<float> queries = read_vectors(arguments.queries);
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
  command.add_option("index", arguments->index, "index file")->required();
  command.add_option("--queries,-q", arguments->queries, "query vectors")->required();
  command.add_option("--output,-o", arguments->output, "default: the index file itself");
  command.add_option("--threads", arguments->threads, "0: all cores")->check(CLI::Range(0u, 4096u));
  command.callback([arguments] { run_calibrate(*arguments); });
}

}  // namespace cairn::cli

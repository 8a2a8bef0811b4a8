#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <cairn/clustered_index.h>
#include <cairn/io.h>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/interruption.h"
#include "cli/progress_bar.h"
#include "cli/text_file.h"

namespace cairn::cli {
namespace {

struct BuildArguments {
  std::filesystem::path input;
  std::filesystem::path output;
  std::filesystem::path ids;
  BuildOptions options;
  std::string storage = "raw";
  CompressionOptions compression;
};

void run_build(const BuildArguments& arguments) {
  require_writable(arguments.output);
  const Matrix<float> vectors = read_vectors(arguments.input);
  std::vector<VectorId> ids;
  if (!arguments.ids.empty()) ids = read_ids(arguments.ids);
  stop_if_interrupted();

  ProgressBar bar("build");
  BuildOptions options = arguments.options;
  options.on_progress = [&bar](const BuildProgress& progress) {
    return bar.update(progress.done, progress.total, progress.phase);
  };
  const auto start = std::chrono::steady_clock::now();
  const ClusteredIndex index =
      ClusteredIndex::build({vectors.values.data(), vectors.rows, vectors.dim}, options, ids);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  stop_if_interrupted();
  SaveOptions save;
  if (arguments.storage == "compressed") save.compression = arguments.compression;
  index.save(arguments.output, save);
  std::printf("built %s: %zu x %zu vectors, %zu leaves, %.2f s\n",
              arguments.output.string().c_str(), index.size(), index.dim(), index.stats().leaves,
              seconds.count());
}

}  // namespace

void add_build_command(CLI::App& app) {
  CLI::App& command = *app.add_subcommand("build", "Build an index of the rows of a vector file");
  const auto arguments = std::make_shared<BuildArguments>();
  command.add_option("--input,-i", arguments->input, "vectors (.fbin .u8bin .fvecs .bvecs .npy)")
      ->required();
  command.add_option("--output,-o", arguments->output, "the index file to write")->required();
  command.add_option("--ids", arguments->ids, "ids of the rows (.u64bin); default: row numbers");
  add_build_options(command, arguments->options, "--threads");
  command
      .add_option("--storage", arguments->storage, "how full vectors are saved: raw or compressed")
      ->check(CLI::IsMember({"raw", "compressed"}))
      ->capture_default_str();
  add_compression_options(command, arguments->compression);
  command.callback([arguments] { run_build(*arguments); });
}

}  // namespace cairn::cli

#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <cairn/clustered_index.h>
#include <cairn/io.h>
#include <cairn/payload.h>
#include <cairn/vector_source.h>

#include "cli/arguments.h"
#include "cli/build_report.h"
#include "cli/commands.h"
#include "cli/file_arguments.h"
#include "cli/index_facts.h"
#include "cli/interruption.h"
#include "cli/machine_facts.h"
#include "cli/progress_bar.h"

namespace cairn::cli {
namespace {

struct BuildArguments {
  std::filesystem::path input;
  std::filesystem::path output;
  std::filesystem::path ids;
  std::filesystem::path payload;
  bool is_json = false;
  BuildOptions options;
  std::string storage = "raw";
  CompressionOptions compression;
};

void run_build(const BuildArguments& arguments) {
  check_files(
      {{"--input", arguments.input}, {"--ids", arguments.ids}, {"--payload", arguments.payload}},
      {{"--output", arguments.output}});
  FileVectorSource source(arguments.input);
  std::vector<VectorId> ids;
  if (!arguments.ids.empty()) ids = read_ids(arguments.ids);
  std::optional<LinePayloadSource> payloads;
  if (!arguments.payload.empty()) payloads.emplace(arguments.payload);
  stop_if_interrupted();

  BuildReport report;
  IndexStats stats;
  {
    ProgressBar bar("build");
    BuildOptions options = arguments.options;
    if (payloads) options.payloads = &*payloads;
    options.on_progress = [&](const BuildProgress& progress) {
      report.update(progress);
      return bar.update(progress.done, progress.total, progress.phase);
    };
    SaveOptions save;
    if (arguments.storage == "compressed") save.compression = arguments.compression;
    stats = ClusteredIndex::build_file(arguments.output, source, options, ids, save).stats();
    report.finish();
  }
  if (arguments.is_json) {
    nlohmann::json json = report.to_json();
    json["machine"] = machine_facts();
    json["index"] = to_json(stats);
    std::printf("%s\n", json.dump(2).c_str());
    return;
  }
  std::printf("built %s: %zu x %zu vectors, %zu leaves, %.2f s\n%s\n",
              arguments.output.string().c_str(), stats.rows, stats.dim, stats.leaves,
              report.seconds(), report.text().c_str());
}

}  // namespace

void add_build_command(CLI::App& app) {
  CLI::App& command = *app.add_subcommand("build", "Build an index of the rows of a vector file");
  const auto arguments = std::make_shared<BuildArguments>();
  CLI::Option* const input = command.add_option(
      "--input,-i", arguments->input, "vectors (.fbin .f16bin .u8bin .i8bin .fvecs .bvecs .npy)");
  CLI::Option* const output =
      command.add_option("--output,-o", arguments->output, "the index file to write");
  command.add_option("--ids", arguments->ids, "ids of the rows (.u64bin); default: row numbers");
  command.add_option("--payload", arguments->payload,
                     "a line for each row, text or JSON, to be kept in the index and found by id");
  add_build_options(command, arguments->options, "--threads");
  command
      .add_option("--storage", arguments->storage, "how full vectors are saved: raw or compressed")
      ->check(CLI::IsMember({"raw", "compressed"}))
      ->capture_default_str();
  const std::vector<CLI::Option*> compression =
      add_compression_options(command, arguments->compression);
  command
      .add_option("--memory-limit", arguments->options.memory_limit_bytes,
                  "memory to build with, as 512M or 4G; default: a quarter of the vectors as "
                  "float32, at least 1G")
      ->transform(CLI::AsSizeValue(false))
      ->type_name("SIZE");
  command.add_flag("--json", arguments->is_json, "print one JSON object");
  add_file_arguments(command, "INPUT OUTPUT", {{input}, {output}}, [arguments, compression] {
    if (arguments->storage != "compressed") refuse_given(compression, "--storage compressed");
    run_build(*arguments);
  });
}

}  // namespace cairn::cli

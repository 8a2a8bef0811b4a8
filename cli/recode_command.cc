#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <cairn/clustered_index.h>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/file_arguments.h"
#include "cli/html_text.h"

namespace cairn::cli {
namespace {

struct RecodeArguments {
  std::filesystem::path index;
  std::filesystem::path output;
  std::string storage;
  CompressionOptions compression;
};

// A new file is written and renamed over the old one at the very end, so that the old index is
// untouched until then, whatever happens.
void run_recode(const RecodeArguments& arguments) {
  const std::filesystem::path& output =
      arguments.output.empty() ? arguments.index : arguments.output;
  check_files({{"the index", arguments.index}}, {{"--output", arguments.output}});
  const ClusteredIndex index = ClusteredIndex::open(arguments.index, {.verify = true});
  const std::uint64_t bytes_before = std::filesystem::file_size(arguments.index);
  const IndexStats before = index.stats();
  SaveOptions save;
  if (arguments.storage == "compressed") save.compression = arguments.compression;
  index.save(output, save);
  const IndexStats after = ClusteredIndex::open(output).stats();
  const auto text = [](std::uint64_t bytes) { return format_bytes(static_cast<double>(bytes)); };
  std::printf("wrote %s: vectors %s, were %s; file %s, was %s\n", output.string().c_str(),
              text(after.vector_disk_bytes).c_str(), text(before.vector_disk_bytes).c_str(),
              text(std::filesystem::file_size(output)).c_str(), text(bytes_before).c_str());
}

}  // namespace

void add_recode_command(CLI::App& app) {
  CLI::App& command =
      *app.add_subcommand("recode", "Change how a saved index stores its full vectors");
  const auto arguments = std::make_shared<RecodeArguments>();
  CLI::Option* const index = command.add_option("--index", arguments->index, "index file");
  command
      .add_option("--storage", arguments->storage, "how full vectors are saved: raw or compressed")
      ->check(CLI::IsMember({"raw", "compressed"}))
      ->required();
  command.add_option("--output,-o", arguments->output, "default: the index file itself");
  const std::vector<CLI::Option*> compression =
      add_compression_options(command, arguments->compression);
  add_file_arguments(command, "INDEX", {{index}}, [arguments, compression] {
    if (arguments->storage != "compressed") refuse_given(compression, "--storage compressed");
    run_recode(*arguments);
  });
}

}  // namespace cairn::cli

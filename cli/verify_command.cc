#include <cstdio>
#include <filesystem>
#include <memory>

#include <cairn/clustered_index.h>

#include "cli/commands.h"

namespace cairn::cli {

void add_verify_command(CLI::App& app) {
  CLI::App& command = *app.add_subcommand("verify", "Check every checksum of an index file");
  const auto path = std::make_shared<std::filesystem::path>();
  command.add_option("index", *path, "index file")->required();
  command.callback([path] {
    ClusteredIndex::open(*path, {.verify = true});
    std::puts("ok");
  });
}

}  // namespace cairn::cli

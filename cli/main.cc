// The `cairn` command. Exit codes: 0 done, 1 failed with one line on stderr, 2 wrong usage, 130
// interrupted.

#include <algorithm>
#include <cstdio>
#include <exception>
#include <new>
#include <string>

#include <CLI/CLI.hpp>

#include <cairn/clustered_index.h>
#include <cairn/error.h>

#include "cli/commands.h"
#include "cli/interruption.h"

namespace {

constexpr int kFailed = 1;
constexpr int kWrongUsage = 2;
constexpr int kInterrupted = 130;

int report(std::string message, int exit_code) {
  std::replace(message.begin(), message.end(), '\n', ' ');
  std::fprintf(stderr, "cairn: %s\n", message.c_str());
  return exit_code;
}

// The command that the user was in the middle of, for the hint.
std::string command_line_help(const CLI::App& app) {
  for (const CLI::App* command : app.get_subcommands()) {
    return "cairn " + command->get_name() + " --help";
  }
  return "cairn --help";
}

int run(int argc, char** argv) {
  CLI::App app("Approximate nearest neighbours: build, search and measure Cairn indexes.", "cairn");
  app.set_version_flag("--version", std::string("cairn ") + cairn::version());
  app.require_subcommand(1);
  cairn::cli::add_build_command(app);
  cairn::cli::add_search_command(app);
  cairn::cli::add_bench_command(app);
  cairn::cli::add_truth_command(app);
  cairn::cli::add_info_command(app);
  cairn::cli::add_verify_command(app);
  cairn::cli::add_convert_command(app);
  cairn::cli::add_analyze_command(app);
  cairn::cli::add_calibrate_command(app);
  cairn::cli::add_recode_command(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    return report(std::string(error.what()) + " (see '" + command_line_help(app) + "')",
                  kWrongUsage);
  }
  return std::fflush(stdout) == 0 ? 0 : report("cannot write to standard output", kFailed);
}

}  // namespace

int main(int argc, char** argv) {
  cairn::cli::catch_interruptions();
  try {
    return run(argc, argv);
  } catch (const cairn::Error& error) {
    if (error.code() == cairn::ErrorCode::cancelled) return report("cancelled", kInterrupted);
    return report(error.what(), kFailed);
  } catch (const std::bad_alloc&) {
    return report("out of memory", kFailed);
  } catch (const std::exception& error) {
    return report(error.what(), kFailed);
  }
}

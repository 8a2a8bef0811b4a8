// The `cairn` command. Exit codes: 0 done, 1 failed with one line on stderr, 2 wrong usage, 130
// or 143 interrupted by SIGINT or
// SIGTERM.

#include <algorithm>
#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <cairn/clustered_index.h>
#include <cairn/error.h>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/interruption.h"
#include "cli/nearest_name.h"

namespace {

constexpr int kFailed = 1;
constexpr int kWrongUsage = 2;

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

std::string suggestion(const std::string& typed, const std::vector<std::string>& names) {
  const std::string nearest = cairn::cli::nearest_name(typed, names);
  return nearest.empty() ? "" : "; did you mean '" + nearest + "'?";
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) names.push_back("-" + name);
  }
  return names;
}

// The first thing on the command line that is neither a command nor an option of the one that it
// follows, in words; "" if there is none. Worth more than what is missing because of it.
std::string unknown_word(const CLI::App& app, const char* first) {
  const std::string word = first == nullptr ? "" : first;
  if (!word.empty() && word.front() != '-' && app.get_subcommands().empty()) {
    std::vector<std::string> commands;
    for (const CLI::App* command : app.get_subcommands({})) commands.push_back(command->get_name());
    return "unknown command '" + word + "'" + suggestion(word, commands);
  }
  const CLI::App& within = app.get_subcommands().empty() ? app : *app.get_subcommands().front();
  for (const std::string& extra : within.remaining()) {
    if (extra.size() < 2 || extra.front() != '-') continue;
    const std::string name = extra.substr(0, extra.find('='));
    return "unknown option '" + name + "'" + suggestion(name, option_names(within));
  }
  return "";
}

void add_commands(CLI::App& app) {
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
  for (CLI::App* command : app.get_subcommands({})) cairn::cli::check_all_values(*command);
}

int run(int argc, char** argv) {
  CLI::App app("Approximate nearest neighbours: build, search and measure Cairn indexes.", "cairn");
  app.set_version_flag("--version", std::string("cairn ") + cairn::version());
  app.require_subcommand(1);
  add_commands(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    const std::string unknown = unknown_word(app, argc > 1 ? argv[1] : nullptr);
    return report(
        (unknown.empty() ? error.what() : unknown) + " (see '" + command_line_help(app) + "')",
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
    if (error.code() == cairn::ErrorCode::cancelled)
      return report("cancelled", cairn::cli::interrupted_exit_code());
    return report(error.what(), kFailed);
  } catch (const std::bad_alloc&) {
    return report("out of memory", kFailed);
  } catch (const std::exception& error) {
    return report(error.what(), kFailed);
  }
}

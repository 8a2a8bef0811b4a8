#pragma once

// The subcommands, one file each. add_*_command() declares a command's arguments and leaves behind,
// as its callback, what it does; failures are thrown as Error.

#include <CLI/CLI.hpp>

namespace cairn::cli {

void add_build_command(CLI::App& app);
void add_search_command(CLI::App& app);
void add_bench_command(CLI::App& app);
void add_truth_command(CLI::App& app);
void add_info_command(CLI::App& app);
void add_verify_command(CLI::App& app);
void add_convert_command(CLI::App& app);
void add_analyze_command(CLI::App& app);
void add_calibrate_command(CLI::App& app);
void add_recode_command(CLI::App& app);

}  // namespace cairn::cli

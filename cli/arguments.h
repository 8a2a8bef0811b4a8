#pragma once

// Options that several subcommands share, and how their text becomes values.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <cairn/compression.h>
#include <cairn/options.h>
#include <cairn/types.h>

namespace cairn::cli {

// Each of these adds one option whose value is checked while arguments are parsed, so that a wrong
// one is a usage error. The variable must outlive parsing.
CLI::Option* add_metric_option(CLI::App& command, Metric& metric);
CLI::Option* add_k_option(CLI::App& command, std::size_t& k);
CLI::Option* add_threads_option(CLI::App& command, const std::string& name, unsigned& threads,
                                const std::string& what);

// --metric and the build options proper; `threads_name` is how --threads is spelt here. Returns the
// options added.
std::vector<CLI::Option*> add_build_options(CLI::App& command, BuildOptions& options,
                                            const std::string& threads_name);

// Recall targets, each above 0 and at most 1, and numbers of leaves, each at least 1: one value, or
// several separated by commas.
CLI::Option* add_recall_option(CLI::App& command, float& target);
CLI::Option* add_recall_option(CLI::App& command, std::vector<double>& targets);
CLI::Option* add_probes_option(CLI::App& command, std::size_t& probes);
CLI::Option* add_probes_option(CLI::App& command, std::vector<std::size_t>& probes);
CLI::Option* add_rerank_option(CLI::App& command, float& factor);

// --encoding, --zstd, --dictionary and --block-rows. Returns the options added.
std::vector<CLI::Option*> add_compression_options(CLI::App& command, CompressionOptions& options);

// --hot-bytes and --warm-bytes. Returns the options added.
std::vector<CLI::Option*> add_tier_options(CLI::App& command,
                                           std::optional<std::uint64_t>& hot_bytes,
                                           std::optional<std::uint64_t>& warm_bytes);

// Accepts whole numbers from `lowest` on.
CLI::Validator at_least(std::size_t lowest);

// Throws a usage error that names the first of `options` that was given: it would be ignored
// without what `needed` says.
void refuse_given(const std::vector<CLI::Option*>& options, const std::string& needed);

// Refuses what would pass for another value or for none: an empty text, a number below 0 where only
// others make sense. For every option of the command.
void check_all_values(CLI::App& command);

// Accepts paths whose extension is one of `extensions` (".ibin").
CLI::Validator has_extension(std::vector<std::string> extensions);

}  // namespace cairn::cli

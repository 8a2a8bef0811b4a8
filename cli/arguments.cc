#include "cli/arguments.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <optional>
#include <utility>

namespace cairn::cli {
namespace {

constexpr unsigned kMaxThreads = 4096;

// Larger than 0 and at most 1; NaN is neither.
CLI::Validator recall_range() {
  return {[](std::string& text) -> std::string {
            double value = 0;
            if (CLI::detail::lexical_cast(text, value) && value > 0 && value <= 1) return {};
            return "recall " + text + ": expected more than 0 and at most 1";
          },
          "(0, 1]"};
}

template <typename Value>
CLI::Option* add_recall(CLI::App& command, Value& value) {
  return command.add_option("--recall", value, "share of the true neighbours wanted")
      ->check(recall_range())
      ->type_name("R");
}

template <typename Value>
CLI::Option* add_probes(CLI::App& command, Value& value) {
  return command.add_option("--probes", value, "leaves to scan, instead of a recall target")
      ->check(at_least(1))
      ->type_name("P");
}

}  // namespace

CLI::Validator at_least(std::size_t lowest) {
  return {[lowest](std::string& text) -> std::string {
            std::uint64_t value = 0;
            if (CLI::detail::lexical_cast(text, value) && value >= lowest) return {};
            return text + ": expected a whole number, at least " + std::to_string(lowest);
          },
          ">= " + std::to_string(lowest)};
}

CLI::Option* add_metric_option(CLI::App& command, Metric& metric) {
  return command
      .add_option_function<std::string>(
          "--metric",
          [&metric](const std::string& name) {
            const std::optional<Metric> parsed = parse_metric(name);
            if (!parsed) {
              throw CLI::ValidationError(
                  "--metric", "unknown metric '" + name +
                                  "'; expected l2, ip or cosine (or euclidean, dot, angular)");
            }
            metric = *parsed;
          },
          "l2 (default; squared), ip or cosine; also euclidean, dot, angular")
      ->type_name("NAME");
}

CLI::Option* add_k_option(CLI::App& command, std::size_t& k) {
  return command.add_option("--k,-k", k, "neighbours per query")
      ->check(CLI::Range(std::size_t{1}, kMaxRows))
      ->capture_default_str();
}

CLI::Option* add_threads_option(CLI::App& command, const std::string& name, unsigned& threads,
                                const std::string& what) {
  return command.add_option(name, threads, what)
      ->check(CLI::Range(0u, kMaxThreads))
      ->capture_default_str();
}

std::vector<CLI::Option*> add_build_options(CLI::App& command, BuildOptions& options,
                                            const std::string& threads_name) {
  return {
      add_metric_option(command, options.metric),
      command.add_option("--refine-bits", options.refine_bits, "extra bits per dimension, 0 to 8")
          ->check(CLI::Range(0u, 8u))
          ->capture_default_str(),
      command
          .add_option("--branching-factor", options.branching_factor,
                      "children per inner node; 0: chosen from the data")
          ->check(CLI::Range(std::size_t{0}, std::size_t{65536}))
          ->capture_default_str(),
      command
          .add_option("--max-leaf-size", options.max_leaf_size,
                      "vectors per leaf; 0: chosen from the data")
          ->check(at_least(0))
          ->capture_default_str(),
      command.add_option("--iterations", options.max_iterations, "k-means iterations")
          ->check(at_least(1))
          ->capture_default_str(),
      command.add_option("--seed", options.seed, "same seed and data: the same index")
          ->capture_default_str(),
      add_threads_option(command, threads_name, options.threads,
                         "threads to build with; 0: all cores"),
  };
}

CLI::Option* add_recall_option(CLI::App& command, float& target) {
  return add_recall(command, target)->capture_default_str();
}

CLI::Option* add_recall_option(CLI::App& command, std::vector<double>& targets) {
  return add_recall(command, targets)->delimiter(',')->allow_extra_args(false);
}

CLI::Option* add_probes_option(CLI::App& command, std::size_t& probes) {
  return add_probes(command, probes);
}

CLI::Option* add_probes_option(CLI::App& command, std::vector<std::size_t>& probes) {
  return add_probes(command, probes)->delimiter(',')->allow_extra_args(false);
}

CLI::Option* add_rerank_option(CLI::App& command, float& factor) {
  return command
      .add_option("--rerank", factor, "exact distances for the best R * k; 0: as bounds demand")
      ->check(CLI::Range(0.0f, std::numeric_limits<float>::max()).description(">= 0"))
      ->capture_default_str();
}

std::vector<CLI::Option*> add_compression_options(CLI::App& command, CompressionOptions& options) {
  CLI::Option* const encoding =
      command
          .add_option_function<std::string>(
              "--encoding",
              [&options](const std::string& name) {
                const std::optional<VectorEncoding> parsed = parse_vector_encoding(name);
                if (!parsed) {
                  throw CLI::ValidationError(
                      "--encoding", "unknown encoding '" + name + "'; 'cairn analyze' lists them");
                }
                options.encoding = *parsed;
              },
              "how rows are encoded: auto (default) or one by name; delta16 is lossy")
          ->type_name("NAME");
  CLI::Option* const level =
      command.add_option("--zstd", options.zstd_level, "level of zstd on top, 1 to 22; 0: none")
          ->check(CLI::Range(0, 22))
          ->capture_default_str();
  CLI::Option* const dictionary =
      command.add_flag("--dictionary", options.train_dictionary, "train a dictionary for zstd")
          ->needs(level);
  CLI::Option* const block_rows =
      command.add_option("--block-rows", options.block_rows, "rows per block; 0: 8 to 16 KiB")
          ->check(CLI::Range(std::size_t{0}, std::size_t{65536}))
          ->capture_default_str();
  return {encoding, level, dictionary, block_rows};
}

std::vector<CLI::Option*> add_tier_options(CLI::App& command,
                                           std::optional<std::uint64_t>& hot_bytes,
                                           std::optional<std::uint64_t>& warm_bytes) {
  const auto add = [&command](const char* name, std::optional<std::uint64_t>& bytes,
                              const std::string& what) {
    return command
        .add_option(name, bytes,
                    "RAM for " + what + ", as 512M or 4G; 0: none; default: a tenth of the rows")
        ->transform(CLI::AsSizeValue(false))
        ->type_name("SIZE");
  };
  return {add("--hot-bytes", hot_bytes, "the hottest rows as float32, with --storage tiered"),
          add("--warm-bytes", warm_bytes, "warm rows as they are stored, with --storage tiered")};
}

void refuse_given(const std::vector<CLI::Option*>& options, const std::string& needed) {
  for (const CLI::Option* option : options) {
    if (option->count() > 0) throw CLI::RequiresError(option->get_name(), needed);
  }
}

void check_all_values(CLI::App& command) {
  for (CLI::Option* option : command.get_options()) {
    if (option->get_expected_min() == 0) continue;  // a flag
    const std::string type = option->get_type_name();
    const bool is_count =
        type.find("UINT") != std::string::npos || type.starts_with("SIZE") || type.starts_with("P");
    const CLI::Validator check(
        [is_count](std::string& text) -> std::string {
          if (text.empty()) return "expected a value, found ''";
          if (is_count && text.front() == '-') return text + ": expected 0 or more";
          return {};
        },
        "");
    option->transform(check);  // these come first
  }
}

CLI::Validator has_extension(std::vector<std::string> extensions) {
  std::string list;
  for (const std::string& extension : extensions) list += (list.empty() ? "" : " ") + extension;
  return {[extensions = std::move(extensions), list](std::string& text) -> std::string {
            const std::string found = std::filesystem::path(text).extension().string();
            if (std::find(extensions.begin(), extensions.end(), found) != extensions.end())
              return {};
            return text + ": expected a name that ends in one of " + list;
          },
          list};
}

}  // namespace cairn::cli

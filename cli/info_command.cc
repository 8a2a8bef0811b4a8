#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>

#include <nlohmann/json.hpp>

#include <cairn/clustered_index.h>

#include "cli/calibration_table.h"
#include "cli/commands.h"
#include "cli/file_arguments.h"
#include "cli/html_text.h"
#include "cli/index_facts.h"

namespace cairn::cli {
namespace {

// A float's shortest decimals, rather than those of the double next to it.
double rounded(float value) { return std::round(static_cast<double>(value) * 1e4) / 1e4; }

nlohmann::json facts_as_json(const ClusteredIndex& index, std::uint64_t file_bytes) {
  const IndexStats stats = index.stats();
  nlohmann::json probes = nlohmann::json::array();
  for (const std::size_t k : kCalibratedDepths) {
    for (const float target : kCalibratedTargets) {
      probes.push_back({{"target_recall", rounded(target)},
                        {"k", k},
                        {"probes", index.calibrated_probes(target, k)}});
    }
  }
  return {{"file_bytes", file_bytes},
          {"index", to_json(stats)},
          {"tiers", to_json(index_tiers(stats))},
          {"ram_bytes", index.memory_usage_bytes()},
          {"calibrated_probes", std::move(probes)}};
}

std::string bytes_text(std::uint64_t bytes) { return format_bytes(static_cast<double>(bytes)); }

void print_facts(const ClusteredIndex& index, std::uint64_t file_bytes) {
  const IndexStats stats = index.stats();
  std::printf("%zu vectors of %zu dimensions, metric %s\n", stats.rows, stats.dim,
              to_string(stats.metric));
  std::printf("file           %s\n", bytes_text(file_bytes).c_str());
  std::printf("tree           %zu levels, %zu lists, %zu leaves\n", stats.levels, stats.lists,
              stats.leaves);
  std::printf("leaf size      %.1f mean, %.2f of it deviation, %zu at most", stats.leaf_size_mean,
              stats.leaf_size_mean > 0 ? stats.leaf_size_stddev / stats.leaf_size_mean : 0.0,
              stats.leaf_size_max);
  if (stats.leaf_size_target != 0) {
    std::printf(
        " (%.2f times the target of %zu)",
        static_cast<double>(stats.leaf_size_max) / static_cast<double>(stats.leaf_size_target),
        stats.leaf_size_target);
  }
  std::printf("\n");
  std::printf("codes          %zu dimensions, 1 + %u bits\n", stats.code_dim, stats.refine_bits);
  std::printf("in memory      %s%s\n", bytes_text(index.memory_usage_bytes()).c_str(),
              stats.index_is_mapped ? ", mapped from the file" : "");
  for (const Tier& tier : index_tiers(stats)) {
    std::printf("  %-13s", tier.name.c_str());
    if (tier.disk_bytes == 0) {
      std::printf("%s\n", bytes_text(tier.ram_bytes).c_str());
    } else if (tier.ram_bytes == 0) {
      std::printf("%s on disk\n", bytes_text(tier.disk_bytes).c_str());
    } else {
      std::printf("%s, %s on disk\n", bytes_text(tier.ram_bytes).c_str(),
                  bytes_text(tier.disk_bytes).c_str());
    }
  }
  std::printf("%s", calibration_table(index).c_str());
}

}  // namespace

void add_info_command(CLI::App& app) {
  struct Arguments {
    std::filesystem::path index;
    bool is_json = false;
  };
  CLI::App& command = *app.add_subcommand("info", "Describe an index file");
  const auto arguments = std::make_shared<Arguments>();
  CLI::Option* const path = command.add_option("--index", arguments->index, "index file");
  command.add_flag("--json", arguments->is_json, "print one JSON object");
  add_file_arguments(command, "INDEX", {{path}}, [arguments] {
    const ClusteredIndex index = ClusteredIndex::open(arguments->index);
    const std::uint64_t file_bytes = std::filesystem::file_size(arguments->index);
    if (arguments->is_json) {
      std::printf("%s\n", facts_as_json(index, file_bytes).dump(2).c_str());
    } else {
      print_facts(index, file_bytes);
    }
  });
}

}  // namespace cairn::cli

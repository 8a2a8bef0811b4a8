#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>

#include <nlohmann/json.hpp>

#include <cairn/compression.h>
#include <cairn/io.h>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/file_arguments.h"
#include "cli/html_text.h"
#include "cli/interruption.h"

namespace cairn::cli {
namespace {

using nlohmann::json;

struct AnalyzeArguments {
  std::filesystem::path input;
  int zstd_level = 3;
  std::size_t max_rows = std::numeric_limits<std::size_t>::max();
  std::size_t sample_mib = 32;
  bool is_json = false;
};

json to_json(const EncodingEstimate& estimate) {
  return {{"encoding", to_string(estimate.encoding)},
          {"zstd_level", estimate.zstd_level},
          {"has_dictionary", estimate.has_dictionary},
          {"share", estimate.share},
          {"ratio", estimate.ratio},
          {"encode_bytes_per_second", estimate.encode_bytes_per_second},
          {"decode_bytes_per_second", estimate.decode_bytes_per_second},
          {"max_error", estimate.max_error},
          {"mean_error", estimate.mean_error}};
}

json to_json(const VectorAnalysis& analysis) {
  json estimates = json::array();
  for (const EncodingEstimate& estimate : analysis.estimates) {
    estimates.push_back(to_json(estimate));
  }
  return {{"rows", analysis.rows},
          {"dim", analysis.dim},
          {"sampled_rows", analysis.sampled_rows},
          {"byte_entropy", analysis.byte_entropy},
          {"exponent_entropy", analysis.exponent_entropy},
          {"exponent_ceiling", analysis.exponent_ceiling},
          {"byte_ceiling", analysis.byte_ceiling},
          {"estimates", std::move(estimates)}};
}

void print_estimate(const EncodingEstimate& estimate, double raw_bytes) {
  std::string zstd = estimate.zstd_level > 0 ? std::to_string(estimate.zstd_level) : "-";
  if (estimate.has_dictionary) zstd += "+dict";
  std::printf("%-12s %-7s %5.0f %%  %6.3f x  %10s  %5.0f MB/s  %6.0f MB/s",
              to_string(estimate.encoding), zstd.c_str(), 100 * estimate.share, estimate.ratio,
              format_bytes(raw_bytes / estimate.ratio).c_str(),
              estimate.encode_bytes_per_second / 1e6, estimate.decode_bytes_per_second / 1e6);
  if (estimate.max_error > 0) {
    std::printf("  LOSSY: error %.2g at most, %.2g on average", estimate.max_error,
                estimate.mean_error);
  }
  std::printf("\n");
}

void print_analysis(const std::string& name, const VectorAnalysis& analysis) {
  const double raw_bytes =
      static_cast<double>(analysis.rows) * static_cast<double>(analysis.dim) * sizeof(float);
  std::printf("%s: %zu x %zu vectors, %s as float32; %zu rows looked at\n", name.c_str(),
              analysis.rows, analysis.dim, format_bytes(raw_bytes).c_str(), analysis.sampled_rows);
  std::printf(
      "entropy        %.2f %.2f %.2f %.2f bits of the bytes of a value, lowest first; %.2f of "
      "the exponent\n",
      analysis.byte_entropy[0], analysis.byte_entropy[1], analysis.byte_entropy[2],
      analysis.byte_entropy[3], analysis.exponent_entropy);
  std::printf("ceiling        %.2f x if sign and mantissa are noise, %.2f x byte by byte\n",
              analysis.exponent_ceiling, analysis.byte_ceiling);
  std::printf("%-12s %-7s %7s  %8s  %10s  %10s  %11s\n", "encoding", "zstd", "holds", "ratio",
              "all rows", "encode", "decode");
  for (const EncodingEstimate& estimate : analysis.estimates) {
    const bool is_news = estimate.share > 0 || estimate.encoding == VectorEncoding::automatic;
    if (is_news) print_estimate(estimate, raw_bytes);
  }
}

void run_analyze(const AnalyzeArguments& arguments) {
  const Matrix<float> vectors = read_vectors(arguments.input, arguments.max_rows);
  stop_if_interrupted();
  const VectorAnalysis analysis =
      analyze_vectors({vectors.values.data(), vectors.rows, vectors.dim}, arguments.zstd_level,
                      arguments.sample_mib << 20);
  if (arguments.is_json) {
    std::printf("%s\n", to_json(analysis).dump(2).c_str());
  } else {
    print_analysis(arguments.input.string(), analysis);
  }
}

}  // namespace

void add_analyze_command(CLI::App& app) {
  CLI::App& command = *app.add_subcommand(
      "analyze", "Tell what each way to store the rows of a vector file would save");
  const auto arguments = std::make_shared<AnalyzeArguments>();
  CLI::Option* const input = command.add_option(
      "--input,-i", arguments->input, "vectors (.fbin .f16bin .u8bin .i8bin .fvecs .bvecs .npy)");
  command.add_option("--zstd", arguments->zstd_level, "level of zstd to try")
      ->check(CLI::Range(1, 22))
      ->capture_default_str();
  command.add_option("--rows", arguments->max_rows, "only so many rows from the start")
      ->check(at_least(1));
  command.add_option("--sample", arguments->sample_mib, "MiB of float32 to look at")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1} << 20))
      ->capture_default_str();
  command.add_flag("--json", arguments->is_json, "print one JSON object");
  add_file_arguments(command, "INPUT", {{input}}, [arguments] { run_analyze(*arguments); });
}

}  // namespace cairn::cli

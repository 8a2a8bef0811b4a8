#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <cairn/clustered_index.h>
#include <cairn/error.h>
#include <cairn/io.h>

#include "cli/arguments.h"
#include "cli/bench_gallery.h"
#include "cli/bench_report.h"
#include "cli/bench_run.h"
#include "cli/commands.h"
#include "cli/file_arguments.h"
#include "cli/html_report.h"
#include "cli/index_facts.h"
#include "cli/interruption.h"
#include "cli/machine_facts.h"
#include "cli/progress_bar.h"
#include "cli/query_file.h"
#include "cli/result_files.h"
#include "cli/text_file.h"
#include "cli/tier_report.h"

namespace cairn::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Clock = std::chrono::steady_clock;

// What a row takes in the hot tier besides its values.
constexpr std::uint64_t kHotRowExtra = 8;
// A tier of some rows, however few the index has.
constexpr std::size_t kLeastRows = 8;

struct BenchArguments {
  fs::path index;
  fs::path input;
  fs::path queries;
  fs::path truth;
  fs::path json_path;
  fs::path html_path;
  fs::path peers;
  fs::path labels;
  fs::path query_labels;
  std::string name;
  std::string storage;
  CompressionOptions compression;
  std::optional<std::uint64_t> hot_bytes;
  std::optional<std::uint64_t> warm_bytes;
  std::string image_shape;
  std::size_t max_queries = std::numeric_limits<std::size_t>::max();
  std::vector<double> targets{0.8, 0.9, 0.95, 0.99};
  std::vector<std::size_t> probes;
  BuildOptions build;
  BenchPlan plan;
  GalleryOptions gallery;
};

unsigned resolved_threads(unsigned threads) {
  return threads != 0 ? threads : std::max(1u, std::thread::hardware_concurrency());
}

// The index under test and what is known of how it came to be.
struct Subject {
  ClusteredIndex index;
  Matrix<float> base;  // empty if the index was opened
  json build;
};

Subject make_subject(const BenchArguments& arguments) {
  const Clock::time_point start = Clock::now();
  const auto seconds = [&start] {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  if (!arguments.index.empty()) {
    ClusteredIndex index = ClusteredIndex::open(arguments.index);
    return {std::move(index), {}, {{"open_seconds", seconds()}}};
  }
  Matrix<float> base = read_vectors(arguments.input);
  stop_if_interrupted();
  ProgressBar bar("build");
  BuildOptions options = arguments.build;
  options.on_progress = [&bar](const BuildProgress& progress) {
    return bar.update(progress.done, progress.total, progress.phase);
  };
  const Clock::time_point build_start = Clock::now();
  ClusteredIndex index = ClusteredIndex::build({base.values.data(), base.rows, base.dim}, options);
  const std::chrono::duration<double> build_seconds = Clock::now() - build_start;
  return {std::move(index),
          std::move(base),
          {{"seconds", build_seconds.count()}, {"threads", resolved_threads(options.threads)}}};
}

// Puts full vectors where --storage says. A mapped file needs no name once it is mapped.
void set_storage(ClusteredIndex& index, const BenchArguments& arguments) {
  const std::string& storage = arguments.storage;
  const fs::path file =
      fs::temp_directory_path() /
      ("cairn-bench-" + std::to_string(Clock::now().time_since_epoch().count()) + ".vectors");
  if (storage == "memory") {
    index.use_memory_storage();
  } else if (storage == "mmap" && !index.is_using_mmap()) {
    index.use_mmap_storage(file);
    fs::remove(file);
  } else if (storage == "compressed") {
    index.use_compressed_storage(file, arguments.compression);
    fs::remove(file);
  } else if (storage == "tiered") {
    const std::uint64_t tenth =
        (index.size() / 10 + kLeastRows) * (index.dim() * sizeof(float) + kHotRowExtra);
    index.use_tiered_storage({.hot_bytes = arguments.hot_bytes.value_or(tenth),
                              .warm_bytes = arguments.warm_bytes.value_or(tenth),
                              .vectors_file = file,
                              .compression = arguments.compression});
    fs::remove(file);
  }
}

BenchTruth find_truth(const BenchArguments& arguments, const Subject& subject, MatrixView queries) {
  const ClusteredIndex& index = subject.index;
  const std::size_t k = arguments.plan.options.k;
  if (!arguments.truth.empty()) return read_truth(arguments.truth, index, queries, k);
  if (subject.base.rows > 0) {
    const MatrixView base{subject.base.values.data(), subject.base.rows, subject.base.dim};
    return compute_truth(base, {}, queries, k, index.metric());
  }
  std::vector<float> rows(index.size() * index.dim());
  index.read_rows(0, index.size(), rows.data());
  std::vector<VectorId> ids(index.size());
  for (std::size_t row = 0; row < ids.size(); ++row) {
    ids[row] = index.id_of(static_cast<std::uint32_t>(row));
  }
  return compute_truth({rows.data(), index.size(), index.dim()}, ids, queries, k, index.metric());
}

std::vector<BenchPoint> measure_all(const BenchArguments& arguments, const ClusteredIndex& index,
                                    const BenchTruth& truth) {
  std::vector<BenchPoint> points;
  ProgressBar bar("bench");
  const std::size_t total =
      arguments.probes.empty() ? arguments.targets.size() : arguments.probes.size();
  for (std::size_t i = 0; i < total; ++i) {
    points.push_back(
        arguments.probes.empty()
            ? measure_point(index, arguments.plan, truth, arguments.targets[i], 0)
            : measure_point(index, arguments.plan, truth, std::nullopt, arguments.probes[i]));
    bar.update(i + 1, total);
  }
  return points;
}

json read_peers(const fs::path& path) {
  const json parsed = json::parse(read_text_file(path), nullptr, false);
  const json& peers = parsed.is_object() && parsed.contains("peers") ? parsed["peers"] : parsed;
  if (!peers.is_array()) {
    throw Error(ErrorCode::invalid_argument,
                path.string() + ": expected a JSON array of peers, or an object with \"peers\"");
  }
  return peers;
}

ImageShape parse_image_shape(const std::string& text) {
  ImageShape shape;
  char rest = '\0';
  if (std::sscanf(text.c_str(), "%5zux%5zu%c", &shape.width, &shape.height, &rest) != 2 ||
      shape.width == 0 || shape.height == 0) {
    throw CLI::ValidationError("--image-shape", text + ": expected WIDTHxHEIGHT, as in 28x28");
  }
  return shape;
}

json make_report(const BenchArguments& arguments, const Subject& subject,
                 const std::vector<BenchPoint>& points, const BenchTruth& truth) {
  const ClusteredIndex& index = subject.index;
  const IndexStats stats = index.stats();
  const fs::path& source = arguments.index.empty() ? arguments.input : arguments.index;
  json build = subject.build;
  build["index_bytes_ram"] = index.memory_usage_bytes();
  build["peak_rss_bytes"] = peak_rss_bytes();
  return {{"machine", machine_facts()},
          {"data",
           {{"n", index.size()},
            {"dim", index.dim()},
            {"metric", to_string(index.metric())},
            {"queries", arguments.plan.queries.rows},
            {"name", arguments.name.empty() ? source.stem().string() : arguments.name},
            {"truth", truth.source},
            {"truth_queries", truth.queries.size()}}},
          {"build", std::move(build)},
          {"index", to_json(stats)},
          {"tiers", to_json(index_tiers(stats))},
          {"points", points_to_json(points, arguments.plan, index.storage_kind())},
          {"latency_histogram", latency_histogram(points)}};
}

void print_summary(const BenchArguments& arguments, const Subject& subject,
                   const std::vector<BenchPoint>& points, const BenchTruth& truth) {
  const ClusteredIndex& index = subject.index;
  const std::size_t queries = arguments.plan.queries.rows;
  const json machine = machine_facts();
  std::printf("%s, %s, %s\n", machine["cpu"].get<std::string>().c_str(),
              machine["isa"].get<std::string>().c_str(),
              machine["compiler"].get<std::string>().c_str());
  std::printf("%zu x %zu vectors, %s, vectors in %s; %zu queries, %u thread%s\n", index.size(),
              index.dim(), to_string(index.metric()), to_string(index.storage_kind()), queries,
              arguments.plan.clients, arguments.plan.clients == 1 ? "" : "s");
  if (subject.build.contains("seconds")) {
    std::printf("built in %.2f s\n", subject.build["seconds"].get<double>());
  }
  if (truth.source != "file") {
    std::printf("recall on %zu of %zu queries, by exact search (--truth has them all)\n",
                truth.queries.size(), queries);
  }
  std::printf("%s", points_to_table(points, arguments.plan.options.k).c_str());
  if (!points.empty() && points.back().tiers) {
    std::printf("full vectors, while the last line was measured\n%s",
                tiers_to_table(*points.back().tiers).c_str());
  }
}

void check_bench_files(const BenchArguments& arguments) {
  check_files({{"--index", arguments.index},
               {"--input", arguments.input},
               {"--queries", arguments.queries},
               {"--truth", arguments.truth},
               {"the distances of --truth", distances_path(arguments.truth)},
               {"--peers", arguments.peers},
               {"--labels", arguments.labels},
               {"--query-labels", arguments.query_labels}},
              {{"--json", arguments.json_path, true}, {"--html", arguments.html_path}});
}

void run_bench(BenchArguments arguments) {
  check_bench_files(arguments);
  const json peers = arguments.peers.empty() ? json() : read_peers(arguments.peers);
  if (!arguments.labels.empty()) arguments.gallery.labels = read_lines(arguments.labels);
  if (!arguments.query_labels.empty()) {
    arguments.gallery.query_labels = read_lines(arguments.query_labels);
  }
  Subject subject = make_subject(arguments);
  const Matrix<float> queries =
      read_queries(arguments.queries, subject.index, arguments.max_queries);
  arguments.plan.queries = {queries.values.data(), queries.rows, queries.dim};
  const BenchTruth truth = find_truth(arguments, subject, arguments.plan.queries);
  set_storage(subject.index, arguments);
  const std::vector<BenchPoint> points = measure_all(arguments, subject.index, truth);

  json report = make_report(arguments, subject, points, truth);
  const json gallery = make_gallery(subject.index, arguments.plan.queries, arguments.plan.options,
                                    arguments.gallery);
  if (!gallery.is_null()) report["gallery"] = gallery;
  if (!peers.is_null()) report["peers"] = peers;
  const bool has_json_on_stdout = arguments.json_path == "-";
  const std::string text = report.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
  if (has_json_on_stdout) {
    std::fputs(text.c_str(), stdout);
  } else {
    print_summary(arguments, subject, points, truth);
    if (!arguments.json_path.empty()) write_text(arguments.json_path, text);
  }
  if (!arguments.html_path.empty()) {
    write_text(arguments.html_path, render_html_report(report));
  }
}

struct SubjectOptions {
  CLI::Option* index;
  CLI::Option* input;
};

SubjectOptions add_subject_options(CLI::App& command, BenchArguments& arguments) {
  CLI::Option* const index = command.add_option("--index", arguments.index, "index file");
  CLI::Option* const input =
      command
          .add_option("--input,-i", arguments.input,
                      "instead of --index: base vectors, to build an index of")
          ->excludes(index);
  for (CLI::Option* option : add_build_options(command, arguments.build, "--build-threads")) {
    option->needs(input);
  }
  return {index, input};
}

// Options that say nothing without others.
struct ConditionalOptions {
  std::vector<CLI::Option*> of_compression;
  std::vector<CLI::Option*> of_tiers;
  std::vector<CLI::Option*> of_report;
  std::vector<CLI::Option*> of_gallery;
};

void add_storage_options(CLI::App& command, BenchArguments& arguments,
                         ConditionalOptions& conditional) {
  command
      .add_option("--storage", arguments.storage,
                  "where full vectors are: memory, mmap, compressed or tiered")
      ->check(CLI::IsMember({"memory", "mmap", "compressed", "tiered"}));
  conditional.of_compression = add_compression_options(command, arguments.compression);
  conditional.of_tiers = add_tier_options(command, arguments.hot_bytes, arguments.warm_bytes);
}

void add_report_options(CLI::App& command, BenchArguments& arguments,
                        ConditionalOptions& conditional) {
  command.add_option("--json", arguments.json_path, "write the report as JSON; - for stdout");
  command.add_option("--html", arguments.html_path, "write the report as one HTML page");
  CLI::Option* const name =
      command.add_option("--name", arguments.name, "name of the data set, for the report");
  CLI::Option* const peers = command.add_option("--peers", arguments.peers,
                                                "JSON curves of other libraries for the report");
  CLI::Option* const shape =
      command
          .add_option_function<std::string>(
              "--image-shape",
              [&arguments](const std::string& text) {
                arguments.gallery.image_shape = parse_image_shape(text);
              },
              "vectors are pictures of WIDTHxHEIGHT: show some in the report")
          ->type_name("WxH");
  CLI::Option* const labels =
      command.add_option("--labels", arguments.labels, "text file, one line per base row");
  CLI::Option* const query_labels =
      command.add_option("--query-labels", arguments.query_labels, "text file, one line per query");
  CLI::Option* const items =
      command.add_option("--gallery", arguments.gallery.items, "queries to show in the report")
          ->capture_default_str();
  conditional.of_report = {name, peers, shape, labels, query_labels, items};
  conditional.of_gallery = {query_labels, items};
}

void refuse_ignored(const BenchArguments& arguments, const ConditionalOptions& options) {
  const bool is_tiered = arguments.storage == "tiered";
  const bool has_report = !arguments.json_path.empty() || !arguments.html_path.empty();
  const bool has_gallery = arguments.gallery.image_shape || !arguments.labels.empty();
  if (!is_tiered && arguments.storage != "compressed") {
    refuse_given(options.of_compression, "--storage compressed or tiered");
  }
  if (!is_tiered) refuse_given(options.of_tiers, "--storage tiered");
  if (!has_report) refuse_given(options.of_report, "--json or --html");
  if (!has_gallery) refuse_given(options.of_gallery, "--image-shape or --labels");
  if (arguments.html_path == "-") {
    throw CLI::ValidationError("--html", "-: expected a file; --json takes - for stdout");
  }
}

}  // namespace

void add_bench_command(CLI::App& app) {
  CLI::App& command = *app.add_subcommand("bench", "Measure speed against recall");
  const auto arguments = std::make_shared<BenchArguments>();
  ConditionalOptions conditional;
  const SubjectOptions subject = add_subject_options(command, *arguments);
  CLI::Option* const queries =
      command.add_option("--queries,-q", arguments->queries, "query vectors; - for standard input");
  command.add_option("--truth", arguments->truth,
                     "true neighbours, as 'cairn truth' writes them; default: computed");
  command.add_option("--max-queries", arguments->max_queries, "only the first so many queries")
      ->check(at_least(1));
  add_k_option(command, arguments->plan.options.k);
  CLI::Option* const recall =
      add_recall_option(command, arguments->targets)->default_str("0.8,0.9,0.95,0.99");
  add_probes_option(command, arguments->probes)->excludes(recall);
  add_rerank_option(command, arguments->plan.options.rerank_factor);
  add_storage_options(command, *arguments, conditional);
  command
      .add_option("--threads", arguments->plan.clients, "threads that ask queries at the same time")
      ->check(CLI::Range(1u, 4096u))
      ->capture_default_str();
  command
      .add_option("--repeat", arguments->plan.repeat, "runs per point, the best of which counts")
      ->check(CLI::Range(1u, 1000u))
      ->capture_default_str();
  add_report_options(command, *arguments, conditional);
  add_file_arguments(command, "INDEX QUERIES", {{subject.index, subject.input}, {queries}},
                     [arguments, conditional] {
                       refuse_ignored(*arguments, conditional);
                       run_bench(*arguments);
                     });
}

}  // namespace cairn::cli

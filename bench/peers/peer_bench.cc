#include "bench/peers/peer_bench.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <utility>

#include <malloc.h>
#include <sys/resource.h>

#include <cairn/exact_search.h>

namespace cairn::peers {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using nlohmann::json;

constexpr std::size_t kWarmUpQueries = 1000;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::size_t resident_bytes() {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with("VmRSS:")) return std::stoull(line.substr(6)) * 1024;
  }
  return 0;
}

void normalise(Matrix<float>& matrix) {
  for (std::size_t i = 0; i < matrix.rows; ++i) {
    float* row = matrix.values.data() + i * matrix.dim;
    double squares = 0;
    for (std::size_t j = 0; j < matrix.dim; ++j) squares += double{row[j]} * row[j];
    const double scale = squares > 0 ? 1 / std::sqrt(squares) : 0;
    for (std::size_t j = 0; j < matrix.dim; ++j) row[j] = static_cast<float>(row[j] * scale);
  }
}

bool is_cosine(const Arguments& arguments) {
  const std::string& metric = arguments.at("--metric");
  if (metric != "l2" && metric != "cosine") throw std::invalid_argument("metric: l2 or cosine");
  return metric == "cosine";
}

BatchResult read_truth(const fs::path& ids_path, std::size_t queries) {
  fs::path distances_path = ids_path;
  distances_path.replace_extension(".distances.fbin");
  // As ground truth made by others, and by older versions of the command, has it.
  if (!fs::exists(distances_path)) distances_path.replace_extension().replace_extension(".fbin");
  const Matrix<std::int32_t> ids = read_int_matrix(ids_path);
  Matrix<float> distances = read_vectors(distances_path);
  if (ids.rows != distances.rows || ids.dim != distances.dim) {
    throw std::runtime_error("ids and distances of the truth have different shapes");
  }
  if (ids.rows < queries) throw std::runtime_error("truth of fewer queries than are asked");
  const auto end = ids.values.begin() + static_cast<std::ptrdiff_t>(queries * ids.dim);
  distances.values.resize(queries * ids.dim);
  return {.queries = queries,
          .k = ids.dim,
          .ids = {ids.values.begin(), end},
          .distances = std::move(distances.values)};
}

std::string note_path(const fs::path& cache) { return cache.string() + ".json"; }

// The note first: where the index is, its note is.
void keep(const fs::path& cache, const BuildCost& cost, const IndexMaker& maker) {
  const std::string temporary = cache.string() + ".tmp";
  maker.save(temporary);
  std::ofstream(note_path(cache)) << json{{"wall_seconds", cost.wall_seconds},
                                          {"cpu_seconds", cost.cpu_seconds},
                                          {"threads", cost.threads}};
  fs::rename(temporary, cache);
}

BuildCost build_index(const Arguments& arguments, const IndexMaker& maker) {
  const Matrix<float> base = read_base(arguments);
  const std::size_t asked = std::stoul(arguments.at("--threads"));
  BuildCost cost;
  cost.threads = asked != 0 ? asked : std::max(1u, std::thread::hardware_concurrency());
  const Clock::time_point start = Clock::now();
  const double cpu_start = cpu_seconds();
  maker.build(base, cost.threads);
  cost.wall_seconds = seconds_since(start);
  cost.cpu_seconds = cpu_seconds() - cpu_start;
  return cost;
}

// Other libraries' distances are not ours to the last bit, and the rule of recall compares
// distances for equality: each id gets the truth's distance if the truth knows it, and infinity if
// not.
void take_truth_distances(BatchResult& found, const BatchResult& truth) {
  for (std::size_t query = 0; query < found.queries; ++query) {
    const auto first = truth.ids.begin() + static_cast<std::ptrdiff_t>(query * truth.k);
    const auto last = first + static_cast<std::ptrdiff_t>(truth.k);
    for (std::size_t i = query * found.k; i < (query + 1) * found.k; ++i) {
      const auto known = std::find(first, last, found.ids[i]);
      found.distances[i] =
          known == last ? std::numeric_limits<float>::infinity()
                        : truth.distances[static_cast<std::size_t>(known - truth.ids.begin())];
    }
  }
}

struct Run {
  BatchResult found;
  std::vector<double> latencies_us;  // ascending
  double seconds = 0;
  double cpu_seconds = 0;
};

Run run_queries(const Search& search, const Matrix<float>& queries, std::size_t k) {
  Run run;
  run.found = {.queries = queries.rows,
               .k = k,
               .ids = std::vector<VectorId>(queries.rows * k, kNoId),
               .distances = std::vector<float>(queries.rows * k)};
  run.latencies_us.reserve(queries.rows);
  const double cpu_start = cpu_seconds();
  const Clock::time_point start = Clock::now();
  for (std::size_t i = 0; i < queries.rows; ++i) {
    const Clock::time_point query_start = Clock::now();
    search(queries.row(i), run.found.ids.data() + i * k);
    run.latencies_us.push_back(1e6 * seconds_since(query_start));
  }
  run.seconds = seconds_since(start);
  run.cpu_seconds = cpu_seconds() - cpu_start;
  std::sort(run.latencies_us.begin(), run.latencies_us.end());
  return run;
}

double median(const Run& run) { return run.latencies_us[run.latencies_us.size() / 2]; }

}  // namespace

Arguments parse_arguments(int argc, char** argv, Arguments defaults) {
  Arguments arguments{{"--metric", "l2"}, {"--k", "10"},   {"--threads", "0"},
                      {"--repeats", "3"}, {"--input", ""}, {"--max-queries", ""},
                      {"--queries", ""},  {"--truth", ""}, {"--cache", ""},
                      {"--json", ""}};
  arguments.merge(defaults);
  for (int i = 1; i < argc; i += 2) {
    const auto found = arguments.find(argv[i]);
    if (found == arguments.end() || i + 1 == argc) {
      throw std::invalid_argument(std::string("unknown or incomplete argument: ") + argv[i]);
    }
    found->second = argv[i + 1];
  }
  for (const char* required : {"--input", "--queries", "--truth"}) {
    if (arguments[required].empty())
      throw std::invalid_argument(std::string(required) + " missing");
  }
  return arguments;
}

std::vector<std::size_t> parse_list(const std::string& text) {
  std::vector<std::size_t> numbers;
  std::istringstream stream(text);
  for (std::string item; std::getline(stream, item, ',');) numbers.push_back(std::stoul(item));
  return numbers;
}

Workload read_workload(const Arguments& arguments) {
  const std::string& most = arguments.at("--max-queries");
  Workload workload;
  workload.queries =
      read_vectors(arguments.at("--queries"),
                   most.empty() ? std::numeric_limits<std::size_t>::max() : std::stoul(most));
  workload.truth = read_truth(arguments.at("--truth"), workload.queries.rows);
  workload.k = std::stoul(arguments.at("--k"));
  workload.repeats = std::stoul(arguments.at("--repeats"));
  const VectorFileInfo base = read_vector_file_info(arguments.at("--input"));
  if (base.dim != workload.queries.dim || base.rows == 0 || workload.queries.rows == 0) {
    throw std::runtime_error("base, queries and truth do not belong together");
  }
  if (is_cosine(arguments)) normalise(workload.queries);
  return workload;
}

Matrix<float> read_base(const Arguments& arguments) {
  Matrix<float> base = read_vectors(arguments.at("--input"));
  if (is_cosine(arguments)) normalise(base);
  return base;
}

IndexCost load_or_build(const Arguments& arguments, const IndexMaker& maker) {
  const fs::path cache = arguments.at("--cache");
  malloc_trim(0);
  const std::size_t resident = resident_bytes();
  IndexCost cost;
  if (!cache.empty() && fs::exists(cache) && fs::exists(note_path(cache))) {
    const json note = json::parse(std::ifstream(note_path(cache)));
    cost.build = {note.at("wall_seconds"), note.at("cpu_seconds"), note.at("threads")};
    maker.load(cache.string());
  } else {
    cost.build = build_index(arguments, maker);
    if (!cache.empty()) keep(cache, cost.build, maker);
  }
  malloc_trim(0);
  cost.ram_bytes = resident_bytes() - std::min(resident, resident_bytes());
  cost.file_bytes = cache.empty() ? 0 : fs::file_size(cache);
  return cost;
}

json measure_point(const std::string& label, const Search& search, const Workload& workload) {
  const Matrix<float>& queries = workload.queries;
  std::vector<VectorId> ids(workload.k);
  for (std::size_t i = 0; i < std::min(kWarmUpQueries, queries.rows); ++i) {
    search(queries.row(i), ids.data());
  }
  Run best = run_queries(search, queries, workload.k);
  for (std::size_t repeat = 1; repeat < workload.repeats; ++repeat) {
    Run run = run_queries(search, queries, workload.k);
    if (median(run) < median(best)) best = std::move(run);
  }
  take_truth_distances(best.found, workload.truth);
  const auto count = static_cast<double>(queries.rows);
  const auto percentile = [&](double share) {
    return best.latencies_us[static_cast<std::size_t>(share * (count - 1))];
  };
  const double recall = recall_at_k(best.found, workload.truth, workload.k);
  const double qps = count / best.seconds;
  std::printf("%-26s %8.4f %10.0f %9.1f %9.1f\n", label.c_str(), recall, qps, percentile(0.5),
              percentile(0.99));
  std::fflush(stdout);
  return {{"label", label},
          {"recall", recall},
          {"qps", qps},
          {"p50_us", percentile(0.5)},
          {"p99_us", percentile(0.99)},
          {"cpu_us", 1e6 * best.cpu_seconds / count}};
}

void print_header(const std::string& name, const IndexCost& cost) {
  std::printf("%s: built in %.2f s on %zu threads (%.2f CPU s), %.0f MB\n", name.c_str(),
              cost.build.wall_seconds, cost.build.threads, cost.build.cpu_seconds,
              static_cast<double>(cost.ram_bytes) / 1e6);
  std::printf("%-26s %8s %10s %9s %9s\n", "", "recall", "queries/s", "p50 us", "p99 us");
}

void write_report(const Arguments& arguments, const std::string& name, const IndexCost& cost,
                  const json& points) {
  if (arguments.at("--json").empty()) return;
  const json report{{"name", name},
                    {"points", points},
                    {"build",
                     {{"seconds", cost.build.wall_seconds},
                      {"cpu_seconds", cost.build.cpu_seconds},
                      {"threads", cost.build.threads}}},
                    {"ram_bytes", cost.ram_bytes},
                    {"file_bytes", cost.file_bytes}};
  std::ofstream out(arguments.at("--json"));
  if (!(out << report.dump(2) << '\n')) throw std::runtime_error("cannot write the JSON file");
}

}  // namespace cairn::peers

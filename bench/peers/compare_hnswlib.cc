// Measures hnswlib as `cairn bench` measures Cairn: the same vectors, queries, ground truth and
// rule of recall, one thread, one query at a time.
//
//   compare_hnswlib --input base.fbin --queries query.fbin --truth gt100.ibin [--metric l2|cosine]
//                   [--k 10] [--ef 10,20,40,...] [--threads 0] [--repeats 3] [--cache graph.bin]
//                   [--json out.json]
//
// The truth's distances are read from the .fbin beside the .ibin. With --cache the built graph is
// kept there, and read instead of built if it exists.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <hnswlib/hnswlib.h>
#include <malloc.h>
#include <nlohmann/json.hpp>
#include <sys/resource.h>

#include <cairn/exact_search.h>
#include <cairn/io.h>

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using Graph = hnswlib::HierarchicalNSW<float>;
using nlohmann::json;

constexpr std::size_t kLinks = 16;             // M
constexpr std::size_t kBuildCandidates = 200;  // efConstruction

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

using Arguments = std::map<std::string, std::string>;

Arguments parse_arguments(int argc, char** argv) {
  Arguments arguments{{"--metric", "l2"}, {"--k", "10"},      {"--ef", "10,20,40,80,160,320,640"},
                      {"--threads", "0"}, {"--repeats", "3"}, {"--input", ""},
                      {"--queries", ""},  {"--truth", ""},    {"--cache", ""},
                      {"--json", ""}};
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

void normalise(cairn::Matrix<float>& matrix) {
  for (std::size_t i = 0; i < matrix.rows; ++i) {
    float* row = matrix.values.data() + i * matrix.dim;
    double squares = 0;
    for (std::size_t j = 0; j < matrix.dim; ++j) squares += double{row[j]} * row[j];
    const double scale = squares > 0 ? 1 / std::sqrt(squares) : 0;
    for (std::size_t j = 0; j < matrix.dim; ++j) row[j] = static_cast<float>(row[j] * scale);
  }
}

cairn::BatchResult read_truth(const fs::path& ids_path) {
  fs::path distances_path = ids_path;
  distances_path.replace_extension(".fbin");
  const cairn::Matrix<std::int32_t> ids = cairn::read_int_matrix(ids_path);
  cairn::Matrix<float> distances = cairn::read_vectors(distances_path);
  if (ids.rows != distances.rows || ids.dim != distances.dim) {
    throw std::runtime_error("ids and distances of the truth have different shapes");
  }
  return {.queries = ids.rows,
          .k = ids.dim,
          .ids = {ids.values.begin(), ids.values.end()},
          .distances = std::move(distances.values)};
}

struct BuildCost {
  double wall_seconds = 0;
  double cpu_seconds = 0;
  unsigned threads = 0;
};

std::unique_ptr<Graph> build_graph(hnswlib::SpaceInterface<float>& space,
                                   const cairn::Matrix<float>& base, unsigned threads,
                                   BuildCost& cost) {
  const Clock::time_point start = Clock::now();
  const double cpu_start = cpu_seconds();
  auto graph = std::make_unique<Graph>(&space, base.rows, kLinks, kBuildCandidates);
  graph->addPoint(base.row(0), 0);
  std::atomic<std::size_t> next{1};
  const auto add_points = [&] {
    for (std::size_t i; (i = next.fetch_add(1)) < base.rows;) graph->addPoint(base.row(i), i);
  };
  {
    std::vector<std::jthread> workers;
    for (unsigned thread = 0; thread < threads; ++thread) workers.emplace_back(add_points);
  }
  cost = {seconds_since(start), cpu_seconds() - cpu_start, threads};
  return graph;
}

// The graph from `cache` if it is there, with the cost of building it noted beside; else a new one,
// kept there if a name is given.
std::unique_ptr<Graph> load_or_build(hnswlib::SpaceInterface<float>& space,
                                     const cairn::Matrix<float>& base, unsigned threads,
                                     const fs::path& cache, BuildCost& cost) {
  const fs::path note = cache.string() + ".json";
  if (!cache.empty() && fs::exists(cache) && fs::exists(note)) {
    const json noted = json::parse(std::ifstream(note));
    cost = {noted.at("wall_seconds"), noted.at("cpu_seconds"), noted.at("threads")};
    auto graph = std::make_unique<Graph>(&space, cache.string());
    if (graph->cur_element_count != base.rows)
      throw std::runtime_error("cache of another data set");
    return graph;
  }
  std::unique_ptr<Graph> graph = build_graph(space, base, threads, cost);
  if (!cache.empty()) {
    const std::string temporary = cache.string() + ".tmp";
    graph->saveIndex(temporary);
    fs::rename(temporary, cache);
    std::ofstream(note) << json{{"wall_seconds", cost.wall_seconds},
                                {"cpu_seconds", cost.cpu_seconds},
                                {"threads", cost.threads}};
  }
  return graph;
}

// hnswlib's distances are not ours to the last bit, and the rule of recall compares distances for
// equality: each id gets the truth's distance if the truth knows it, and infinity if not.
void take_truth_distances(cairn::BatchResult& found, const cairn::BatchResult& truth) {
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
  cairn::BatchResult found;
  std::vector<double> latencies_us;
  double seconds = 0;
};

Run run_queries(const Graph& graph, const cairn::Matrix<float>& queries, std::size_t k) {
  Run run;
  run.found = {.queries = queries.rows,
               .k = k,
               .ids = std::vector<cairn::VectorId>(queries.rows * k, cairn::kNoId),
               .distances = std::vector<float>(queries.rows * k)};
  run.latencies_us.reserve(queries.rows);
  const Clock::time_point start = Clock::now();
  for (std::size_t i = 0; i < queries.rows; ++i) {
    const Clock::time_point query_start = Clock::now();
    auto heap = graph.searchKnn(queries.row(i), k);
    for (std::size_t place = heap.size(); place-- > 0; heap.pop()) {
      run.found.ids[i * k + place] = heap.top().second;
    }
    run.latencies_us.push_back(1e6 * seconds_since(query_start));
  }
  run.seconds = seconds_since(start);
  std::sort(run.latencies_us.begin(), run.latencies_us.end());
  return run;
}

double median(const Run& run) { return run.latencies_us[run.latencies_us.size() / 2]; }

// Of several runs the one of least median latency counts, as in `cairn bench`.
json measure(Graph& graph, const cairn::Matrix<float>& queries, const cairn::BatchResult& truth,
             std::size_t k, std::size_t ef, std::size_t repeats) {
  graph.setEf(ef);
  Run best = run_queries(graph, queries, k);
  for (std::size_t repeat = 1; repeat < repeats; ++repeat) {
    Run run = run_queries(graph, queries, k);
    if (median(run) < median(best)) best = std::move(run);
  }
  take_truth_distances(best.found, truth);
  const auto percentile = [&](double share) {
    const auto count = static_cast<double>(best.latencies_us.size());
    return best.latencies_us[static_cast<std::size_t>(share * (count - 1))];
  };
  return {{"label", "ef=" + std::to_string(ef)},
          {"recall", cairn::recall_at_k(best.found, truth, k)},
          {"qps", static_cast<double>(queries.rows) / best.seconds},
          {"p50_us", percentile(0.5)},
          {"p99_us", percentile(0.99)}};
}

int run(const Arguments& arguments) {
  const std::string& metric = arguments.at("--metric");
  if (metric != "l2" && metric != "cosine") throw std::invalid_argument("metric: l2 or cosine");
  const std::size_t k = std::stoul(arguments.at("--k"));
  const std::size_t repeats = std::stoul(arguments.at("--repeats"));
  const auto asked_threads = static_cast<unsigned>(std::stoul(arguments.at("--threads")));
  const unsigned threads =
      asked_threads != 0 ? asked_threads : std::max(1u, std::thread::hardware_concurrency());

  cairn::Matrix<float> base = cairn::read_vectors(arguments.at("--input"));
  cairn::Matrix<float> queries = cairn::read_vectors(arguments.at("--queries"));
  cairn::BatchResult truth = read_truth(arguments.at("--truth"));
  if (base.dim != queries.dim || truth.queries != queries.rows || base.rows == 0 ||
      queries.rows == 0) {
    throw std::runtime_error("base, queries and truth do not belong together");
  }
  if (metric == "cosine") {
    normalise(base);
    normalise(queries);
  }
  hnswlib::L2Space l2(base.dim);
  hnswlib::InnerProductSpace inner_product(base.dim);
  hnswlib::SpaceInterface<float>& space =
      metric == "l2" ? static_cast<hnswlib::SpaceInterface<float>&>(l2) : inner_product;

  BuildCost cost;
  const std::unique_ptr<Graph> graph =
      load_or_build(space, base, threads, arguments.at("--cache"), cost);
  base.values = {};
  malloc_trim(0);
  const std::size_t rss = resident_bytes();
  const std::string name = "hnswlib M=16 efC=200";
  std::printf("%s: built in %.2f s on %u threads (%.2f CPU s), RSS %.0f MB\n", name.c_str(),
              cost.wall_seconds, cost.threads, cost.cpu_seconds, static_cast<double>(rss) / 1e6);
  std::printf("%-10s %8s %10s %9s %9s\n", "", "recall", "queries/s", "p50 us", "p99 us");

  json points = json::array();
  for (const std::size_t ef : parse_list(arguments.at("--ef"))) {
    const json point = measure(*graph, queries, truth, k, ef, repeats);
    std::printf("%-10s %8.4f %10.0f %9.1f %9.1f\n", point["label"].get<std::string>().c_str(),
                point["recall"].get<double>(), point["qps"].get<double>(),
                point["p50_us"].get<double>(), point["p99_us"].get<double>());
    std::fflush(stdout);
    points.push_back(point);
  }
  if (!arguments.at("--json").empty()) {
    const json report{{"name", name},
                      {"points", points},
                      {"build",
                       {{"seconds", cost.wall_seconds},
                        {"cpu_seconds", cost.cpu_seconds},
                        {"threads", cost.threads}}},
                      {"rss_bytes", rss}};
    std::ofstream out(arguments.at("--json"));
    if (!(out << report.dump(2) << '\n')) throw std::runtime_error("cannot write the JSON file");
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(parse_arguments(argc, argv));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "compare_hnswlib: %s\n", error.what());
    return 1;
  }
}

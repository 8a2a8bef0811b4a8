#pragma once

// What the programs that measure other libraries share, so that each is measured as `cairn bench`
// measures Cairn: the same vectors, queries, ground truth and rule of recall, one thread, one query
// at a time. Knows no library but Cairn.

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <cairn/clustered_index.h>
#include <cairn/io.h>

namespace cairn::peers {

using Arguments = std::map<std::string, std::string>;

// `defaults` and those that every program takes, as the command line sets them. Throws
// std::invalid_argument for an unknown argument, one without a value and a missing file.
Arguments parse_arguments(int argc, char** argv, Arguments defaults);

// The numbers of a comma-separated list.
std::vector<std::size_t> parse_list(const std::string& text);

// The queries and what they should find.
struct Workload {
  Matrix<float> queries;  // of length one if the metric is cosine
  BatchResult truth;      // a row per query
  std::size_t k = 0;
  std::size_t repeats = 0;  // the run of least median latency counts
};

// Throws std::exception if queries, truth and base do not belong together.
Workload read_workload(const Arguments& arguments);

// The base vectors, of length one if the metric is cosine.
Matrix<float> read_base(const Arguments& arguments);

struct BuildCost {
  double wall_seconds = 0;
  double cpu_seconds = 0;
  std::size_t threads = 0;
};

// An index's ways to come into being.
struct IndexMaker {
  std::function<void(const Matrix<float>& base, std::size_t threads)> build;
  std::function<void(const std::string& path)> save;
  std::function<void(const std::string& path)> load;
};

struct IndexCost {
  BuildCost build;
  std::size_t ram_bytes =
      0;  // by how much the resident set grew; what building freed is given back
  std::size_t file_bytes = 0;  // 0 if it was not kept
};

// Loads the index kept under --cache, with the cost of building it noted beside; builds one if
// there is none, and keeps it if --cache has a name.
IndexCost load_or_build(const Arguments& arguments, const IndexMaker& maker);

// Writes the ids of a query's k nearest, nearest first; kNoId where there are fewer.
using Search = std::function<void(const float* query, VectorId* ids)>;

// Warms up, asks every query `repeats` times and prints a line. {label, recall, qps, p50_us,
// p99_us, cpu_us}, the last being the mean CPU time of a query.
nlohmann::json measure_point(const std::string& label, const Search& search,
                             const Workload& workload);

void print_header(const std::string& name, const IndexCost& cost);

// Writes what was measured where --json says, if it does: a peer, as `cairn bench --peers` reads
// it.
void write_report(const Arguments& arguments, const std::string& name, const IndexCost& cost,
                  const nlohmann::json& points);

}  // namespace cairn::peers

// What queries cost, one after the other, where memory does not hold the index: to be run in a
// memory cgroup, see scripts/bench_cold.sh.
//
//   cairn_cold_stalls mapped|locked|safe|cold INDEX.cairn QUERIES.fbin [COUNT=5000] [RECALL=0.95]
//
// mapped: codes and vectors compete for memory; locked: warm() with lock_codes; safe: safe_reads.
// cold is for comparison, outside of the cgroup: the same reads from disk, with memory enough.
//
// Prints milliseconds per query, with and without the time that the thread spent waiting for a
// processor that others had, and the longest against the median. The first tenth of the queries is
// not counted.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <string>
#include <vector>

#include <cairn/cairn.h>

namespace {

// Seconds that this thread has waited for a processor so far.
double seconds_in_queue() {
  std::ifstream file("/proc/thread-self/schedstat");
  std::uint64_t running = 0;
  std::uint64_t waiting = 0;
  file >> running >> waiting;
  return static_cast<double>(waiting) * 1e-9;
}

void print(const char* what, std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  const auto at = [&](double share) {
    return seconds[static_cast<std::size_t>(share * static_cast<double>(seconds.size() - 1))] * 1e3;
  };
  std::printf("%-24s p50 %.3f  p95 %.3f  p99 %.3f  p99.9 %.3f  max %.3f ms: %.1f x the median\n",
              what, at(0.5), at(0.95), at(0.99), at(0.999), at(1), at(1) / at(0.5));
}

void measure(const std::string& mode, const std::string& path, const std::string& queries_path,
             std::size_t count, float recall) {
  const cairn::ClusteredIndex index =
      cairn::ClusteredIndex::open(path, {.safe_reads = mode == "safe"});
  const cairn::Matrix<float> queries = cairn::read_vectors(queries_path, count);
  const std::uint64_t warmed = index.warm({.lock_codes = mode == "locked"});
  std::printf("%s: %.0f MB of codes, %.0f MB of vectors, %.0f MB read by warm()\n", mode.c_str(),
              static_cast<double>(index.memory_usage_bytes()) / 1e6,
              static_cast<double>(index.stats().vector_disk_bytes) / 1e6,
              static_cast<double>(warmed) / 1e6);
  std::vector<double> wall;
  std::vector<double> own;
  std::vector<cairn::Neighbor> found(10);
  for (std::size_t q = 0; q < queries.rows; ++q) {
    if (mode == "cold") index.trim(cairn::IndexPart::vectors);
    const double queued = seconds_in_queue();
    const auto start = std::chrono::steady_clock::now();
    index.search({queries.row(q), queries.dim}, {.target_recall = recall}, found);
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (q < queries.rows / 10) continue;
    wall.push_back(seconds);
    own.push_back(std::max(0.0, seconds - (seconds_in_queue() - queued)));
  }
  print("query", wall);
  print("without the run queue", own);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4 || argc > 6) {
    std::fprintf(stderr, "usage: cairn_cold_stalls MODE INDEX QUERIES [COUNT] [RECALL]\n");
    return 2;
  }
  try {
    measure(argv[1], argv[2], argv[3], argc > 4 ? std::strtoull(argv[4], nullptr, 10) : 5000,
            argc > 5 ? std::strtof(argv[5], nullptr) : 0.95f);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "cairn_cold_stalls: %s\n", error.what());
    return 1;
  }
}

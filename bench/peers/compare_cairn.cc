// Measures Cairn through the API as the programs beside this one measure other libraries: builds in
// memory from a matrix, then one thread, one query at a time.
//
//   compare_cairn --input base.fbin --queries query.fbin --truth gt100.ibin [--metric l2|cosine]
//                 [--k 10] [--recalls 90,95,...] [--threads 0] [--repeats 3] [--max-queries N]
//                 [--cache index.cairn] [--json out.json]
//
// Recalls are targets, in percent. The truth's distances are read from the .distances.fbin beside
// the .ibin. With --cache the built index is kept there, and opened instead of built if it exists.

#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <cairn/clustered_index.h>

#include "bench/peers/peer_bench.h"

namespace {

namespace peers = cairn::peers;

int run(const peers::Arguments& arguments) {
  const peers::Workload workload = peers::read_workload(arguments);
  std::optional<cairn::ClusteredIndex> index;
  const peers::IndexCost cost = peers::load_or_build(
      arguments,
      {.build =
           [&](const cairn::Matrix<float>& base, std::size_t threads) {
             cairn::BuildOptions options;
             options.threads = static_cast<unsigned>(threads);
             index = cairn::ClusteredIndex::build({base.row(0), base.rows, base.dim}, options);
           },
       .save = [&](const std::string& path) { index->save(path); },
       .load = [&](const std::string& path) { index = cairn::ClusteredIndex::open(path); }});

  const std::string name = std::string("Cairn ") + cairn::version();
  peers::print_header(name, cost);
  nlohmann::json points = nlohmann::json::array();
  std::vector<cairn::Neighbor> found(workload.k);
  for (const std::size_t percent : peers::parse_list(arguments.at("--recalls"))) {
    cairn::SearchOptions options;
    options.k = workload.k;
    options.target_recall = static_cast<float>(percent) / 100;
    const peers::Search search = [&](const float* query, cairn::VectorId* ids) {
      const std::size_t count = index->search({query, index->dim()}, options, found);
      for (std::size_t i = 0; i < workload.k; ++i) ids[i] = i < count ? found[i].id : cairn::kNoId;
    };
    points.push_back(
        peers::measure_point("recall " + std::to_string(percent) + " %", search, workload));
  }
  peers::write_report(arguments, name, cost, points);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(peers::parse_arguments(argc, argv, {{"--recalls", "80,90,95,99"}}));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "compare_cairn: %s\n", error.what());
    return 1;
  }
}

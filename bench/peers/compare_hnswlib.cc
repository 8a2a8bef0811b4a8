// Measures hnswlib as `cairn bench` measures Cairn.
//
//   compare_hnswlib --input base.fbin --queries query.fbin --truth gt100.ibin [--metric l2|cosine]
//                   [--k 10] [--ef 10,20,40,...] [--threads 0] [--repeats 3] [--max-queries N]
//                   [--cache graph.bin] [--json out.json]
//
// The truth's distances are read from the .distances.fbin beside the .ibin. With --cache the built
// graph is kept there, and read instead of built if it exists.

#include <atomic>
#include <cstdio>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <hnswlib/hnswlib.h>
#include <nlohmann/json.hpp>

#include "bench/peers/peer_bench.h"

namespace {

namespace peers = cairn::peers;
using Graph = hnswlib::HierarchicalNSW<float>;
using Space = hnswlib::SpaceInterface<float>;

constexpr std::size_t kLinks = 16;             // M
constexpr std::size_t kBuildCandidates = 200;  // efConstruction

std::unique_ptr<Graph> build_graph(Space& space, const cairn::Matrix<float>& base,
                                   std::size_t threads) {
  auto graph = std::make_unique<Graph>(&space, base.rows, kLinks, kBuildCandidates);
  graph->addPoint(base.row(0), 0);
  std::atomic<std::size_t> next{1};
  const auto add_points = [&] {
    for (std::size_t i; (i = next.fetch_add(1)) < base.rows;) graph->addPoint(base.row(i), i);
  };
  std::vector<std::jthread> workers;
  for (std::size_t thread = 0; thread < threads; ++thread) workers.emplace_back(add_points);
  workers.clear();
  return graph;
}

int run(const peers::Arguments& arguments) {
  const peers::Workload workload = peers::read_workload(arguments);
  hnswlib::L2Space l2(workload.queries.dim);
  hnswlib::InnerProductSpace inner_product(workload.queries.dim);
  Space& space = arguments.at("--metric") == "l2" ? static_cast<Space&>(l2) : inner_product;

  std::unique_ptr<Graph> graph;
  const peers::IndexCost cost = peers::load_or_build(
      arguments,
      {.build = [&](const cairn::Matrix<float>& base,
                    std::size_t threads) { graph = build_graph(space, base, threads); },
       .save = [&](const std::string& path) { graph->saveIndex(path); },
       .load = [&](const std::string& path) { graph = std::make_unique<Graph>(&space, path); }});
  if (graph->cur_element_count != cairn::read_vector_file_info(arguments.at("--input")).rows) {
    throw std::runtime_error("cache of another data set");
  }

  const std::string name = "hnswlib M=16 efC=200";
  peers::print_header(name, cost);
  nlohmann::json points = nlohmann::json::array();
  for (const std::size_t ef : peers::parse_list(arguments.at("--ef"))) {
    graph->setEf(ef);
    const peers::Search search = [&](const float* query, cairn::VectorId* ids) {
      auto heap = graph->searchKnn(query, workload.k);
      for (std::size_t place = heap.size(); place-- > 0; heap.pop()) ids[place] = heap.top().second;
    };
    points.push_back(peers::measure_point("ef=" + std::to_string(ef), search, workload));
  }
  peers::write_report(arguments, name, cost, points);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(peers::parse_arguments(argc, argv, {{"--ef", "10,20,40,80,160,320,640"}}));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "compare_hnswlib: %s\n", error.what());
    return 1;
  }
}

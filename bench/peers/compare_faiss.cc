// Measures a FAISS index as `cairn bench` measures Cairn: l2, which for cosine is that of vectors
// of length one.
//
//   compare_faiss --factory IVF256,PQ64x4fs,RFlat --points nprobe=8,k_factor_rf=4:nprobe=16,...
//                 --input base.fbin --queries query.fbin --truth gt100.ibin [--metric l2|cosine]
//                 [--k 10] [--threads 0] [--repeats 3] [--max-queries N] [--cache index.faiss]
//                 [--json out.json]
//
// Each point is a setting of faiss::ParameterSpace, one after another between colons. The truth's
// distances are read from the .distances.fbin beside the .ibin. With --cache the built index is
// kept there, and read instead of built if it exists.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <faiss/AutoTune.h>
#include <faiss/Index.h>
#include <faiss/index_factory.h>
#include <faiss/index_io.h>
#include <faiss/utils/utils.h>
#include <nlohmann/json.hpp>
#include <omp.h>

#include "bench/peers/peer_bench.h"

namespace {

namespace peers = cairn::peers;
using nlohmann::json;

std::unique_ptr<faiss::Index> build_index(const std::string& factory,
                                          const cairn::Matrix<float>& base, std::size_t threads) {
  omp_set_num_threads(static_cast<int>(threads));
  std::unique_ptr<faiss::Index> index(
      faiss::index_factory(static_cast<int>(base.dim), factory.c_str(), faiss::METRIC_L2));
  const auto rows = static_cast<std::int64_t>(base.rows);
  index->train(rows, base.values.data());
  index->add(rows, base.values.data());
  return index;
}

// "FAISS 1.7.3 (AVX2) IVF1024,Flat": what it was compiled for decides its speed.
std::string full_name(const std::string& factory) {
  std::istringstream options(faiss::get_compile_options());
  std::string compiled_for;
  for (std::string word; options >> word;) compiled_for = word;
  return "FAISS " + std::to_string(FAISS_VERSION_MAJOR) + "." +
         std::to_string(FAISS_VERSION_MINOR) + "." + std::to_string(FAISS_VERSION_PATCH) + " (" +
         compiled_for + ") " + factory;
}

json measure_points(faiss::Index& index, const peers::Workload& workload,
                    const std::string& settings) {
  std::vector<float> distances(workload.k);
  std::vector<std::int64_t> labels(workload.k);
  const peers::Search search = [&](const float* query, cairn::VectorId* ids) {
    index.search(1, query, static_cast<std::int64_t>(workload.k), distances.data(), labels.data());
    std::transform(labels.begin(), labels.end(), ids, [](std::int64_t label) {
      return label < 0 ? cairn::kNoId : static_cast<cairn::VectorId>(label);
    });
  };
  json points = json::array();
  std::istringstream stream(settings);
  for (std::string setting; std::getline(stream, setting, ':');) {
    faiss::ParameterSpace().set_index_parameters(&index, setting.c_str());
    points.push_back(peers::measure_point(setting, search, workload));
  }
  return points;
}

int run(const peers::Arguments& arguments) {
  const std::string& factory = arguments.at("--factory");
  if (factory.empty()) throw std::invalid_argument("--factory missing");
  const peers::Workload workload = peers::read_workload(arguments);
  std::unique_ptr<faiss::Index> index;
  const peers::IndexCost cost = peers::load_or_build(
      arguments,
      {.build = [&](const cairn::Matrix<float>& base,
                    std::size_t threads) { index = build_index(factory, base, threads); },
       .save = [&](const std::string& path) { faiss::write_index(index.get(), path.c_str()); },
       .load = [&](const std::string& path) { index.reset(faiss::read_index(path.c_str())); }});
  const auto rows = cairn::read_vector_file_info(arguments.at("--input")).rows;
  if (index->ntotal != static_cast<std::int64_t>(rows)) {
    throw std::runtime_error("cache of another data set");
  }
  omp_set_num_threads(1);

  const std::string name = full_name(factory);
  peers::print_header(name, cost);
  const json points = measure_points(*index, workload, arguments.at("--points"));
  peers::write_report(arguments, name, cost, points);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(peers::parse_arguments(argc, argv, {{"--factory", ""}, {"--points", "nprobe=1"}}));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "compare_faiss: %s\n", error.what());
    return 1;
  }
}

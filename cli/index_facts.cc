#include "cli/index_facts.h"

namespace cairn::cli {

std::vector<Tier> index_tiers(const IndexStats& stats) {
  std::vector<Tier> tiers = {{"binary codes", stats.code_bytes, 0},
                             {"centroids", stats.centroid_bytes, 0},
                             {"refine codes", stats.refine_bytes, 0},
                             {"ids", stats.id_bytes, 0},
                             {"vectors", stats.vector_ram_bytes, stats.vector_disk_bytes}};
  if (stats.payload_raw_bytes != 0) {
    tiers.push_back({"payloads", stats.payload_ram_bytes, stats.payload_disk_bytes});
  }
  return tiers;
}

nlohmann::json to_json(const IndexStats& stats) {
  return {{"metric", to_string(stats.metric)},
          {"rows", stats.rows},
          {"dim", stats.dim},
          {"code_dim", stats.code_dim},
          {"refine_bits", stats.refine_bits},
          {"levels", stats.levels},
          {"lists", stats.lists},
          {"leaves", stats.leaves},
          {"leaf_size_mean", stats.leaf_size_mean},
          {"leaf_size_stddev", stats.leaf_size_stddev},
          {"leaf_size_max", stats.leaf_size_max},
          {"leaf_size_target", stats.leaf_size_target},
          {"code_bytes", stats.code_bytes},
          {"centroid_bytes", stats.centroid_bytes},
          {"refine_bytes", stats.refine_bytes},
          {"id_bytes", stats.id_bytes},
          {"vector_ram_bytes", stats.vector_ram_bytes},
          {"vector_disk_bytes", stats.vector_disk_bytes},
          {"payload_raw_bytes", stats.payload_raw_bytes},
          {"payload_ram_bytes", stats.payload_ram_bytes},
          {"payload_disk_bytes", stats.payload_disk_bytes},
          {"index_is_mapped", stats.index_is_mapped}};
}

nlohmann::json to_json(const std::vector<Tier>& tiers) {
  nlohmann::json array = nlohmann::json::array();
  for (const Tier& tier : tiers) {
    array.push_back(
        {{"name", tier.name}, {"ram_bytes", tier.ram_bytes}, {"disk_bytes", tier.disk_bytes}});
  }
  return array;
}

}  // namespace cairn::cli

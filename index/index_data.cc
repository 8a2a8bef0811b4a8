#include "index/index_data.h"

#include <algorithm>

namespace cairn::index {

std::size_t IndexData::row_of(VectorId id) const noexcept {
  if (parameters.ids_are_rows != 0) {
    const std::size_t row = id < rows() ? id_order[id] : rows();
    return row < rows() && id_of(static_cast<std::uint32_t>(row)) == id ? row : rows();
  }
  const auto at = std::partition_point(id_order.begin(), id_order.end(), [&](std::uint32_t row) {
    return row < rows() && id_of(row) < id;
  });
  if (at == id_order.end() || *at >= rows() || id_of(*at) != id) return rows();
  return *at;
}

void IndexData::attach() {
  lists_per_level_.assign(std::max<std::size_t>(parameters.levels, 1), 0);
  max_leaf_size_ = 0;
  for (const ListEntry& list : lists) {
    ++lists_per_level_[list.level];
    if (list.level != 0) continue;
    max_leaf_size_ = std::max<std::size_t>(max_leaf_size_, list.num_children);
  }
  frame = quantize::Frame(metric(), dim(), parameters.max_norm, mean, rotation_signs);
}

IndexData OwnedIndexData::view() const {
  IndexData data;
  data.parameters = parameters;
  data.lists = lists;
  data.blocks = blocks.span();
  data.centroids = centroids.span();
  data.centroid_scales = centroid_scales;
  data.refine_codes = refine_codes.span();
  data.row_ids = row_ids;
  data.ids = ids;
  data.id_order = id_order;
  data.mean = mean;
  data.rotation_signs = rotation_signs;
  data.use(calibration);
  data.attach();
  return data;
}

}  // namespace cairn::index

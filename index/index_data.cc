#include "index/index_data.h"

#include <algorithm>

#include "quantize/kernels/kernels.h"

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
  frame = quantize::Frame(metric(), dim(),
                          {parameters.max_norm, frame_scale.empty() ? 1.0f : frame_scale[0]}, mean,
                          rotation_signs);
}

void IndexData::decode_centre(std::size_t list, float* centre, float* scratch) const noexcept {
  const std::size_t dims = padded_dim();
  if (list == 0) {
    std::fill_n(centre, dims, 0.0f);
    return;
  }
  const kernels::Kernels& k = kernels::active();
  const std::size_t first = (list - 1) * dims;
  k.decode_half(centroids.data() + first, centroid_scales[list - 1], dims, centre);
  if (centroid_lows.empty()) return;
  k.decode_half(centroid_lows.data() + first, centroid_scales[list - 1] / kLowUnits, dims, scratch);
  for (std::size_t i = 0; i < dims; ++i) centre[i] += scratch[i];
}

IndexData OwnedIndexData::view() const {
  IndexData data;
  data.parameters = parameters;
  data.lists = lists;
  data.blocks = blocks.span();
  data.centroids = centroids.span();
  data.centroid_scales = centroid_scales;
  data.centroid_lows = centroid_lows.span();
  data.refine_codes = refine_codes.span();
  data.row_ids = row_ids;
  data.ids = ids;
  data.id_order = id_order;
  data.mean = mean;
  data.frame_scale = frame_scale;
  data.rotation_signs = rotation_signs;
  data.use(calibration);
  data.attach();
  return data;
}

}  // namespace cairn::index

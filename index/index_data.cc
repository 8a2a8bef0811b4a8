#include "index/index_data.h"

#include <algorithm>

#include "index/file_guard.h"
#include "quantize/kernels/kernels.h"

namespace cairn::index {

std::size_t IndexData::row_of(VectorId id) const {
  const auto row_at = [this](std::size_t place) {
    if (guard != nullptr) guard->touch_id_order(place, 1);
    const std::size_t row = id_order[place];
    if (guard != nullptr && row < rows()) guard->touch_ids(row, 1);
    return row;
  };
  const auto has_id = [this, id](std::size_t row) {
    return row < rows() && id_of(static_cast<std::uint32_t>(row)) == id;
  };
  if (parameters.ids_are_rows != 0) {
    const std::size_t row = id < rows() ? row_at(id) : rows();
    return has_id(row) ? row : rows();
  }
  std::size_t low = 0;
  std::size_t high = id_order.size();
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    const std::size_t row = row_at(middle);
    if (row < rows() && id_of(static_cast<std::uint32_t>(row)) < id) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  const std::size_t row = low < id_order.size() ? row_at(low) : rows();
  return has_id(row) ? row : rows();
}

void IndexData::check_list(std::uint32_t list) const { guard->touch_list(*this, list); }

void IndexData::check_vectors(std::span<const std::uint32_t> rows) const {
  guard->touch_vectors(rows);
}

void IndexData::touch_all_ids() const {
  if (guard == nullptr) return;
  guard->touch_ids(0, rows());
  guard->touch_id_order(0, rows());
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

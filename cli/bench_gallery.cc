#include "cli/bench_gallery.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <sstream>

#include <cairn/error.h>

#include "cli/text_file.h"

namespace cairn::cli {
namespace {

using nlohmann::json;

json to_pixels(std::span<const float> values) {
  json pixels = json::array();
  for (const float value : values) {
    pixels.push_back(static_cast<int>(std::lround(std::clamp(value, 0.0f, 255.0f))));
  }
  return pixels;
}

std::string label_of(const std::vector<std::string>& labels, VectorId id) {
  return id < labels.size() ? labels[id] : std::string();
}

json image_item(const ClusteredIndex& index, std::span<const float> query,
                const std::vector<Neighbor>& found, const std::string& label,
                const std::vector<std::string>& labels) {
  json results = json::array();
  for (const Neighbor& hit : found) {
    results.push_back({{"id", hit.id},
                       {"distance", hit.distance},
                       {"pixels", to_pixels(*index.vector(hit.id))},
                       {"label", label_of(labels, hit.id)}});
  }
  return {{"query", to_pixels(query)}, {"label", label}, {"results", std::move(results)}};
}

json word_item(const std::vector<Neighbor>& found, const std::string& query,
               const std::vector<std::string>& labels) {
  json results = json::array();
  for (const Neighbor& hit : found) {
    results.push_back({{"label", label_of(labels, hit.id)}, {"distance", hit.distance}});
  }
  return {{"query", query}, {"results", std::move(results)}};
}

}  // namespace

json make_gallery(const ClusteredIndex& index, MatrixView queries, const SearchOptions& search,
                  const GalleryOptions& options) {
  const std::optional<ImageShape>& shape = options.image_shape;
  if (!shape && options.labels.empty()) return nullptr;
  if (shape && shape->width * shape->height != index.dim()) {
    throw Error(ErrorCode::invalid_argument,
                "images of " + std::to_string(shape->width) + " x " +
                    std::to_string(shape->height) + " pixels; expected " +
                    std::to_string(index.dim()) + " pixels, the dimensions of the index");
  }
  json items = json::array();
  const std::size_t count = std::min(options.items, queries.rows);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t row = i * queries.rows / count;
    const std::span<const float> query(queries.row(row), queries.dim);
    const std::vector<Neighbor> found = index.search(query, search);
    std::string label = label_of(options.query_labels, row);
    if (shape) {
      items.push_back(image_item(index, query, found, label, options.labels));
    } else {
      if (label.empty()) label = "query " + std::to_string(row);
      items.push_back(word_item(found, label, options.labels));
    }
  }
  if (!shape) return {{"kind", "words"}, {"items", std::move(items)}};
  return {{"kind", "images"},
          {"width", shape->width},
          {"height", shape->height},
          {"items", std::move(items)}};
}

std::vector<std::string> read_lines(const std::filesystem::path& path) {
  std::istringstream in(read_text_file(path));
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace cairn::cli

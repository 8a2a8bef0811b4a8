#pragma once

// Queries and what was found for them, to look at: pictures or words.

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <cairn/clustered_index.h>

namespace cairn::cli {

struct ImageShape {
  std::size_t width = 0;
  std::size_t height = 0;
};

struct GalleryOptions {
  std::size_t items = 12;                 // queries, spread evenly over all
  std::optional<ImageShape> image_shape;  // vectors are pictures of values 0 to 255
  std::vector<std::string> labels;        // by id; empty: none
  std::vector<std::string> query_labels;  // by query; empty: none
};

// The report's "gallery": pictures if a shape is given, or else words if labels are; null without
// either. Throws Error(invalid_argument) unless the shape has as many pixels as vectors have
// dimensions.
nlohmann::json make_gallery(const ClusteredIndex& index, MatrixView queries,
                            const SearchOptions& search, const GalleryOptions& options);

// Lines of a text file, without their ends.
std::vector<std::string> read_lines(const std::filesystem::path& path);

}  // namespace cairn::cli

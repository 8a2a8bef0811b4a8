#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "cairn/export.h"

namespace cairn {

/// The user's own name of a vector. Any 64-bit value but kNoId.
using VectorId = std::uint64_t;

/// Pads result rows that have fewer than k hits.
inline constexpr VectorId kNoId = ~VectorId{0};

/// Largest supported dimension and row count of one index.
inline constexpr std::size_t kMaxDim = 65536;
inline constexpr std::size_t kMaxRows = 0xFFFFFFFFull - 1;

/// How far apart a query q and a vector x are; smaller is nearer. Stored in files: values are
/// stable.
enum class Metric : std::uint8_t {
  l2 = 0,             ///< squared Euclidean distance, |q - x|^2: 0 or more, 0 if they are equal
  inner_product = 1,  ///< -<q, x>: of any sign; the least is the largest inner product
  cosine = 2,  ///< 1 - <q, x> / (|q| |x|): 0 (same direction) to 2 (opposite); neither side needs
               ///< to be normalised
};

/// "l2", "ip" or "cosine", as the command line spells them.
CAIRN_EXPORT const char* to_string(Metric metric) noexcept;
/// The inverse of to_string, in any case; also takes what others call them: euclidean, l2sq,
/// sqeuclidean; inner_product, dot; cos, angular. Empty for anything else. Distances are those of
/// the metric, whatever it was called.
CAIRN_EXPORT std::optional<Metric> parse_metric(std::string_view name) noexcept;

/// One hit. Smaller is nearer, whatever the metric.
struct Neighbor {
  VectorId id;
  float distance;

  friend bool operator==(const Neighbor&, const Neighbor&) = default;
  /// Order of results: by distance, ties by smaller id.
  friend bool operator<(const Neighbor& a, const Neighbor& b) noexcept {
    return a.distance != b.distance ? a.distance < b.distance : a.id < b.id;
  }
};

/// A row-major [rows, dim] float32 matrix borrowed from the caller; nothing is copied or owned.
struct MatrixView {
  const float* data = nullptr;
  std::size_t rows = 0;
  std::size_t dim = 0;

  const float* row(std::size_t i) const noexcept { return data + i * dim; }
};

}  // namespace cairn

// Spellings of the public enumerations.

#include <algorithm>
#include <string_view>
#include <utility>

#include "cairn/compression.h"
#include "cairn/stats.h"
#include "cairn/types.h"

namespace cairn {
namespace {

// The name of a metric first, then what others call it.
constexpr std::pair<std::string_view, Metric> kMetricSpellings[] = {
    {"l2", Metric::l2},
    {"euclidean", Metric::l2},
    {"l2sq", Metric::l2},
    {"sqeuclidean", Metric::l2},
    {"ip", Metric::inner_product},
    {"inner_product", Metric::inner_product},
    {"dot", Metric::inner_product},
    {"cosine", Metric::cosine},
    {"cos", Metric::cosine},
    {"angular", Metric::cosine},
};

// `lower` is in lower case; `text` in any.
bool are_same_letters(std::string_view text, std::string_view lower) noexcept {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
  });
}

}  // namespace

const char* to_string(Metric metric) noexcept {
  switch (metric) {
    case Metric::l2:
      return "l2";
    case Metric::inner_product:
      return "ip";
    case Metric::cosine:
      return "cosine";
  }
  return "unknown";
}

std::optional<Metric> parse_metric(std::string_view name) noexcept {
  for (const auto& [spelling, metric] : kMetricSpellings) {
    if (are_same_letters(name, spelling)) return metric;
  }
  return std::nullopt;
}

const char* to_string(StorageKind kind) noexcept {
  switch (kind) {
    case StorageKind::memory:
      return "memory";
    case StorageKind::mmap:
      return "mmap";
    case StorageKind::custom:
      return "custom";
    case StorageKind::compressed:
      return "compressed";
    case StorageKind::tiered:
      return "tiered";
  }
  return "unknown";
}

const char* to_string(VectorEncoding encoding) noexcept {
  switch (encoding) {
    case VectorEncoding::automatic:
      return "auto";
    case VectorEncoding::constant:
      return "constant";
    case VectorEncoding::int8:
      return "int8";
    case VectorEncoding::int16:
      return "int16";
    case VectorEncoding::half:
      return "half";
    case VectorEncoding::bfloat16:
      return "bfloat16";
    case VectorEncoding::scaled_half:
      return "scaled_half";
    case VectorEncoding::decimal:
      return "decimal";
    case VectorEncoding::exponent:
      return "exponent";
    case VectorEncoding::float32:
      return "float32";
    case VectorEncoding::delta16:
      return "delta16";
  }
  return "unknown";
}

std::optional<VectorEncoding> parse_vector_encoding(std::string_view name) noexcept {
  for (int i = 0; i <= static_cast<int>(VectorEncoding::delta16); ++i) {
    const auto encoding = static_cast<VectorEncoding>(i);
    if (name == to_string(encoding)) return encoding;
  }
  return std::nullopt;
}

const char* to_string(StopReason reason) noexcept {
  switch (reason) {
    case StopReason::none:
      return "none";
    case StopReason::budget:
      return "budget";
    case StopReason::exhausted:
      return "exhausted";
    case StopReason::recall:
      return "recall";
    case StopReason::deadline:
      return "deadline";
  }
  return "unknown";
}

}  // namespace cairn

// Spellings of the public enumerations.

#include "cairn/stats.h"
#include "cairn/types.h"

namespace cairn {

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
  if (name == "l2") return Metric::l2;
  if (name == "ip" || name == "inner_product") return Metric::inner_product;
  if (name == "cosine") return Metric::cosine;
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
  }
  return "unknown";
}

const char* to_string(StopReason reason) noexcept {
  switch (reason) {
    case StopReason::none:
      return "none";
    case StopReason::budget:
      return "budget";
    case StopReason::exhausted:
      return "exhausted";
  }
  return "unknown";
}

}  // namespace cairn

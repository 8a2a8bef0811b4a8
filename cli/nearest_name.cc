#include "cli/nearest_name.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace cairn::cli {
namespace {

// Edits of one letter or of two neighbours (optimal string alignment), row by row.
std::size_t edits_between(const std::string& a, const std::string& b) {
  std::vector<std::size_t> before(b.size() + 1), previous(b.size() + 1), current(b.size() + 1);
  std::iota(previous.begin(), previous.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      current[j] = std::min(
          {previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      const bool is_exchange = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (is_exchange) current[j] = std::min(current[j], before[j - 2] + 1);
    }
    before = std::exchange(previous, current);
  }
  return previous[b.size()];
}

}  // namespace

std::string nearest_name(const std::string& typed, const std::vector<std::string>& names) {
  constexpr std::size_t kLeastPrefix = 3;
  std::size_t least = std::max<std::size_t>(typed.size() / 3, 1) + 1;
  std::string nearest;
  for (const std::string& name : names) {
    const bool is_begun = typed.size() >= kLeastPrefix && name.starts_with(typed);
    const std::size_t edits = is_begun ? 1 : edits_between(typed, name);
    if (edits >= least) continue;
    least = edits;
    nearest = name;
  }
  return nearest;
}

}  // namespace cairn::cli

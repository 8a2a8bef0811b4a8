#include "cli/tier_report.h"

#include <array>
#include <cstdio>
#include <utility>

#include "cli/html_text.h"

namespace cairn::cli {
namespace {

using nlohmann::json;

std::array<std::pair<const char*, const TierStats*>, 3> tiers_of(const TieredStats& stats) {
  return {{{"hot", &stats.hot}, {"warm", &stats.warm}, {"cold", &stats.cold}}};
}

std::string bytes_text(std::uint64_t bytes) { return format_bytes(static_cast<double>(bytes)); }

}  // namespace

TierShares tier_shares(const TieredStats& stats) {
  const auto all = static_cast<double>(stats.hot.hits + stats.warm.hits + stats.cold.hits);
  if (all == 0) return {};
  return {static_cast<double>(stats.hot.hits) / all, static_cast<double>(stats.warm.hits) / all,
          static_cast<double>(stats.cold.hits) / all};
}

json to_json(const TieredStats& stats) {
  json object = {{"warm_is_on", stats.warm_is_on},
                 {"warm_ratio", stats.warm_ratio},
                 {"warm_note", stats.warm_note}};
  for (const auto& [name, tier] : tiers_of(stats)) {
    object[name] = {{"hits", tier->hits},
                    {"misses", tier->misses},
                    {"promotions", tier->promotions},
                    {"evictions", tier->evictions},
                    {"moves", tier->moves},
                    {"units", tier->units},
                    {"bytes", tier->bytes},
                    {"ram_bytes", tier->ram_bytes},
                    {"budget_bytes", tier->budget_bytes},
                    {"latency_log2_ns", tier->latency.rows}};
  }
  return object;
}

std::string tiers_to_table(const TieredStats& stats) {
  const TierShares shares = tier_shares(stats);
  const double share_of[] = {shares.hot, shares.warm, shares.cold};
  char line[256];
  std::snprintf(line, sizeof line, "%7s %9s %9s %9s %12s %12s %12s %12s\n", "tier", "reads",
                "p50 ns", "p99 ns", "promotions", "evictions", "holds", "RAM");
  std::string table = line;
  const double* share = share_of;
  for (const auto& [name, tier] : tiers_of(stats)) {
    std::snprintf(line, sizeof line, "%7s %8.2f%% %9.0f %9.0f %12llu %12llu %12s %12s\n", name,
                  100 * *share++, tier->latency.quantile_ns(0.5), tier->latency.quantile_ns(0.99),
                  static_cast<unsigned long long>(tier->promotions),
                  static_cast<unsigned long long>(tier->evictions), bytes_text(tier->bytes).c_str(),
                  bytes_text(tier->ram_bytes).c_str());
    table += line;
  }
  if (!stats.warm_is_on) table += "the warm tier is off: " + stats.warm_note + "\n";
  return table;
}

}  // namespace cairn::cli

#include "cli/search_output.h"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

namespace cairn::cli {
namespace {

using nlohmann::json;

constexpr std::size_t kPrintedQueries = 10;

struct Hits {
  std::span<const VectorId> ids;
  std::span<const float> distances;
};

Hits hits_of(const BatchResult& result, std::size_t query) {
  const std::span all = std::span(result.ids).subspan(query * result.k, result.k);
  const auto count =
      static_cast<std::size_t>(std::find(all.begin(), all.end(), kNoId) - all.begin());
  return {all.first(count), std::span(result.distances).subspan(query * result.k, count)};
}

// A hit a line, with its payload as it is.
void print_payloads(const ClusteredIndex& index, const Hits& hits, std::size_t count) {
  const auto payloads = index.payloads(hits.ids.first(count));
  std::printf("\n");
  for (std::size_t rank = 0; rank < count; ++rank) {
    std::printf("  %llu (%.6g)  ", static_cast<unsigned long long>(hits.ids[rank]),
                static_cast<double>(hits.distances[rank]));
    const std::string payload = payloads[rank].value_or("");
    std::fwrite(payload.data(), 1, payload.size(), stdout);
    std::printf("\n");
  }
}

void print_hits(const Hits& hits, std::size_t count) {
  for (std::size_t rank = 0; rank < count; ++rank) {
    std::printf("  %llu (%.6g)", static_cast<unsigned long long>(hits.ids[rank]),
                static_cast<double>(hits.distances[rank]));
  }
}

}  // namespace

void print_first_rows(const ClusteredIndex& index, const BatchResult& result,
                      const SearchOutput& output) {
  for (std::size_t query = 0; query < std::min(result.queries, kPrintedQueries); ++query) {
    const Hits hits = hits_of(result, query);
    const std::size_t count = std::min(hits.ids.size(), output.most_hits);
    std::printf("query %zu:", query);
    if (output.shows_payloads) {
      print_payloads(index, hits, count);
    } else {
      print_hits(hits, count);
    }
    if (count < hits.ids.size()) std::printf("  ... and %zu more", hits.ids.size() - count);
    if (!output.shows_payloads || count < hits.ids.size()) std::printf("\n");
  }
  if (result.queries > kPrintedQueries) {
    std::printf("... and %zu more queries; --output writes them all\n",
                result.queries - kPrintedQueries);
  }
}

void print_as_json(const ClusteredIndex& index, const BatchResult& result,
                   const SearchOutput& output) {
  json queries = json::array();
  for (std::size_t query = 0; query < result.queries; ++query) {
    const Hits hits = hits_of(result, query);
    json object = {{"ids", hits.ids}, {"distances", hits.distances}};
    if (output.shows_payloads) {
      json payloads = json::array();
      for (const std::optional<std::string>& payload : index.payloads(hits.ids)) {
        payloads.push_back(payload.value_or(""));
      }
      object["payloads"] = std::move(payloads);
    }
    if (!result.is_cut_short.empty()) object["is_cut_short"] = result.is_cut_short[query] != 0;
    queries.push_back(std::move(object));
  }
  const std::string text =
      json{{"queries", std::move(queries)}}.dump(1, ' ', false, json::error_handler_t::replace);
  std::printf("%s\n", text.c_str());
}

}  // namespace cairn::cli

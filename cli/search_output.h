#pragma once

// What a search prints.

#include <cstddef>

#include <cairn/clustered_index.h>

namespace cairn::cli {

struct SearchOutput {
  bool shows_payloads = false;
  std::size_t most_hits = ~std::size_t{0};  // of a query, in text
};

// The first queries, a line each or, with payloads, a line for each hit.
void print_first_rows(const ClusteredIndex& index, const BatchResult& result,
                      const SearchOutput& output);

// All of them as one JSON object: {"queries": [{"ids": [...], "distances": [...]}, ...]}; with
// "payloads" and, where max_microseconds may cut queries short, "is_cut_short" if asked for.
void print_as_json(const ClusteredIndex& index, const BatchResult& result,
                   const SearchOutput& output);

}  // namespace cairn::cli

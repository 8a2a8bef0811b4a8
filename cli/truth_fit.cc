#include "cli/truth_fit.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include <cairn/error.h>
#include <cairn/exact_search.h>

namespace cairn::cli {
namespace {

constexpr std::size_t kSampledQueries = 50;
constexpr std::size_t kSampledRanks = 10;
// Vectors may have been encoded with losses, and others' ground truth computed in another order.
constexpr float kTolerance = 1e-2f;
constexpr std::size_t kOneOf = 10;  // values looked at may contradict

[[noreturn]] void refuse(const std::string& name, const std::string& problem) {
  throw Error(ErrorCode::invalid_argument,
              name + ": " + problem + "; 'cairn truth --index' finds the truth of an index");
}

void check_ids(const std::string& name, const BatchResult& truth, const ClusteredIndex& index) {
  std::size_t missing = 0;
  std::size_t first = 0;
  for (std::size_t i = 0; i < truth.ids.size(); ++i) {
    if (truth.ids[i] == kNoId || index.contains(truth.ids[i])) continue;
    if (missing++ == 0) first = i;
  }
  if (missing == 0) return;
  refuse(name, "id " + std::to_string(truth.ids[first]) + " of query " +
                   std::to_string(first / truth.k) + " is not in the index, nor are " +
                   std::to_string(missing - 1) + " others of " + std::to_string(truth.ids.size()));
}

float distance_of(const ClusteredIndex& index, VectorId id, MatrixView queries, std::size_t query) {
  const std::optional<std::vector<float>> vector = index.vector(id);
  return exact_search({vector->data(), 1, index.dim()}, {queries.row(query), 1, queries.dim}, 1,
                      index.metric(), 1)
      .distances[0];
}

bool are_close(float a, float b) {
  return std::abs(a - b) <= kTolerance * std::max({std::abs(a), std::abs(b), 1e-6f});
}

// What the truth says, against what the index's vectors say.
struct Contradictions {
  std::size_t values = 0;
  std::size_t wrong_values = 0;
  std::size_t pairs = 0;
  std::size_t wrong_pairs = 0;
  std::string example;
};

void look_at_query(const BatchResult& truth, const ClusteredIndex& index, MatrixView queries,
                   std::size_t query, Contradictions& found) {
  std::optional<float> previous;
  for (std::size_t rank = 0; rank < std::min(truth.k, kSampledRanks); ++rank) {
    const std::size_t at = query * truth.k + rank;
    if (truth.ids[at] == kNoId) break;
    const float distance = distance_of(index, truth.ids[at], queries, query);
    if (!truth.distances.empty()) {
      ++found.values;
      if (!are_close(distance, truth.distances[at]) && found.wrong_values++ == 0) {
        found.example = "id " + std::to_string(truth.ids[at]) + " is " +
                        std::to_string(truth.distances[at]) + " from query " +
                        std::to_string(query) + ", but " + std::to_string(distance) +
                        " by the metric of the index, " + to_string(index.metric());
      }
    }
    if (previous) {
      ++found.pairs;
      if (distance < *previous && !are_close(distance, *previous)) ++found.wrong_pairs;
    }
    previous = distance;
  }
}

}  // namespace

void check_truth_fits(const std::string& name, const BatchResult& truth,
                      const ClusteredIndex& index, MatrixView queries) {
  check_ids(name, truth, index);
  Contradictions found;
  const std::size_t count = std::min(kSampledQueries, truth.queries);
  for (std::size_t i = 0; i < count; ++i) {
    look_at_query(truth, index, queries, i * truth.queries / count, found);
  }
  if (found.wrong_values * kOneOf > found.values) refuse(name, found.example);
  if (found.wrong_pairs * kOneOf > found.pairs) {
    refuse(name,
           "its neighbours are not in the order of their distances by the metric of the "
           "index, " +
               std::string(to_string(index.metric())));
  }
}

}  // namespace cairn::cli

#include "index/leaf_budget.h"

#include <algorithm>
#include <cmath>

#include "index/calibration.h"

namespace cairn::index {
namespace {

// A few leaves more than were scanned are not worth looking for.
constexpr std::size_t kToleranceShare = 8;

// The rank among all rows of the last result sought. Where a share s of the rows around the query
// is allowed, the k-th allowed row is about the (k / s)-th of all, and the leaves that hold so many
// of the nearest are known from calibration. Where the share is lower than elsewhere the filter
// leaves out what is near the query: what it allows then lies at the rim, and further away than
// calibrated queries look, where leaves are harder to tell apart. The square is measured
// (docs/performance.md, "Filters").
double sought_rank(const SearchRequest& request, const Scanned& scanned) {
  double rank = static_cast<double>(request.k);
  if (request.is_range) rank = std::min(rank, static_cast<double>(scanned.found));
  if (request.filter == nullptr) return rank;
  const double share = static_cast<double>(std::max<std::size_t>(scanned.allowed, 1)) /
                       static_cast<double>(scanned.rows);
  const double lack = std::max(1.0, request.filter->share() / share);
  return rank / share * lack * lack;
}

// A range's leaves are looked for a quarter more at a time, so that what the last of them held says
// something of those to come.
std::size_t range_step(std::size_t leaves) { return leaves + std::max<std::size_t>(2, leaves / 4); }

// Whether the last leaves held so little that the rest is likely to hold no more than may be
// missed.
bool has_run_dry(const SearchRequest& request, const Scanned& scanned) {
  constexpr float kLatelyShare = 1.5f;
  return static_cast<float>(scanned.found_lately) <=
         kLatelyShare * (1 - request.target_recall) * static_cast<float>(scanned.found);
}

std::size_t leaves_for_rank(const IndexData& data, const SearchRequest& request, double rank) {
  const double most = static_cast<double>(data.rows());
  return probes_for(data, request.target_recall,
                    static_cast<std::size_t>(std::clamp(rank, 1.0, most)));
}

}  // namespace

// Nanoseconds as measured for vectors and codes in memory (docs/performance.md, "Filters"): what
// counts is their ratio.
bool is_exact_cheaper(const IndexData& data, const SearchRequest& request) {
  constexpr double kReadRow = 16;
  constexpr double kReadValue = 0.085;
  constexpr double kPrepare = 3000;
  constexpr double kEnterLeaf = 130;
  constexpr double kScanDimension = 0.22;  // of a block
  const RowFilter& filter = *request.filter;
  if (filter.rows() > RowFilter::kMaxListed) return false;
  if (filter.rows() <= request.k && !request.is_range) return true;
  const double exact = static_cast<double>(filter.rows()) *
                       (kReadRow + kReadValue * static_cast<double>(data.dim()));
  const auto leaves = static_cast<double>(filter.num_leaves());
  const double blocks = static_cast<double>(filter.num_blocks()) / leaves;
  const double leaf = kEnterLeaf + blocks * kScanDimension * static_cast<double>(data.padded_dim());
  return exact <= kPrepare + std::min(leaves, static_cast<double>(request.probes)) * leaf;
}

std::size_t first_leaves(const IndexData& data, const SearchRequest& request) {
  const double rank = request.is_range ? 1.0 : static_cast<double>(request.k);
  const double share = request.filter == nullptr ? 1.0 : request.filter->leaf_share();
  return leaves_for_rank(data, request, rank / share);
}

std::size_t leaves_wanted(const IndexData& data, const SearchRequest& request,
                          const Scanned& scanned) {
  const std::size_t leaves = scanned.leaves;
  // Whatever the budget says, there are as many results as there can be.
  if (!request.is_range && scanned.allowed < request.k) return 2 * leaves + 1;
  if (!request.is_calibrated) return request.probes;
  const std::size_t wanted = leaves_for_rank(data, request, sought_rank(request, scanned));
  const bool is_enough = wanted <= leaves + leaves / kToleranceShare;
  if (!request.is_range) return is_enough ? leaves : std::min(wanted, 2 * leaves);
  return is_enough && has_run_dry(request, scanned) ? leaves : range_step(leaves);
}

}  // namespace cairn::index

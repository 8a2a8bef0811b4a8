#include "bench/tiers/zipf_streams.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <random>
#include <utility>

namespace cairn::bench {
namespace {

// Rows in memory, and which of them were asked for.
class RecordingStore final : public VectorStore {
 public:
  explicit RecordingStore(const ClusteredIndex& index)
      : store_(index.size(), index.dim(),
               [&index](std::size_t first, std::size_t count, float* out) {
                 index.read_rows(first, count, out);
               }) {}
  std::size_t rows() const noexcept override { return store_.rows(); }
  std::size_t dim() const noexcept override { return store_.dim(); }
  void read(std::span<const std::uint32_t> rows, float* out) const override {
    read_.insert(read_.end(), rows.begin(), rows.end());
    store_.read(rows, out);
  }
  StoreStats stats() const override { return store_.stats(); }

  std::vector<std::uint32_t> take() const { return std::exchange(read_, {}); }

 private:
  MemoryVectorStore store_;
  mutable std::vector<std::uint32_t> read_;
};

// Distributions of the standard library differ between machines.
double uniform(std::mt19937_64& random) { return static_cast<double>(random() >> 11) * 0x1.0p-53; }

void mix(std::vector<std::uint32_t>& names, std::mt19937_64& random) {
  const std::size_t count = names.size();
  const auto exchange = [&](std::size_t i) { std::swap(names[i], names[random() % count]); };
  for (std::size_t i = 0; i < count / 5; ++i) exchange(random() % count);
  for (std::size_t i = 0; i < count / 100; ++i) exchange(i);
}

}  // namespace

std::vector<std::uint32_t> zipf_numbers(std::size_t count, std::size_t touches, double exponent,
                                        std::uint64_t seed, bool drifts) {
  std::mt19937_64 random(seed);
  std::vector<double> sums(count);
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i) {
    sum += 1 / std::pow(static_cast<double>(i + 1), exponent);
    sums[i] = sum;
  }
  std::vector<std::uint32_t> names(count);
  std::iota(names.begin(), names.end(), 0u);
  for (std::size_t i = count; i > 1; --i) std::swap(names[i - 1], names[random() % i]);
  std::vector<std::uint32_t> numbers(touches);
  for (std::size_t i = 0; i < touches; ++i) {
    if (drifts && i > 0 && i % (touches / 10) == 0) mix(names, random);
    const auto at = std::lower_bound(sums.begin(), sums.end(), uniform(random) * sum);
    numbers[i] =
        names[std::min<std::size_t>(static_cast<std::size_t>(at - sums.begin()), count - 1)];
  }
  return numbers;
}

std::vector<RowStream> plain_streams(std::size_t num_rows) {
  constexpr std::size_t kStretch = 100'000;
  const std::size_t touches = 15 * num_rows;
  const std::vector<std::uint32_t> zipf = zipf_numbers(num_rows, touches, 1.0, 1);
  std::vector<std::uint32_t> mixed;
  std::uint32_t scanned = 0;
  for (std::size_t i = 0; i < touches / 2; ++i) {
    mixed.push_back(zipf[i]);
    if (i / kStretch % 3 != 1) continue;
    mixed.push_back(scanned);
    scanned = static_cast<std::uint32_t>((scanned + 1) % num_rows);
  }
  return {{"Zipf(1.0) rows", zipf, num_rows},
          {"Zipf(1.0) rows, drifting", zipf_numbers(num_rows, touches, 1.0, 2, true), num_rows},
          {"Zipf(1.0) rows and scans", std::move(mixed), num_rows},
          {"Zipf(0.8) rows", zipf_numbers(num_rows, touches, 0.8, 3), num_rows},
          {"uniform rows", zipf_numbers(num_rows, touches / 3, 0.0, 4), num_rows}};
}

RowStream query_stream(ClusteredIndex& index, MatrixView queries, std::size_t asked,
                       const std::string& name) {
  auto owned = std::make_unique<RecordingStore>(index);
  const RecordingStore& store = *owned;
  index.use_storage(std::move(owned));
  std::vector<std::vector<std::uint32_t>> rows_of(queries.rows);
  for (std::size_t q = 0; q < queries.rows; ++q) {
    index.search({queries.row(q), queries.dim}, {.k = 10, .target_recall = 0.95f});
    rows_of[q] = store.take();
  }
  RowStream stream{name, {}, index.size()};
  for (const std::uint32_t q : zipf_numbers(queries.rows, asked, 1.0, 5)) {
    stream.rows.insert(stream.rows.end(), rows_of[q].begin(), rows_of[q].end());
  }
  return stream;
}

}  // namespace cairn::bench

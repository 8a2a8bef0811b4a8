#include "cairn/tiered_vector_store.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>
#include <vector>

#include "cairn/error.h"

#include "base/aligned_buffer.h"
#include "base/prefetch.h"
#include "storage/coded_reader.h"
#include "storage/coded_vectors.h"
#include "storage/read_sections.h"
#include "storage/tier_cache.h"
#include "storage/tiered_options.h"
#include "storage/tiered_statistics.h"
#include "storage/vector_shape.h"

namespace cairn {
namespace {

using Clock = std::chrono::steady_clock;
using storage::ReadSections;
using storage::TierCache;
using storage::TieredStatistics;
using Tier = TieredStatistics::Tier;

// Rows looked up together, each while the others' bytes are on their way, and what is fetched
// ahead of each.
constexpr std::size_t kGroup = 16;
constexpr std::size_t kPrefetchedBytes = 1024;

// A row of a call that no tier has served so far.
struct PendingRow {
  std::uint32_t place = 0;  // in the call
  std::uint32_t row = 0;
  bool is_wanted_hot = false;
  bool is_wanted_warm = false;
};

struct Scratch {
  std::vector<PendingRow> pending;
  std::vector<PendingRow> offers;
  std::vector<std::uint32_t> rows;
  base::AlignedArray<float> values;
};

// Scratch memory of this thread, another one for each call within a call (a cold store may have
// tiers of its own).
class ScratchLease {
 public:
  ScratchLease() {
    if (pool().empty()) {
      scratch_ = std::make_unique<Scratch>();
    } else {
      scratch_ = std::move(pool().back());
      pool().pop_back();
    }
  }
  ScratchLease(const ScratchLease&) = delete;
  ScratchLease& operator=(const ScratchLease&) = delete;
  ~ScratchLease() {
    try {
      pool().push_back(std::move(scratch_));
    } catch (...) {  // then it is simply gone
    }
  }
  Scratch& operator*() const noexcept { return *scratch_; }

 private:
  static std::vector<std::unique_ptr<Scratch>>& pool() {
    thread_local std::vector<std::unique_ptr<Scratch>> result;
    return result;
  }
  std::unique_ptr<Scratch> scratch_;
};

// Adds up the time between calls, if it is wanted.
class Stopwatch {
 public:
  explicit Stopwatch(bool is_on) : is_on_(is_on) {}
  void start() {
    if (is_on_) start_ = Clock::now();
  }
  void stop(double& ns) const {
    if (is_on_) ns += std::chrono::duration<double, std::nano>(Clock::now() - start_).count();
  }

 private:
  bool is_on_;
  Clock::time_point start_;
};

[[noreturn]] void refuse(const std::string& message) {
  throw Error(ErrorCode::invalid_argument, "tiers: " + message);
}

void check_budget(const char* name, std::uint64_t bytes, std::size_t unit_bytes) {
  if (bytes == 0 || bytes >= TierCache::least_budget(unit_bytes)) return;
  refuse(std::string(name) + " is " + std::to_string(bytes) + ", expected 0 or at least " +
         std::to_string(TierCache::least_budget(unit_bytes)));
}

std::string two_digits(double value) {
  const auto hundredths = static_cast<std::uint64_t>(value * 100 + 0.5);
  const std::string digits = std::to_string(100 + hundredths % 100);
  return std::to_string(hundredths / 100) + "." + digits.substr(1);
}

// Why there is no warm tier; empty if there is nothing against it.
std::string reason_against_warm(const storage::CodedReader* reader, double ratio,
                                const TieredOptions& options) {
  if (options.warm_bytes == 0) return "no bytes are given to it";
  if (ratio < options.min_warm_ratio) {
    return "float32 rows are " + two_digits(ratio) + " times as large as stored ones, expected " +
           two_digits(options.min_warm_ratio) + " or more";
  }
  if (reader == nullptr) return "the cold store does not hand out rows as they are stored";
  if (reader->unit_shape().mean_bytes == 0) return "stored rows have no bytes of their own";
  return {};
}

}  // namespace

void storage::check_tiered_options(const TieredOptions& options, std::size_t dim) {
  if (options.hot_bytes == 0 && options.warm_bytes == 0) {
    refuse("hot_bytes and warm_bytes are both 0");
  }
  if (!(options.min_warm_ratio >= 0)) {
    refuse("min_warm_ratio is " + std::to_string(options.min_warm_ratio) + ", expected 0 or more");
  }
  check_budget("hot_bytes", options.hot_bytes, dim * sizeof(float));
}

struct TieredVectorStore::Impl {
  Impl(const VectorStore& store, const TieredOptions& given);

  void read(std::span<const std::uint32_t> wanted, float* out);
  template <typename UnitOf, typename Deliver>
  void serve(Tier tier, std::size_t slot, bool is_timed, std::vector<PendingRow>& pending,
             UnitOf unit_of, Deliver deliver);
  void read_cold(Scratch& scratch, std::size_t slot, bool is_timed,
                 std::span<const std::uint32_t> wanted, float* out);
  void take_in(const Scratch& scratch, const float* out);
  TierStats stats_of(const std::optional<TierCache>& tier, std::uint64_t budget) const;

  std::unique_ptr<VectorStore> cold;
  std::size_t rows;
  std::size_t dim;
  const storage::CodedReader* reader = nullptr;  // of the cold store, for the warm tier
  bool warm_has_rows = false;                    // not blocks
  TieredOptions options;
  double warm_ratio = 1;
  std::string warm_note;
  ReadSections sections;
  std::optional<TierCache> hot;
  std::optional<TierCache> warm;
  TieredStatistics statistics;
};

TieredVectorStore::Impl::Impl(const VectorStore& store, const TieredOptions& given)
    : rows(store.rows()), dim(store.dim()), options(given) {
  storage::check_tiered_options(options, dim);
  if (const auto* const coded = dynamic_cast<const CompressedVectorStore*>(&store)) {
    reader = &storage::reader_of(*coded);
    warm_ratio = coded->compression_stats().ratio();
  }
  warm_note = reason_against_warm(reader, warm_ratio, options);
  if (warm_note.empty()) {
    const storage::CodedReader::UnitShape shape = reader->unit_shape();
    check_budget("warm_bytes", options.warm_bytes, shape.mean_bytes);
    warm_has_rows = shape.is_row;
    warm.emplace(TierCache::Shape{rows, shape.mean_bytes, shape.is_uniform, options.warm_bytes},
                 sections);
  }
  if (options.hot_bytes > 0) {
    hot.emplace(TierCache::Shape{rows, dim * sizeof(float), true, options.hot_bytes}, sections);
  }
}

// Rows that are not in the hot tier are looked for in the warm one, the rest is read from the cold
// store in one call, outside the section, so that a slow disk keeps no memory from being reused.
// Last comes what the tiers should take in.
void TieredVectorStore::Impl::read(std::span<const std::uint32_t> wanted, float* out) {
  for (const std::uint32_t row : wanted) storage::check_row(row, rows);
  const ScratchLease lease;
  Scratch& scratch = *lease;
  scratch.offers.clear();
  scratch.pending.resize(wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    scratch.pending[i] = {.place = static_cast<std::uint32_t>(i), .row = wanted[i]};
  }
  ReadSections::Section section(sections);
  std::size_t slot = 0;
  bool is_timed = false;
  if (section.is_open()) {
    slot = section.slot();
    is_timed = statistics.begin_call(slot);
    if (hot) {
      serve(
          Tier::hot, slot, is_timed, scratch.pending, [](std::uint32_t row) { return row; },
          [&](const PendingRow& pending, std::span<const std::byte> bytes) {
            std::memcpy(out + pending.place * dim, bytes.data(), bytes.size());
          });
    }
    if (warm && !scratch.pending.empty()) {
      serve(
          Tier::warm, slot, is_timed, scratch.pending,
          [this](std::uint32_t row) { return reader->unit_of(row); },
          [&](const PendingRow& pending, std::span<const std::byte> bytes) {
            reader->read_from_unit(pending.row, bytes, out + pending.place * dim);
            if (pending.is_wanted_hot) scratch.offers.push_back(pending);
          });
    }
    section.close();
  }
  if (!scratch.pending.empty()) read_cold(scratch, slot, is_timed, wanted, out);
  take_in(scratch, out);
}

// Delivers what the tier holds and leaves the rest in `pending`.
template <typename UnitOf, typename Deliver>
void TieredVectorStore::Impl::serve(Tier tier, std::size_t slot, bool is_timed,
                                    std::vector<PendingRow>& pending, UnitOf unit_of,
                                    Deliver deliver) {
  const TierCache& cache = tier == Tier::hot ? *hot : *warm;
  bool PendingRow::*const is_wanted =
      tier == Tier::hot ? &PendingRow::is_wanted_hot : &PendingRow::is_wanted_warm;
  const std::size_t count = pending.size();
  std::size_t kept = 0;
  double look_up_ns = 0;
  double deliver_ns = 0;
  Stopwatch watch(is_timed);
  std::uint64_t last_unit = rows;  // rows of one block are one touch
  TierCache::Found found[kGroup];
  for (std::size_t first = 0; first < count; first += kGroup) {
    const std::size_t size = std::min(kGroup, count - first);
    const std::span<PendingRow> group(pending.data() + first, size);
    watch.start();
    if (size > 1) {
      for (const PendingRow& each : group) cache.prefetch_word(unit_of(each.row));
    }
    for (std::size_t i = 0; i < size; ++i) {
      const std::uint32_t unit = unit_of(group[i].row);
      found[i] = unit == last_unit ? found[(i + kGroup - 1) % kGroup] : cache.touch(unit);
      last_unit = unit;
      if (size > 1) {
        base::prefetch(found[i].bytes.data(), std::min(found[i].bytes.size(), kPrefetchedBytes));
      }
    }
    watch.stop(look_up_ns);
    watch.start();
    for (std::size_t i = 0; i < size; ++i) {
      if (found[i].bytes.data() != nullptr) {
        deliver(group[i], found[i].bytes);
        continue;
      }
      pending[kept] = group[i];
      pending[kept].*is_wanted = found[i].is_wanted;
      ++kept;
    }
    watch.stop(deliver_ns);
  }
  pending.resize(kept);
  const auto hits = static_cast<double>(count - kept);
  const double ns = hits > 0 ? look_up_ns / static_cast<double>(count) + deliver_ns / hits : 0;
  statistics.count(tier, slot, count - kept, kept, ns);
}

void TieredVectorStore::Impl::read_cold(Scratch& scratch, std::size_t slot, bool is_timed,
                                        std::span<const std::uint32_t> wanted, float* out) {
  const std::vector<PendingRow>& pending = scratch.pending;
  const bool is_all = pending.size() == wanted.size();
  double ns = 0;
  Stopwatch watch(is_timed);
  watch.start();
  try {
    if (is_all) {
      cold->read(wanted, out);
    } else {
      scratch.rows.clear();
      for (const PendingRow& each : pending) scratch.rows.push_back(each.row);
      scratch.values.reserve_discarding(pending.size() * dim);
      cold->read(scratch.rows, scratch.values.data());
    }
  } catch (...) {
    statistics.count_failed(slot, pending.size());
    throw;
  }
  watch.stop(ns);
  statistics.count_cold(slot, pending.size(), ns / static_cast<double>(pending.size()));
  for (std::size_t i = 0; i < pending.size(); ++i) {
    if (!is_all) {
      std::memcpy(out + pending[i].place * dim, scratch.values.data() + i * dim,
                  dim * sizeof(float));
    }
    if (pending[i].is_wanted_hot || pending[i].is_wanted_warm) scratch.offers.push_back(pending[i]);
  }
}

// A row that the hot tier has leaves the warm one, unless there it is part of a block. The call has
// been answered by now: what goes wrong here, in reading stored bytes again or for lack of memory,
// only means that the tiers stay as they are.
void TieredVectorStore::Impl::take_in(const Scratch& scratch, const float* out) {
  std::uint64_t last_unit = rows;
  for (const PendingRow& offer : scratch.offers) {
    try {
      const bool is_hot =
          offer.is_wanted_hot &&
          hot->offer(offer.row, dim * sizeof(float), [&](std::span<std::byte> room) {
            std::memcpy(room.data(), out + offer.place * dim, room.size());
          });
      if (!warm) continue;
      const std::uint32_t unit = reader->unit_of(offer.row);
      if (is_hot && warm_has_rows) {
        if (warm->holds(unit)) warm->drop(unit);
      } else if (offer.is_wanted_warm && unit != last_unit) {
        last_unit = unit;
        const std::size_t bytes = reader->unit_bytes(offer.row);
        if (bytes == 0) continue;
        warm->offer(unit, bytes,
                    [&](std::span<std::byte> room) { reader->read_unit(offer.row, room); });
      }
    } catch (...) {
      return;
    }
  }
}

TierStats TieredVectorStore::Impl::stats_of(const std::optional<TierCache>& tier,
                                            std::uint64_t budget) const {
  TierStats stats;
  if (!tier) return stats;
  const TierCache::Counters counters = tier->counters();
  stats.promotions = counters.admitted;
  stats.evictions = counters.evicted;
  stats.moves = counters.moved;
  stats.units = counters.units;
  stats.bytes = counters.bytes;
  stats.ram_bytes = counters.ram_bytes;
  stats.budget_bytes = budget;
  return stats;
}

TieredVectorStore::TieredVectorStore(std::unique_ptr<VectorStore>&& cold,
                                     const TieredOptions& options) {
  if (cold == nullptr) refuse("expected a cold store, found null");
  impl_ = std::make_unique<Impl>(*cold, options);
  impl_->cold = std::move(cold);
}

TieredVectorStore::~TieredVectorStore() = default;

std::size_t TieredVectorStore::rows() const noexcept { return impl_->rows; }
std::size_t TieredVectorStore::dim() const noexcept { return impl_->dim; }
const VectorStore& TieredVectorStore::cold() const noexcept { return *impl_->cold; }

void TieredVectorStore::prefetch(std::span<const std::uint32_t> rows) const noexcept {
  if (rows.empty() || rows.back() >= impl_->rows) return;
  const Impl& impl = *impl_;
  try {
    const ScratchLease lease;
    std::vector<std::uint32_t>& missing = (*lease).rows;
    missing.clear();
    for (const std::uint32_t row : rows) {
      if (impl.hot && impl.hot->holds(row)) continue;
      if (impl.warm && impl.warm->holds(impl.reader->unit_of(row))) continue;
      missing.push_back(row);
    }
    if (!missing.empty()) impl.cold->prefetch(missing);
  } catch (...) {  // no memory: then nothing is announced
  }
}

void TieredVectorStore::read(std::span<const std::uint32_t> rows, float* out) const {
  impl_->read(rows, out);
}

StoreStats TieredVectorStore::stats() const {
  const TieredStats tiers = tier_stats();
  return {.kind = StorageKind::tiered,
          .ram_bytes = tiers.hot.ram_bytes + tiers.warm.ram_bytes + tiers.cold.ram_bytes,
          .disk_bytes = tiers.cold.bytes};
}

TieredStats TieredVectorStore::tier_stats() const {
  TieredStats stats;
  stats.hot = impl_->stats_of(impl_->hot, impl_->options.hot_bytes);
  stats.warm = impl_->stats_of(impl_->warm, impl_->options.warm_bytes);
  const StoreStats cold = impl_->cold->stats();
  stats.cold.units = impl_->rows;
  stats.cold.bytes = cold.disk_bytes;
  stats.cold.ram_bytes = cold.ram_bytes;
  stats.warm_is_on = impl_->warm.has_value();
  stats.warm_ratio = impl_->warm_ratio;
  stats.warm_note = impl_->warm_note;
  impl_->statistics.add_to(stats);
  return stats;
}

}  // namespace cairn

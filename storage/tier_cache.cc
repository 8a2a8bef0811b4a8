#include "storage/tier_cache.h"

#include <algorithm>
#include <bit>

namespace cairn::storage {
namespace {

constexpr std::size_t kSlotsPerShard = 64;  // at least
constexpr std::size_t kMaxShards = 64;
constexpr std::size_t kMaxSlots = (std::size_t{1} << 28) - 1;
// What a unit costs besides its bytes: its entries in the tables of a shard; and, where it is
// allocated on its own, what the allocator adds.
constexpr std::uint64_t kSlotBytes = 2 * sizeof(std::uint32_t);
constexpr std::uint64_t kAllocationBytes = 16;
// Slots per unit of average size, where sizes differ.
constexpr double kSpareSlots = 1.25;

constexpr std::uint32_t kWantedCount = 2;
constexpr std::size_t kVictims = 8;
constexpr std::size_t kMaxSlotsLookedAt = 32;
// Offers per unit that the tier can hold until all counts have been halved; and how many of them
// one offer halves at the most.
constexpr double kAgingOffers = 2;
constexpr double kMaxAgedPerOffer = 64;

}  // namespace

std::uint64_t TierCache::least_budget(std::size_t unit_bytes) noexcept {
  return unit_bytes + kAllocationBytes + 2 * (kSlotBytes + sizeof(Heap));
}

TierCache::TierCache(const Shape& shape, ReadSections& sections)
    : shape_(shape), sections_(sections), words_(shape.num_units) {
  std::uint64_t slots = shape.budget_bytes / (shape.unit_bytes + kSlotBytes);
  if (!shape.is_uniform) {
    const auto per_unit =
        static_cast<double>(shape.unit_bytes + kAllocationBytes + kSlotBytes + sizeof(Heap));
    slots = 1 + static_cast<std::uint64_t>(static_cast<double>(shape.budget_bytes) / per_unit *
                                           kSpareSlots);
  }
  slots = std::min<std::uint64_t>({slots, std::max<std::size_t>(shape.num_units, 1), kMaxSlots});
  const std::size_t num_shards =
      std::bit_floor(std::clamp<std::size_t>(slots / kSlotsPerShard, 1, kMaxShards));
  const std::size_t slots_each = slots / num_shards;
  num_slots_ = slots_each * num_shards;
  aging_ = std::min(kMaxAgedPerOffer, static_cast<double>(shape.num_units) /
                                          (kAgingOffers * static_cast<double>(num_slots_)));
  if (shape.is_uniform) {
    arena_ = base::AlignedBuffer(num_slots_ * shape.unit_bytes);
  } else {
    heap_ = std::vector<Heap>(num_slots_);
    const std::uint64_t tables = num_slots_ * (kSlotBytes + sizeof(Heap));
    heap_budget_ = (shape.budget_bytes - std::min(tables, shape.budget_bytes)) / num_shards;
  }
  shards_ = std::vector<Shard>(num_shards);
  for (std::size_t i = 0; i < num_shards; ++i) {
    Shard& shard = shards_[i];
    shard.first_slot = static_cast<std::uint32_t>(i * slots_each);
    shard.units.assign(slots_each, kNoUnit);
    shard.free_slots.reserve(slots_each);
    for (std::size_t slot = slots_each; slot-- > 0;) {
      shard.free_slots.push_back(shard.first_slot + static_cast<std::uint32_t>(slot));
    }
  }
}

TierCache::~TierCache() = default;

TierCache::Found TierCache::touch(std::size_t unit) const noexcept {
  const std::atomic_ref<std::uint32_t> state = word(unit);
  std::uint32_t value = state.load();
  std::uint32_t count = value & kMaxCount;
  const std::uint32_t slot = slot_of(value);
  // A touch that collides with another change of the word is not counted.
  if (count < kMaxCount &&
      state.compare_exchange_strong(value, value + 1, std::memory_order_relaxed)) {
    ++count;
  }
  if (slot == kNoSlot) return {{}, count >= kWantedCount};
  return {bytes_of(slot), false};
}

void TierCache::drop(std::size_t unit) {
  Shard& shard = shards_[shard_of(unit)];
  const std::unique_lock lock(shard.mutex, std::try_to_lock);
  if (!lock) return;
  const std::uint32_t slot = slot_of(word(unit).load());
  if (slot == kNoSlot) return;
  ++shard.counters.moved;
  retire(shard, slot - shard.first_slot);
  collect(shard);
}

TierCache::Counters TierCache::counters() const {
  Counters sum;
  sum.ram_bytes =
      words_.bytes().size() + arena_.size() + heap_.size() * sizeof(Heap) + num_slots_ * kSlotBytes;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    sum.admitted += shard.counters.admitted;
    sum.evicted += shard.counters.evicted;
    sum.moved += shard.counters.moved;
    sum.units += shard.counters.units;
    sum.bytes += shard.counters.bytes;
    sum.ram_bytes += shard.heap_bytes;
  }
  return sum;
}

std::size_t TierCache::shard_of(std::size_t unit) const noexcept {
  return (unit * 0x9E3779B97F4A7C15ull >> 32) & (shards_.size() - 1);
}

std::span<const std::byte> TierCache::bytes_of(std::uint32_t slot) const noexcept {
  if (shape_.is_uniform) {
    return {arena_.data() + std::size_t{slot} * shape_.unit_bytes, shape_.unit_bytes};
  }
  return {heap_[slot].bytes.get(), heap_[slot].size};
}

// The count may change at the same time.
void TierCache::set_slot(std::size_t unit, std::uint32_t slot) noexcept {
  const std::atomic_ref<std::uint32_t> state = word(unit);
  std::uint32_t value = state.load(std::memory_order_relaxed);
  while (!state.compare_exchange_weak(value, (slot + 1) << kCountBits | (value & kMaxCount))) {
  }
}

bool TierCache::has_room(const Shard& shard, std::size_t bytes) const noexcept {
  if (shard.free_slots.empty()) return false;
  return shape_.is_uniform || shard.heap_bytes + bytes + kAllocationBytes <= heap_budget_;
}

// Drops units that are touched less often than `count` until there is room. What is dropped may
// have readers for a moment: then there is none yet, and nothing more is dropped before there is.
bool TierCache::make_room(Shard& shard, std::size_t bytes, std::uint32_t count) {
  if (has_room(shard, bytes)) return true;
  if (!shape_.is_uniform && bytes + kAllocationBytes > heap_budget_) return false;
  collect(shard);
  while (!has_room(shard, bytes)) {
    if (!shard.retired.empty()) return false;
    const std::optional<std::size_t> victim = least_wanted(shard);
    if (!victim || count_of(shard.units[*victim]) >= count) return false;
    ++shard.counters.evicted;
    retire(shard, *victim);
    collect(shard);
  }
  return true;
}

// Halves the counts of the next units, wherever they lie.
void TierCache::age(Shard& shard) noexcept {
  shard.aging_owed += aging_;
  const auto due = static_cast<std::size_t>(shard.aging_owed);
  shard.aging_owed -= static_cast<double>(due);
  const std::size_t first = aging_hand_.fetch_add(due, std::memory_order_relaxed);
  for (std::size_t i = 0; i < due; ++i) {
    const std::atomic_ref<std::uint32_t> state = word((first + i) % shape_.num_units);
    std::uint32_t value = state.load(std::memory_order_relaxed);
    while ((value & kMaxCount) != 0 &&
           !state.compare_exchange_weak(value, (value & ~kMaxCount) | (value & kMaxCount) / 2,
                                        std::memory_order_relaxed)) {
    }
  }
}

std::optional<std::size_t> TierCache::least_wanted(Shard& shard) noexcept {
  std::optional<std::size_t> least;
  std::uint32_t least_count = kMaxCount + 1;
  std::size_t seen = 0;
  for (std::size_t i = 0; i < kMaxSlotsLookedAt && seen < kVictims; ++i) {
    const std::size_t place = shard.hand;
    shard.hand = (shard.hand + 1) % shard.units.size();
    if (shard.units[place] == kNoUnit) continue;
    ++seen;
    const std::uint32_t count = count_of(shard.units[place]);
    if (count < least_count) {
      least = place;
      least_count = count;
    }
  }
  return least;
}

void TierCache::retire(Shard& shard, std::size_t place) {
  const std::uint32_t slot = shard.first_slot + static_cast<std::uint32_t>(place);
  shard.retired.push_back({slot, 0});
  set_slot(shard.units[place], kNoSlot);
  shard.retired.back().epoch = sections_.retire();
  shard.units[place] = kNoUnit;
  --shard.counters.units;
  shard.counters.bytes -= bytes_of(slot).size();
}

void TierCache::collect(Shard& shard) noexcept {
  if (shard.retired.empty()) return;
  const std::uint64_t oldest = sections_.oldest();
  std::erase_if(shard.retired, [&](const Retired& retired) {
    if (retired.epoch >= oldest) return false;
    release(shard, retired.slot);
    return true;
  });
}

void TierCache::release(Shard& shard, std::uint32_t slot) noexcept {
  shard.free_slots.push_back(slot);  // has room for all of them
  if (shape_.is_uniform) return;
  shard.heap_bytes -= heap_[slot].size + kAllocationBytes;
  heap_[slot] = {};
}

TierCache::Admission::Admission(TierCache& cache, std::size_t unit, std::size_t bytes)
    : cache_(cache),
      shard_(cache.shards_[cache.shard_of(unit)]),
      lock_(shard_.mutex, std::try_to_lock),
      unit_(unit) {
  if (!lock_) return;
  is_here_ = cache.holds(unit);
  if (is_here_) return;
  cache.age(shard_);
  if (!cache.make_room(shard_, bytes, cache.count_of(unit))) return;
  const std::uint32_t slot = shard_.free_slots.back();
  std::byte* room = nullptr;
  if (cache.shape_.is_uniform) {
    room = cache.arena_.data() + std::size_t{slot} * cache.shape_.unit_bytes;
  } else {
    cache.heap_[slot] = {std::make_unique_for_overwrite<std::byte[]>(bytes), bytes};
    shard_.heap_bytes += bytes + kAllocationBytes;
    room = cache.heap_[slot].bytes.get();
  }
  shard_.free_slots.pop_back();
  slot_ = slot;
  room_ = {room, bytes};
}

TierCache::Admission::~Admission() {
  if (slot_ != kNoSlot) cache_.release(shard_, slot_);
}

void TierCache::Admission::publish() noexcept {
  shard_.units[slot_ - shard_.first_slot] = static_cast<std::uint32_t>(unit_);
  ++shard_.counters.admitted;
  ++shard_.counters.units;
  shard_.counters.bytes += room_.size();
  cache_.set_slot(unit_, slot_);
  slot_ = kNoSlot;
}

}  // namespace cairn::storage

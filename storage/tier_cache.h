#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "base/aligned_buffer.h"
#include "storage/read_sections.h"

namespace cairn::storage {

// One tier: the bytes of some units in RAM, those that are touched most often. A unit is a number
// below `num_units` with bytes of its own that never change: a row, or a block of rows.
//
// One word per unit is all its state: how often it was touched of late (0 to 15), and where its
// bytes are. A touch counts up, without a lock, whether or not the unit is here. Units that come
// back are offered: one of a few residents, in turn, is dropped for it if it has been touched less
// often. Each offer also halves the counts of some units, the next ones in turn, so that all are
// halved once while twice as many units are offered as the tier holds (TinyLFU, ACM TOS 2017, with
// a count for each unit instead of a sketch, and aged by what competes rather than by touches).
//
// Units lie in shards, each with a mutex of its own; an offer that finds it taken is declined.
// Thread-safe.
class TierCache {
 public:
  struct Shape {
    std::size_t num_units = 0;
    // Bytes of a unit, of all of them or on average.
    std::size_t unit_bytes = 0;
    bool is_uniform = true;
    std::uint64_t budget_bytes = 0;
  };

  struct Counters {
    std::uint64_t admitted = 0;
    std::uint64_t evicted = 0;
    std::uint64_t moved = 0;
    std::uint64_t units = 0;
    std::uint64_t bytes = 0;
    std::uint64_t ram_bytes = 0;
  };

  struct Found {
    std::span<const std::byte> bytes;  // valid within the read section; null if it is not here
    bool is_wanted = false;            // it is not, and was touched often enough to be offered
  };

  // The least budget that holds one unit of so many bytes.
  static std::uint64_t least_budget(std::size_t unit_bytes) noexcept;

  // Budget at least least_budget(). `sections` are those that readers of this tier open, and must
  // outlive it.
  TierCache(const Shape& shape, ReadSections& sections);
  ~TierCache();

  // Counts a touch and looks the unit up. In an open section.
  Found touch(std::size_t unit) const noexcept;
  // At any time; it may be gone a moment later.
  bool holds(std::size_t unit) const noexcept { return slot_of(word(unit).load()) != kNoSlot; }
  void prefetch_word(std::size_t unit) const noexcept { __builtin_prefetch(&words_[unit]); }

  // Takes `unit` in if it is worth the room, its bytes being written by fill(std::span<std::byte>),
  // which may throw: then all is as it was. Never within a section. True if it is here now.
  template <typename Fill>
  bool offer(std::size_t unit, std::size_t bytes, Fill&& fill) {
    Admission admission(*this, unit, bytes);
    if (admission.is_here()) return true;
    const std::span<std::byte> room = admission.room();
    if (room.empty()) return false;
    fill(room);
    admission.publish();
    return true;
  }
  // Drops a unit that is kept elsewhere now. Declined if the shard is busy.
  void drop(std::size_t unit);

  Counters counters() const;

 private:
  static constexpr std::uint32_t kNoSlot = 0xFFFFFFFF;
  static constexpr std::uint32_t kNoUnit = 0xFFFFFFFF;
  static constexpr unsigned kCountBits = 4;
  static constexpr std::uint32_t kMaxCount = (1u << kCountBits) - 1;

  struct Retired {
    std::uint32_t slot;
    std::uint64_t epoch;
  };
  struct Heap {
    std::unique_ptr<std::byte[]> bytes;
    std::size_t size = 0;
  };
  struct alignas(64) Shard {
    mutable std::mutex mutex;  // guards all below
    std::uint32_t first_slot = 0;
    std::vector<std::uint32_t> units;  // in its slots, or kNoUnit
    std::vector<std::uint32_t> free_slots;
    std::vector<Retired> retired;
    std::size_t hand = 0;
    double aging_owed = 0;
    std::uint64_t heap_bytes = 0;  // of resident and retired units
    Counters counters;
  };

  // A place for one unit, under the lock of its shard. Given back unless published.
  class Admission {
   public:
    Admission(TierCache& cache, std::size_t unit, std::size_t bytes);
    ~Admission();
    Admission(const Admission&) = delete;
    Admission& operator=(const Admission&) = delete;
    bool is_here() const noexcept { return is_here_; }
    std::span<std::byte> room() const noexcept { return room_; }
    void publish() noexcept;

   private:
    TierCache& cache_;
    Shard& shard_;
    std::unique_lock<std::mutex> lock_;
    std::size_t unit_;
    std::uint32_t slot_ = kNoSlot;
    std::span<std::byte> room_;
    bool is_here_ = false;
  };

  static std::uint32_t slot_of(std::uint32_t word) noexcept {
    return (word >> kCountBits) - 1;  // stored plus one: kNoSlot from 0
  }
  std::atomic_ref<std::uint32_t> word(std::size_t unit) const noexcept {
    return std::atomic_ref(const_cast<std::uint32_t&>(words_[unit]));
  }
  std::uint32_t count_of(std::size_t unit) const noexcept {
    return word(unit).load(std::memory_order_relaxed) & kMaxCount;
  }
  std::size_t shard_of(std::size_t unit) const noexcept;
  std::span<const std::byte> bytes_of(std::uint32_t slot) const noexcept;
  void set_slot(std::size_t unit, std::uint32_t slot) noexcept;

  bool has_room(const Shard& shard, std::size_t bytes) const noexcept;
  bool make_room(Shard& shard, std::size_t bytes, std::uint32_t count);
  void age(Shard& shard) noexcept;
  std::optional<std::size_t> least_wanted(Shard& shard) noexcept;
  void retire(Shard& shard, std::size_t place);
  void collect(Shard& shard) noexcept;
  void release(Shard& shard, std::uint32_t slot) noexcept;

  Shape shape_;
  ReadSections& sections_;
  base::AlignedArray<std::uint32_t> words_;
  std::size_t num_slots_ = 0;
  base::AlignedBuffer arena_;      // uniform units, by slot
  std::vector<Heap> heap_;         // others, by slot
  std::uint64_t heap_budget_ = 0;  // of each shard
  std::vector<Shard> shards_;
  double aging_ = 0;  // words to be halved per offer
  std::atomic<std::size_t> aging_hand_{0};
};

}  // namespace cairn::storage

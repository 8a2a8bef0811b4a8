#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace cairn::storage {

// Tells when nobody looks at a piece of memory any more (epoch-based reclamation: Fraser, Practical
// lock-freedom, 2004). A reader opens a section, finds things through atomic words that it loads
// with memory order seq_cst, and reads them until it closes the section. A writer that takes a
// thing away stores that in its word with seq_cst, calls retire(), and may reuse the memory once
// oldest() is greater than what retire() returned. Readers wait for nobody. Thread-safe.
//
// Why it holds: a section that was opened before the writer looked is seen in oldest(). One that
// was opened later comes, in the single order of seq_cst operations, after the word was stored, and
// does not find the thing.
class ReadSections {
 public:
  static constexpr std::size_t kSlots = 64;

  // Open until destroyed. If all slots are taken, it is not open, and nothing may be looked at.
  class Section {
   public:
    explicit Section(ReadSections& sections) noexcept;
    Section(const Section&) = delete;
    Section& operator=(const Section&) = delete;
    ~Section() { close(); }

    bool is_open() const noexcept { return slot_ < kSlots; }
    // Which slot; nobody else has it while the section is open.
    std::size_t slot() const noexcept { return slot_; }
    void close() noexcept {
      if (is_open()) sections_.slots_[slot_].epoch.store(kIdle, std::memory_order_release);
      slot_ = kSlots;
    }

   private:
    ReadSections& sections_;
    std::size_t slot_ = kSlots;
  };

  // The epoch of what was taken away before this call.
  std::uint64_t retire() noexcept { return epoch_.fetch_add(1); }
  // No open section can see what was retired in an epoch before this one.
  std::uint64_t oldest() const noexcept;

 private:
  static constexpr std::uint64_t kIdle = 0;

  struct alignas(64) Slot {
    std::atomic<std::uint64_t> epoch{kIdle};
  };

  alignas(64) std::atomic<std::uint64_t> epoch_{1};
  std::array<Slot, kSlots> slots_;
};

}  // namespace cairn::storage

#include "storage/read_sections.h"

#include <algorithm>

namespace cairn::storage {
namespace {

// Threads start their search for a free slot at different ones, and each at its own.
std::size_t home_slot() noexcept {
  static std::atomic<std::size_t> next{0};
  thread_local const std::size_t home = next.fetch_add(1, std::memory_order_relaxed);
  return home;
}

}  // namespace

ReadSections::Section::Section(ReadSections& sections) noexcept : sections_(sections) {
  const std::uint64_t epoch = sections.epoch_.load();
  const std::size_t home = home_slot();
  for (std::size_t i = 0; i < kSlots; ++i) {
    const std::size_t slot = (home + i) % kSlots;
    std::uint64_t idle = kIdle;
    if (sections.slots_[slot].epoch.compare_exchange_strong(idle, epoch)) {
      slot_ = slot;
      return;
    }
  }
}

std::uint64_t ReadSections::oldest() const noexcept {
  std::uint64_t oldest = epoch_.load();
  for (const Slot& slot : slots_) {
    const std::uint64_t epoch = slot.epoch.load();
    if (epoch != kIdle) oldest = std::min(oldest, epoch);
  }
  return oldest;
}

}  // namespace cairn::storage

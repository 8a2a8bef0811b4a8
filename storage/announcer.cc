#include "storage/announcer.h"

#include "storage/file.h"

namespace cairn::storage {
namespace {

// This many announcements in a row that found their sample in memory make a section count as warm.
constexpr unsigned kWarmAfter = 64;

}  // namespace

Announcer::Announcer(std::shared_ptr<const ContainerReader> container, const SectionInfo& section)
    : container_(std::move(container)),
      section_(section),
      can_probe_(container_->may_inspect_residency()) {}

// One row of each announcement is looked up in the page cache. While misses are seen now and then,
// every announcement asks for everything, for half a file in memory is half a file to fetch. After
// kWarmAfter hits in a row so few pages can be cold that a fault now and then costs less than
// asking; the sample goes on, and its first miss ends the rest. Where the system will not tell what
// is in memory, every announcement asks.
bool Announcer::is_worth_asking(const Range& sample) const noexcept {
  if (!can_probe_) return true;
  const unsigned streak = warm_streak_.load(std::memory_order_relaxed);
  if (sample.begin < sample.end && !container_->is_resident(section_.offset + sample.begin)) {
    warm_streak_.store(0, std::memory_order_relaxed);
    return true;
  }
  if (streak >= kWarmAfter) return false;
  warm_streak_.store(streak + 1, std::memory_order_relaxed);
  return true;
}

bool Announcer::touches(const Range& run, const Range& range) const noexcept {
  const std::uint64_t page = page_size();
  return range.begin >= run.begin &&
         (section_.offset + range.begin) / page <= (section_.offset + run.end - 1) / page + 1;
}

// By the file, not the mapping: threads that do so at the same time do not meet in its lock.
void Announcer::ask(const Range& run) const noexcept {
  container_->file().advise(section_.offset + run.begin, run.end - run.begin, Advice::will_need);
}

}  // namespace cairn::storage

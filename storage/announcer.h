#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include "storage/container.h"

namespace cairn::storage {

// Asks the system for the pages of rows that will be read, all at once: the device then serves them
// together, where reads and page faults would come one after the other. Over pages that are in
// memory the system calls are pure cost, so a sample decides whether to ask. Const calls may run
// concurrently.
class Announcer {
 public:
  // Bytes of the section; empty if begin >= end.
  struct Range {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
  };

  Announcer(std::shared_ptr<const ContainerReader> container, const SectionInfo& section);

  // `range_of(row)` says where the bytes of a row lie. Rows are sorted, so that those whose pages
  // touch make one request.
  template <typename RangeOf>
  void announce(std::span<const std::uint32_t> rows, const RangeOf& range_of) const noexcept {
    if (rows.empty() || !is_worth_asking(range_of(rows[rows.size() / 2]))) return;
    Range run;
    for (const std::uint32_t row : rows) {
      const Range range = range_of(row);
      if (range.begin >= range.end) continue;
      if (run.end != 0 && !touches(run, range)) {
        ask(run);
        run.end = 0;
      }
      if (run.end == 0) run.begin = range.begin;
      run.end = range.end;
    }
    if (run.end != 0) ask(run);
  }

 private:
  bool is_worth_asking(const Range& sample) const noexcept;
  bool touches(const Range& run, const Range& range) const noexcept;
  void ask(const Range& run) const noexcept;

  std::shared_ptr<const ContainerReader> container_;
  const SectionInfo& section_;
  bool can_probe_;
  mutable std::atomic<unsigned> warm_streak_{0};
};

}  // namespace cairn::storage

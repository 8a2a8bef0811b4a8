#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "index/index_data.h"
#include "storage/container.h"

namespace cairn::index {

// Checks the large sections of a mapped index, block by block, when a search or a look-up first
// touches them: opening does not read them, and what is damaged must not be taken for an answer. A
// list that was checked costs one load from then on. Thread-safe; checks done twice do no harm.
// All calls throw Error(corrupt) naming section and block, each time that damage is touched.
class FileGuard {
 public:
  FileGuard(std::shared_ptr<const storage::ContainerReader> reader, const IndexData& data);

  // What scanning or navigating a list of `data` reads: blocks, and of a leaf refine codes and ids,
  // of another list the centroids of its children.
  void touch_list(const IndexData& data, std::uint32_t list) const {
    if (lists_[list].load(std::memory_order_relaxed) == 0) check_list(data, list);
  }
  // Full vectors, if they lie in the file as float32.
  void touch_vectors(std::span<const std::uint32_t> rows) const;
  void touch_vectors(std::size_t first, std::size_t count) const;
  // They are served from elsewhere. Needs exclusive access.
  void forget_vectors() noexcept { vectors_ = {}; }
  // Entries of the ids, and of their order.
  void touch_ids(std::size_t first, std::size_t count) const { touch(ids_, first, count); }
  void touch_id_order(std::size_t first, std::size_t count) const {
    touch(id_order_, first, count);
  }
  // Everything but full vectors.
  void touch_all() const;

 private:
  struct Section {
    const storage::SectionInfo* info = nullptr;  // null: there is none
    // By block: 1 once it has been checked.
    mutable std::vector<std::atomic<std::uint8_t>> is_checked;
  };

  Section section_of(storage::SectionType type) const;
  void check_list(const IndexData& data, std::uint32_t list) const;
  // Elements [first, first + count) of a section.
  void touch(const Section& section, std::size_t first, std::size_t count) const;
  void touch_bytes(const Section& section, std::uint64_t begin, std::uint64_t end) const;

  std::shared_ptr<const storage::ContainerReader> reader_;
  mutable std::vector<std::atomic<std::uint8_t>> lists_;
  Section blocks_;
  Section centroids_;
  Section centroid_lows_;
  Section refine_codes_;
  Section ids_;
  Section id_order_;
  Section vectors_;
};

}  // namespace cairn::index

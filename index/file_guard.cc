#include "index/file_guard.h"

#include "storage/format.h"

namespace cairn::index {

using storage::SectionType;

FileGuard::FileGuard(std::shared_ptr<const storage::ContainerReader> reader, const IndexData& data)
    : reader_(std::move(reader)),
      lists_(data.lists.size()),
      blocks_(section_of(SectionType::blocks)),
      centroids_(section_of(SectionType::centroids)),
      centroid_lows_(section_of(SectionType::centroid_lows)),
      refine_codes_(section_of(SectionType::refine_codes)),
      ids_(section_of(SectionType::ids)),
      id_order_(section_of(SectionType::id_order)),
      vectors_(section_of(SectionType::vectors)) {}

FileGuard::Section FileGuard::section_of(SectionType type) const {
  Section section;
  section.info = reader_->find(type);
  if (section.info != nullptr) {
    section.is_checked =
        std::vector<std::atomic<std::uint8_t>>(storage::num_blocks(section.info->bytes));
  }
  return section;
}

void FileGuard::check_list(const IndexData& data, std::uint32_t number) const {
  const ListEntry& list = data.lists[number];
  const std::size_t children = list.num_children;
  const std::size_t block_bytes = kernels::block_bytes(data.padded_dim());
  const std::size_t blocks = (children + kernels::kBlockSize - 1) / kernels::kBlockSize;
  touch(blocks_, list.first_block * block_bytes, blocks * block_bytes);
  if (list.level == 0) {
    touch(refine_codes_, list.first_child, children);
    touch(ids_, list.first_child, children);
  } else {
    // The root has no centroid.
    const std::size_t first = (list.first_child - std::size_t{1}) * data.padded_dim();
    touch(centroids_, first, children * data.padded_dim());
    touch(centroid_lows_, first, children * data.padded_dim());
  }
  lists_[number].store(1, std::memory_order_relaxed);
}

void FileGuard::touch_vectors(std::span<const std::uint32_t> rows) const {
  if (vectors_.info == nullptr) return;
  for (const std::uint32_t row : rows) touch(vectors_, row, 1);
}

void FileGuard::touch_vectors(std::size_t first, std::size_t count) const {
  touch(vectors_, first, count);
}

void FileGuard::touch_all() const {
  for (const Section* section :
       {&blocks_, &centroids_, &centroid_lows_, &refine_codes_, &ids_, &id_order_}) {
    if (section->info != nullptr) touch_bytes(*section, 0, section->info->bytes);
  }
}

void FileGuard::touch(const Section& section, std::size_t first, std::size_t count) const {
  if (section.info == nullptr || count == 0) return;
  const std::uint64_t size = section.info->element_size;
  touch_bytes(section, first * size, (first + count) * size);
}

void FileGuard::touch_bytes(const Section& section, std::uint64_t begin, std::uint64_t end) const {
  if (begin == end) return;
  const std::uint64_t last = (end - 1) / storage::kChecksumBlockBytes;
  for (std::uint64_t block = begin / storage::kChecksumBlockBytes; block <= last; ++block) {
    std::atomic<std::uint8_t>& is_checked = section.is_checked[block];
    if (is_checked.load(std::memory_order_relaxed) != 0) continue;
    reader_->check_block(*section.info, block);
    is_checked.store(1, std::memory_order_relaxed);
  }
}

}  // namespace cairn::index

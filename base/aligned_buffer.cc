#include "base/aligned_buffer.h"

#include <cstring>
#include <new>

#include <sys/mman.h>

namespace cairn::base {
namespace {

constexpr std::size_t kCacheLine = 64;
constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kMapFrom = std::size_t{1} << 20;

// Bytes to map so that a huge page's multiple lies among the first of them.
std::size_t mapped_bytes(std::size_t bytes) {
  return (bytes + kHugePage - 1) / kHugePage * kHugePage;
}

// Fresh pages are zero already, and are touched first by the thread that fills them.
std::byte* map_pages(std::size_t bytes) {
  const std::size_t wanted = mapped_bytes(bytes);
  if (wanted < bytes || wanted + kHugePage < wanted) throw std::bad_alloc();
  void* const map =
      mmap(nullptr, wanted + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) throw std::bad_alloc();
  auto* const start = static_cast<std::byte*>(map);
  const std::size_t before =
      (kHugePage - reinterpret_cast<std::uintptr_t>(map) % kHugePage) % kHugePage;
  if (before != 0) munmap(start, before);
  if (before != kHugePage) munmap(start + before + wanted, kHugePage - before);
  // What lies behind the last whole huge page would take one more for a part of it.
  madvise(start + before, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
  return start + before;
}

}  // namespace

AlignedBuffer::AlignedBuffer(std::size_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  if (bytes >= kMapFrom) {
    data_ = map_pages(bytes);
    return;
  }
  data_ = static_cast<std::byte*>(::operator new (bytes, std::align_val_t{kCacheLine}));
  std::memset(data_, 0, bytes);
}

AlignedBuffer::~AlignedBuffer() {
  if (data_ == nullptr) return;
  if (bytes_ >= kMapFrom) {
    munmap(data_, mapped_bytes(bytes_));
  } else {
    ::operator delete (data_, std::align_val_t{kCacheLine});
  }
}

}  // namespace cairn::base

#include "base/aligned_buffer.h"

#include <cstring>
#include <new>

#include <sys/mman.h>

namespace cairn::base {
namespace {
constexpr std::size_t kCacheLine = 64;
constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kHugePageFrom = std::size_t{1} << 20;

std::size_t alignment_for(std::size_t bytes) {
  return bytes >= kHugePageFrom ? kHugePage : kCacheLine;
}
}  // namespace

AlignedBuffer::AlignedBuffer(std::size_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  const std::size_t alignment = alignment_for(bytes);
  data_ = static_cast<std::byte*>(::operator new (bytes, std::align_val_t{alignment}));
  if (alignment == kHugePage) {
    // Only whole pages may be advised, and what follows the last one belongs to somebody else.
    madvise(data_, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
  }
  std::memset(data_, 0, bytes);
}

AlignedBuffer::~AlignedBuffer() {
  if (data_ != nullptr) ::operator delete (data_, std::align_val_t{alignment_for(bytes_)});
}

}  // namespace cairn::base

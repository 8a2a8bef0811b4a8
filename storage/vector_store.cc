#include "cairn/vector_store.h"

namespace cairn {

void VectorStore::prefetch(std::span<const std::uint32_t>) const noexcept {}

std::uint64_t VectorStore::warm(std::uint64_t) const { return 0; }
void VectorStore::trim() const noexcept {}

}  // namespace cairn

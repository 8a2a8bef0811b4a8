#include "cairn/vector_store.h"

namespace cairn {

void VectorStore::prefetch(std::span<const std::uint32_t>) const noexcept {}

}  // namespace cairn

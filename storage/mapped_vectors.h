#pragma once

#include <memory>

#include "cairn/vector_store.h"

#include "storage/container.h"

namespace cairn::storage {

// The vectors section of an open container (a vectors file or a saved index) as a store.
// Throws Error(corrupt) if the section is missing or its size is not rows * dim * 4.
std::unique_ptr<MmapVectorStore> open_mapped_vectors(std::shared_ptr<const ContainerReader> reader);

}  // namespace cairn::storage

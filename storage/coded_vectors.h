#pragma once

#include <memory>

#include "cairn/vector_store.h"

#include "storage/coded_reader.h"
#include "storage/container.h"

namespace cairn::storage {

// The vectors of an open container (a vectors file or a saved index), encoded or plain, as a store
// that reads them as the container is read: from its mapping or from its file.
// Throws Error(corrupt) if they are missing or damaged where it shows at once.
std::unique_ptr<CompressedVectorStore> open_coded_vectors(
    std::shared_ptr<const ContainerReader> reader);

// What reads the store's file, valid as long as the store.
const CodedReader& reader_of(const CompressedVectorStore& store) noexcept;

}  // namespace cairn::storage

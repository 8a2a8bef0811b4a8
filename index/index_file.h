#pragma once

#include <filesystem>
#include <memory>

#include "cairn/options.h"
#include "cairn/vector_store.h"

#include "index/index_data.h"
#include "storage/container.h"

namespace cairn::index {

// Writes all sections and the rows of `store` to one container. Throws Error: io,
// invalid_argument (options).
void save_index(const std::filesystem::path& path, const IndexData& data, const VectorStore& store,
                const SaveOptions& options);

// The sections of a mapped container, checked so that no search can leave them: sizes against
// parameters, every list's children, blocks and levels, finite scales. What only changes results
// (code bytes, ids) is left to ContainerReader::verify. Throws Error(corrupt) naming the section,
// expected and found. O(lists). The spans live as long as the reader.
IndexData load_index(const storage::ContainerReader& reader);

}  // namespace cairn::index

#pragma once

#include <cstddef>

#include "cairn/tiered_vector_store.h"

namespace cairn::storage {

// What can be checked before there is a cold store of rows of `dim`. Throws
// Error(invalid_argument).
void check_tiered_options(const TieredOptions& options, std::size_t dim);

}  // namespace cairn::storage

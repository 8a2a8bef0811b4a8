#pragma once

// Sizes that callers name, before they become sizes of memory.

#include <cstddef>
#include <cstdint>

namespace cairn::base {

// Whether `count` elements of `element_bytes` each are more than any object can have, wrapped
// products included.
constexpr bool is_beyond_memory(std::size_t count, std::size_t element_bytes) noexcept {
  return element_bytes != 0 && count > static_cast<std::size_t>(PTRDIFF_MAX) / element_bytes;
}

// The same for rows of `columns` elements.
constexpr bool is_beyond_memory(std::size_t rows, std::size_t columns,
                                std::size_t element_bytes) noexcept {
  if (is_beyond_memory(columns, element_bytes)) return true;
  return is_beyond_memory(rows, columns * element_bytes);
}

}  // namespace cairn::base

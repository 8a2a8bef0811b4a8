#pragma once

#include <cstddef>

namespace cairn::base {

// Asks for the cache lines of [address, address + bytes). Never faults.
inline void prefetch(const void* address, std::size_t bytes) noexcept {
  const char* begin = static_cast<const char*>(address);
  for (std::size_t at = 0; at < bytes; at += 64) __builtin_prefetch(begin + at);
}

}  // namespace cairn::base

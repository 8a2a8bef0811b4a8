#pragma once

#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

namespace cairn::base {

// Leaves new elements of trivial types uninitialised where std::vector would zero them.
template <typename T>
struct RawAllocator : std::allocator<T> {
  template <typename U>
  struct rebind {
    using other = RawAllocator<U>;
  };

  template <typename U, typename... Arguments>
  void construct(U* place, Arguments&&... arguments) {
    static_assert(std::is_trivially_copyable_v<U>);
    if constexpr (sizeof...(Arguments) == 0) {
      ::new (static_cast<void*>(place)) U;
    } else {
      ::new (static_cast<void*>(place)) U(std::forward<Arguments>(arguments)...);
    }
  }
};

// A vector for scratch memory that is resized to make room and then written: growing costs nothing
// while there is capacity.
template <typename T>
using RawVector = std::vector<T, RawAllocator<T>>;

}  // namespace cairn::base

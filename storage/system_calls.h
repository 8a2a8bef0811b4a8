#pragma once

// What the callers of POSIX in this room share: failures in words, interrupted calls, temporary
// names.

#include <cerrno>
#include <filesystem>
#include <string>

#include "cairn/error.h"

namespace cairn::storage {

// `what` + path + the system's reason for `error`, an errno.
[[noreturn]] void fail(ErrorCode code, const std::string& what, const std::filesystem::path& path,
                       int error);
[[noreturn]] void fail_io(const std::string& what, const std::filesystem::path& path, int error);

// Repeats a system call that a signal interrupted.
template <typename Call>
auto retry(Call&& call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

// A fresh name for a temporary file: .cairn-*.tmp, 16 hexadecimal digits, the last four of which
// follow from the others. Throws io.
std::string random_name();
// Could random_name() have made it? Says yes to one in 65,536 of other names of that look.
bool is_random_name(const std::string& name);

// Calls `use` with fresh temporary names until one is not taken.
template <typename Use>
std::string with_unused_name(Use&& use) {
  for (;;) {
    std::string name = random_name();
    if (use(name) >= 0 || errno != EEXIST) return name;
  }
}

}  // namespace cairn::storage

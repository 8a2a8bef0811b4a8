#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "cairn/export.h"

namespace cairn {

/// What kind of failure an Error reports. Values are stable.
enum class ErrorCode : std::uint8_t {
  invalid_argument = 1,     ///< wrong input; nothing was done
  not_found = 2,            ///< a file or directory is missing
  io = 3,                   ///< the operating system refused a read, write or mapping
  corrupt = 4,              ///< bytes on disk are not what a Cairn file holds
  version_unsupported = 5,  ///< a file of a newer format, or with features unknown here
  unsupported_cpu = 6,      ///< CAIRN_FORCE_ISA names an instruction set this machine lacks
  cancelled = 7,            ///< a callback asked to stop, or a SearchPool was stopped
};

/// The one exception type of the library. what() says what failed, where, what was expected and
/// what was found.
class CAIRN_EXPORT Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message);
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

/// "invalid_argument", "io", ...
CAIRN_EXPORT const char* to_string(ErrorCode code) noexcept;

}  // namespace cairn

#include "cairn/error.h"

namespace cairn {

Error::Error(ErrorCode code, const std::string& message)
    : std::runtime_error(message), code_(code) {}

const char* to_string(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::invalid_argument:
      return "invalid_argument";
    case ErrorCode::not_found:
      return "not_found";
    case ErrorCode::io:
      return "io";
    case ErrorCode::corrupt:
      return "corrupt";
    case ErrorCode::version_unsupported:
      return "version_unsupported";
    case ErrorCode::unsupported_cpu:
      return "unsupported_cpu";
    case ErrorCode::cancelled:
      return "cancelled";
  }
  return "unknown";
}

}  // namespace cairn

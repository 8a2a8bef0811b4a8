#include "storage/system_calls.h"

#include <cstdint>
#include <cstdio>
#include <system_error>

#include <sys/random.h>

namespace cairn::storage {

void fail(ErrorCode code, const std::string& what, const std::filesystem::path& path, int error) {
  throw Error(code, what + " " + path.string() + ": " + std::generic_category().message(error));
}

void fail_io(const std::string& what, const std::filesystem::path& path, int error) {
  fail(ErrorCode::io, what, path, error);
}

std::string random_name() {
  std::uint64_t bits = 0;
  if (retry([&] { return getrandom(&bits, sizeof bits, 0); }) != sizeof bits) {
    throw Error(ErrorCode::io, "no random numbers for a temporary file name: " +
                                   std::generic_category().message(errno));
  }
  char name[32];
  std::snprintf(name, sizeof name, ".cairn-%016llx.tmp", static_cast<unsigned long long>(bits));
  return name;
}

}  // namespace cairn::storage

#include "storage/system_calls.h"

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <string_view>
#include <system_error>

#include <sys/random.h>

namespace cairn::storage {

void fail(ErrorCode code, const std::string& what, const std::filesystem::path& path, int error) {
  throw Error(code, what + " " + path.string() + ": " + std::generic_category().message(error));
}

void fail_io(const std::string& what, const std::filesystem::path& path, int error) {
  fail(ErrorCode::io, what, path, error);
}

namespace {

std::string name_of(std::uint64_t bits) {
  constexpr std::uint64_t kGoldenRatio = 0x9E3779B97F4A7C15;
  const std::uint64_t check = (bits >> 16) * kGoldenRatio >> 48;
  char name[32];
  std::snprintf(name, sizeof name, ".cairn-%016llx.tmp",
                static_cast<unsigned long long>((bits & ~std::uint64_t{0xFFFF}) | check));
  return name;
}

}  // namespace

std::string random_name() {
  std::uint64_t bits = 0;
  if (retry([&] { return getrandom(&bits, sizeof bits, 0); }) != sizeof bits) {
    throw Error(ErrorCode::io, "no random numbers for a temporary file name: " +
                                   std::generic_category().message(errno));
  }
  return name_of(bits);
}

bool is_random_name(const std::string& name) {
  constexpr std::size_t kPrefixBytes = std::string_view(".cairn-").size();
  constexpr std::size_t kDigits = 16;
  std::uint64_t bits = 0;
  if (name.size() < kPrefixBytes + kDigits) return false;
  std::from_chars(name.data() + kPrefixBytes, name.data() + kPrefixBytes + kDigits, bits, 16);
  return name == name_of(bits);
}

}  // namespace cairn::storage

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace cairn::base {

// XXH3, 64 bits, of `bytes`. Two seeds give two independent checksums of the same bytes, which is
// how a checksum also says where its bytes belong.
std::uint64_t checksum64(std::span<const std::byte> bytes, std::uint64_t seed) noexcept;

// XXH3, 128 bits, in the canonical (big-endian) order of the XXH3 specification.
std::array<std::uint8_t, 16> checksum128(std::span<const std::byte> bytes) noexcept;

// A checksum as messages print it: 16 hexadecimal digits.
std::string to_hex(std::uint64_t checksum);

}  // namespace cairn::base

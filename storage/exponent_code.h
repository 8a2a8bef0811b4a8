#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace cairn::storage {

// A static Huffman code of the exponents of float32 values, at most 11 bits long, so that one table
// look-up decodes several. Exponents too rare for a code of their own follow an escape code as
// eight bits. Bits fill bytes from the lowest up. Immutable; const calls may run concurrently.
class ExponentCode {
 public:
  static constexpr std::size_t kExponents = 256;
  static constexpr std::size_t kEscape = kExponents;
  static constexpr unsigned kMaxBits = 11;
  // Bits of each exponent's code, then the escape's; 0 for those that are escaped.
  using Lengths = std::array<std::uint8_t, kExponents + 1>;

  // The best code for exponents that are as frequent as `counts`.
  static ExponentCode for_counts(const std::array<std::uint64_t, kExponents>& counts);
  // The code whose lengths were stored; empty if they make no complete code.
  static std::optional<ExponentCode> from_lengths(const Lengths& lengths);

  const Lengths& lengths() const noexcept { return lengths_; }

  // Appends the codes of the exponents of `values` [n], filled up to whole bytes.
  void encode(const float* values, std::size_t n, std::vector<std::byte>& out) const;
  // Reads `n` exponents; `exponents` has room for n + 8. Reads up to 8 bytes past `bytes`, whatever
  // they hold. False if the codes run out of `bytes`.
  bool decode(std::span<const std::byte> bytes, std::size_t n,
              std::uint8_t* exponents) const noexcept;

 private:
  // What the next 11 bits hold: up to six exponents and how many bits they take. No exponent: the
  // escape code alone.
  struct Entry {
    std::array<std::uint8_t, 6> exponents;
    std::uint8_t count;
    std::uint8_t bits;
  };

  explicit ExponentCode(const Lengths& lengths);

  Lengths lengths_;
  std::array<std::uint16_t, kExponents + 1> codes_{};  // lowest bit first
  std::vector<Entry> table_;
};

}  // namespace cairn::storage

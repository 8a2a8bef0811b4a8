#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cairn/error.h"

namespace cairn::base {

// Appends little-endian values to a growing byte string, whatever the machine's own byte order.
class ByteWriter {
 public:
  void u8(std::uint8_t value) { put(value); }
  void u16(std::uint16_t value) { put(value); }
  void u32(std::uint32_t value) { put(value); }
  void u64(std::uint64_t value) { put(value); }
  void f32(float value) { put(std::bit_cast<std::uint32_t>(value)); }
  void f64(double value) { put(std::bit_cast<std::uint64_t>(value)); }
  void raw(std::span<const std::byte> values) {
    bytes_.insert(bytes_.end(), values.begin(), values.end());
  }
  // Zeros up to `size` bytes in all; nothing if there are as many already.
  void pad_to(std::size_t size) {
    while (bytes_.size() < size) bytes_.push_back(std::byte{0});
  }

  std::size_t size() const noexcept { return bytes_.size(); }
  std::span<const std::byte> bytes() const noexcept { return bytes_; }
  std::vector<std::byte> take() noexcept { return std::exchange(bytes_, {}); }

 private:
  template <std::unsigned_integral T>
  void put(T value) {
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      bytes_.push_back(static_cast<std::byte>(static_cast<std::uint64_t>(value) >> (8 * i)));
    }
  }

  std::vector<std::byte> bytes_;
};

// Takes little-endian values off the front of borrowed bytes. A read beyond the end throws
// Error(corrupt) that begins with `what`, which must outlive the reader, and consumes nothing.
class ByteReader {
 public:
  ByteReader(std::span<const std::byte> bytes, std::string_view what)
      : bytes_(bytes), what_(what) {}

  std::uint8_t u8() { return get<std::uint8_t>(); }
  std::uint16_t u16() { return get<std::uint16_t>(); }
  std::uint32_t u32() { return get<std::uint32_t>(); }
  std::uint64_t u64() { return get<std::uint64_t>(); }
  float f32() { return std::bit_cast<float>(get<std::uint32_t>()); }
  double f64() { return std::bit_cast<double>(get<std::uint64_t>()); }
  std::span<const std::byte> raw(std::size_t count) {
    if (count > remaining()) {
      throw Error(ErrorCode::corrupt, std::string(what_) + ": expected " + std::to_string(count) +
                                          " bytes at offset " + std::to_string(position_) +
                                          ", found " + std::to_string(remaining()));
    }
    const auto values = bytes_.subspan(position_, count);
    position_ += count;
    return values;
  }

  std::size_t position() const noexcept { return position_; }
  std::size_t remaining() const noexcept { return bytes_.size() - position_; }

 private:
  template <std::unsigned_integral T>
  T get() {
    std::uint64_t value = 0;
    const auto source = raw(sizeof(T));
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      value |= std::to_integer<std::uint64_t>(source[i]) << (8 * i);
    }
    return static_cast<T>(value);
  }

  std::span<const std::byte> bytes_;
  std::string_view what_;
  std::size_t position_ = 0;
};

}  // namespace cairn::base

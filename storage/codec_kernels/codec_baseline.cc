// The definition of the kernels, for any machine.

#include <cstring>

#include "storage/codec_kernels/codec_kernels.h"

namespace cairn::kernels {
namespace {

std::uint32_t load_u16(const std::uint8_t* bytes) noexcept {
  return std::uint32_t{bytes[0]} | std::uint32_t{bytes[1]} << 8;
}

void store_bits(std::uint32_t bits, float* out) noexcept { std::memcpy(out, &bits, sizeof bits); }

// Exact for every half: a float32 of the same bits, and subnormals by a product that is exact.
float half_value(std::uint32_t half) noexcept {
  std::uint32_t bits = (half & 0x7FFF) << 13;
  float value;
  if (bits >= 0x0F800000) {  // infinity or NaN
    bits |= 0x7F800000;
    std::memcpy(&value, &bits, sizeof value);
  } else {
    std::memcpy(&value, &bits, sizeof value);
    value *= 0x1p112f;
  }
  return (half & 0x8000) != 0 ? -value : value;
}

void decode_u8(const std::uint8_t* codes, std::size_t n, std::int32_t base, float* out) noexcept {
  for (std::size_t i = 0; i < n; ++i) {
    out[i] = static_cast<float>(base + std::int32_t{codes[i]});
  }
}

void decode_u16(const std::uint8_t* codes, std::size_t n, std::int32_t base, float* out) noexcept {
  for (std::size_t i = 0; i < n; ++i) {
    out[i] = static_cast<float>(base + static_cast<std::int32_t>(load_u16(codes + 2 * i)));
  }
}

void decode_half(const std::uint8_t* codes, std::size_t n, float* out) noexcept {
  for (std::size_t i = 0; i < n; ++i) out[i] = half_value(load_u16(codes + 2 * i));
}

void decode_bfloat16(const std::uint8_t* codes, std::size_t n, float* out) noexcept {
  for (std::size_t i = 0; i < n; ++i) store_bits(load_u16(codes + 2 * i) << 16, out + i);
}

void decode_scaled_half(const std::uint8_t* codes, std::size_t n, float divisor,
                        float* out) noexcept {
  for (std::size_t i = 0; i < n; ++i) out[i] = half_value(load_u16(codes + 2 * i)) / divisor;
}

bool decode_decimal(const std::uint8_t* codes, std::size_t n, const float* powers,
                    const std::uint32_t* exceptions, std::size_t num_exceptions,
                    float* out) noexcept {
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t bit = 20 * i;
    std::uint32_t code = load_u16(codes + bit / 8) | std::uint32_t{codes[bit / 8 + 2]} << 16;
    code = code >> bit % 8 & 0xFFFFF;
    if (code >= kFirstException) {
      if (code - kFirstException >= num_exceptions) return false;
      store_bits(exceptions[code - kFirstException], out + i);
      continue;
    }
    const std::uint32_t kind = code / kDecimalDigits;
    const float value = static_cast<float>(code % kDecimalDigits) / powers[kind / 2];
    out[i] = kind % 2 != 0 ? -value : value;
  }
  return true;
}

void decode_delta16(const std::uint8_t* codes, std::size_t n, const float* base, float scale,
                    float* out) noexcept {
  for (std::size_t i = 0; i < n; ++i) {
    const auto code = static_cast<std::int16_t>(load_u16(codes + 2 * i));
    out[i] = base[i] + scale * static_cast<float>(code);
  }
}

void merge_exponents(const std::uint8_t* codes, std::size_t n, const std::uint8_t* exponents,
                     float* out) noexcept {
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t low = load_u16(codes + 3 * i) | std::uint32_t{codes[3 * i + 2]} << 16;
    store_bits((low & 0x7FFFFF) | (low & 0x800000) << 8 | std::uint32_t{exponents[i]} << 23,
               out + i);
  }
}

}  // namespace

constinit const CodecKernels kCodecBaseline = {
    "baseline",          &decode_u8,      &decode_u16,     &decode_half,    &decode_bfloat16,
    &decode_scaled_half, &decode_decimal, &decode_delta16, &merge_exponents};

}  // namespace cairn::kernels

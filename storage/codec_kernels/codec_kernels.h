#pragma once

// Decoding of fixed-width rows at the speed of memory: one struct of function pointers, an instance
// per instruction set, by the rules of quantize/kernels/README.md. The instances agree bit for bit.
//
// Codes need no alignment and are little-endian; kCodeSlack bytes behind them must be readable.
// Outputs are bit patterns as much as numbers: exactly n of them are written. All are pure.

#include <cstddef>
#include <cstdint>
#include <span>

namespace cairn::kernels {

inline constexpr std::size_t kCodeSlack = 32;

// A decimal code is 20 bits: (2 * power + sign) * 100,000 + digits stands for
// +-digits / powers[power], five powers; the codes from kFirstException on name exceptions.
inline constexpr std::uint32_t kDecimalDigits = 100'000;
inline constexpr std::uint32_t kDecimalPowers = 5;
inline constexpr std::uint32_t kFirstException = 2 * kDecimalPowers * kDecimalDigits;
inline constexpr std::uint32_t kMaxExceptions = (1u << 20) - kFirstException;

struct CodecKernels {
  const char* isa;

  // base + code, which is exact in float32: |base| + code < 2^24.
  void (*decode_u8)(const std::uint8_t* codes, std::size_t n, std::int32_t base,
                    float* out) noexcept;
  void (*decode_u16)(const std::uint8_t* codes, std::size_t n, std::int32_t base,
                     float* out) noexcept;
  void (*decode_half)(const std::uint8_t* codes, std::size_t n, float* out) noexcept;
  void (*decode_bfloat16)(const std::uint8_t* codes, std::size_t n, float* out) noexcept;
  // half / divisor, rounded once.
  void (*decode_scaled_half)(const std::uint8_t* codes, std::size_t n, float divisor,
                             float* out) noexcept;
  // `powers` [8], the first kDecimalPowers of them used. Code kFirstException + i becomes the bit
  // pattern exceptions[i]. False if there is no such exception; `out` is then not all written.
  bool (*decode_decimal)(const std::uint8_t* codes, std::size_t n, const float* powers,
                         const std::uint32_t* exceptions, std::size_t num_exceptions,
                         float* out) noexcept;
  // base[i] + scale * code, a signed 16-bit one: two roundings.
  void (*decode_delta16)(const std::uint8_t* codes, std::size_t n, const float* base, float scale,
                         float* out) noexcept;
  // Codes of 24 bits: mantissa, then sign in the highest bit.
  void (*merge_exponents)(const std::uint8_t* codes, std::size_t n, const std::uint8_t* exponents,
                          float* out) noexcept;
};

extern const CodecKernels kCodecBaseline;
#if defined(__x86_64__)
extern const CodecKernels kCodecAvx2;
#endif

// The fastest one that this machine can run and CAIRN_FORCE_ISA allows, picked once. Throws
// Error(unsupported_cpu) like base::may_use_avx2().
const CodecKernels& active_codec();

// Every one that this machine can run and CAIRN_FORCE_ISA allows: for tests.
std::span<const CodecKernels* const> available_codecs();

}  // namespace cairn::kernels

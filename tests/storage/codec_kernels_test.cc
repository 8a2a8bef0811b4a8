#include "storage/codec_kernels/codec_kernels.h"

#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"
#include "storage/float_bits.h"
#include "storage/segment.h"
#include "tests/util/bit_patterns.h"

namespace cairn::kernels {
namespace {

using test::bits_of;

constexpr std::size_t kSizes[] = {0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 100, 128, 1001};

std::vector<std::uint8_t> random_codes(std::size_t n, std::uint64_t seed) {
  base::Random random(seed);
  std::vector<std::uint8_t> codes(n + kCodeSlack);
  for (std::uint8_t& code : codes) code = static_cast<std::uint8_t>(random.next());
  return codes;
}

// Calls decode(kernels, codes, n, out) for every table over unaligned codes and output, and expects
// the bits of the baseline and not a value more.
template <typename Decode>
void expect_same_bits(std::size_t bytes_per_value, Decode&& decode) {
  for (const CodecKernels* table : available_codecs()) {
    for (const std::size_t n : kSizes) {
      const std::vector<std::uint8_t> codes = random_codes(bytes_per_value * n + 1, n + 1);
      std::vector<float> expected(n + 2, 77.0f);
      std::vector<float> found(n + 2, 77.0f);
      decode(kCodecBaseline, codes.data() + 1, n, expected.data() + 1);
      decode(*table, codes.data() + 1, n, found.data() + 1);
      EXPECT_EQ(bits_of(found), bits_of(expected)) << table->isa << ", " << n;
      EXPECT_EQ(found[0], 77.0f);
      EXPECT_EQ(found[n + 1], 77.0f);
    }
  }
}

TEST(CodecKernels, AgreeOnIntegers) {
  for (const std::int32_t base : {0, -128, -32768, 1'000'000, -16'000'000}) {
    expect_same_bits(1, [&](const CodecKernels& kernels, const std::uint8_t* codes, std::size_t n,
                            float* out) { kernels.decode_u8(codes, n, base, out); });
    expect_same_bits(2, [&](const CodecKernels& kernels, const std::uint8_t* codes, std::size_t n,
                            float* out) { kernels.decode_u16(codes, n, base, out); });
  }
}

TEST(CodecKernels, AgreeOnSixteenBitFloats) {
  expect_same_bits(2, [](const CodecKernels& kernels, const std::uint8_t* codes, std::size_t n,
                         float* out) { kernels.decode_bfloat16(codes, n, out); });
  std::vector<float> base(2000);
  for (std::size_t i = 0; i < base.size(); ++i) base[i] = 1.0f / static_cast<float>(i + 1);
  expect_same_bits(
      2, [&](const CodecKernels& kernels, const std::uint8_t* codes, std::size_t n, float* out) {
        kernels.decode_delta16(codes, n, base.data() + 1, 1.234e-5f, out);
      });
}

TEST(CodecKernels, DecodeEveryHalf) {
  std::vector<std::uint8_t> codes(2 * 65536 + kCodeSlack);
  std::vector<std::uint16_t> halves;
  for (std::uint32_t half = 0; half < 65536; ++half) {
    // NaN is no half that an encoder writes.
    if ((half & 0x7C00) == 0x7C00 && (half & 0x3FF) != 0) continue;
    std::memcpy(codes.data() + 2 * halves.size(), &half, 2);
    halves.push_back(static_cast<std::uint16_t>(half));
  }
  for (const CodecKernels* table : available_codecs()) {
    std::vector<float> plain(halves.size());
    std::vector<float> scaled(halves.size());
    table->decode_half(codes.data(), halves.size(), plain.data());
    table->decode_scaled_half(codes.data(), halves.size(), 3.7f, scaled.data());
    for (std::size_t i = 0; i < halves.size(); ++i) {
      const float expected = storage::from_half(halves[i]);
      ASSERT_TRUE(storage::are_same(plain[i], expected)) << table->isa << ", " << halves[i];
      ASSERT_TRUE(storage::are_same(scaled[i], expected / 3.7f)) << table->isa << ", " << halves[i];
      ASSERT_EQ(storage::to_half(expected), halves[i]);
    }
  }
}

TEST(CodecKernels, RoundToTheNearestHalf) {
  EXPECT_EQ(storage::to_half(65519.0f), 0x7BFF);
  EXPECT_EQ(storage::to_half(65520.0f), 0x7C00);
  EXPECT_EQ(storage::to_half(1.0f + 0x1p-11f), 0x3C00);  // a tie, to even
  EXPECT_EQ(storage::to_half(1.0f + 3 * 0x1p-11f), 0x3C02);
  EXPECT_EQ(storage::to_half(0x1p-25f), 0x0000);
  EXPECT_EQ(storage::to_half(-0x1.8p-24f), 0x8002);
  EXPECT_EQ(storage::to_half(-0.0f), 0x8000);
}

// Every code, decimals and exceptions, at both places of a pair.
TEST(CodecKernels, DecodeEveryDecimal) {
  constexpr std::uint32_t kCodes = 1u << 20;
  std::vector<std::uint8_t> codes;
  for (std::uint32_t code = 0; code < kCodes; ++code) {
    const std::uint64_t pair = code | std::uint64_t{kCodes - 1 - code} << 20;
    for (unsigned shift = 0; shift < 40; shift += 8) {
      codes.push_back(static_cast<std::uint8_t>(pair >> shift));
    }
  }
  codes.resize(codes.size() + kCodeSlack);
  std::vector<std::uint32_t> exceptions(kMaxExceptions);
  for (std::uint32_t i = 0; i < kMaxExceptions; ++i) exceptions[i] = 0x7F800001 + 3 * i;
  const std::vector<float> powers = storage::decimal_powers(4);
  for (const CodecKernels* table : available_codecs()) {
    std::vector<float> found(2 * kCodes);
    ASSERT_TRUE(table->decode_decimal(codes.data(), found.size(), powers.data(), exceptions.data(),
                                      exceptions.size(), found.data()));
    for (std::uint32_t i = 0; i < found.size(); ++i) {
      const std::uint32_t code = i % 2 == 0 ? i / 2 : kCodes - 1 - i / 2;
      std::uint32_t expected;
      if (code >= kFirstException) {
        expected = exceptions[code - kFirstException];
      } else {
        const std::uint32_t kind = code / kDecimalDigits;
        const float value = static_cast<float>(code % kDecimalDigits) / powers[kind / 2];
        expected = storage::bits_of(value) | kind % 2 << 31;
      }
      ASSERT_EQ(storage::bits_of(found[i]), expected) << table->isa << ", code " << code;
    }
  }
}

TEST(CodecKernels, ReportUnknownExceptions) {
  std::vector<std::uint8_t> codes(100, 0xFF);
  const std::vector<float> powers = storage::decimal_powers(0);
  const std::vector<std::uint32_t> exceptions(5);
  std::vector<float> out(32);
  for (const CodecKernels* table : available_codecs()) {
    for (std::size_t n = 1; n < out.size(); ++n) {
      EXPECT_FALSE(table->decode_decimal(codes.data(), n, powers.data(), exceptions.data(),
                                         exceptions.size(), out.data()));
    }
    EXPECT_TRUE(table->decode_decimal(codes.data(), 0, powers.data(), nullptr, 0, out.data()));
  }
}

TEST(CodecKernels, MergeExponents) {
  std::vector<std::uint8_t> exponents(2000);
  for (std::size_t i = 0; i < exponents.size(); ++i)
    exponents[i] = static_cast<std::uint8_t>(i * 7);
  expect_same_bits(
      3, [&](const CodecKernels& kernels, const std::uint8_t* codes, std::size_t n, float* out) {
        kernels.merge_exponents(codes, n, exponents.data(), out);
      });
}

}  // namespace
}  // namespace cairn::kernels

#include "storage/segment_encoder.h"

#include <cmath>
#include <cstring>

#include <gtest/gtest.h>

#include "base/random.h"
#include "storage/coded_writer.h"
#include "storage/float_bits.h"
#include "storage/segment_decoder.h"
#include "tests/util/bit_patterns.h"
#include "tests/util/encodable_vectors.h"

namespace cairn::storage {
namespace {

using test::Vectors;

// The segment as `options` would have it; what it decodes to is compared with the rows.
Segment encode_checked(const Vectors& rows, const CompressionOptions& options = {}) {
  const ExponentCode code = exponent_code_for(rows.values);
  const BlockCodec codec(std::max(1, options.zstd_level), {});
  const BlockCodec* const used_codec = options.zstd_level > 0 ? &codec : nullptr;
  const SegmentEncoder encoder(rows.dim, options, &code, used_codec);
  EncodedSegment encoded = encoder.encode(rows.view());
  const Segment segment = encoded.segment;
  std::size_t parts = 0;
  for (const std::size_t bytes : encoded.part_bytes) parts += bytes;
  EXPECT_EQ(parts, encoded.bytes.size());
  EXPECT_EQ(encoded.part_bytes.size(), segment.num_checksums(rows.dim));
  EXPECT_LE(encoded.bytes.size(), rows.values.size() * sizeof(float));
  encoded.bytes.resize(encoded.bytes.size() + kBlockSlack);
  std::vector<float> decoded(rows.values.size());
  EXPECT_TRUE(decode_encoded(encoded, rows.dim, &code, used_codec, decoded.data()));
  if (segment.encoding != VectorEncoding::delta16) {
    EXPECT_EQ(test::bits_of(decoded), test::bits_of(rows.values));
  }
  return segment;
}

TEST(SegmentEncoder, FindsTheNarrowestEncoding) {
  for (const test::EncodableVectors& set : test::encodable_vectors(200)) {
    for (const std::size_t dim : {1, 2, 3, 7, 16, 17, 100, 129}) {
      // What belongs to a row costs short ones more than it saves.
      if (set.encoding == VectorEncoding::exponent && dim < 16) continue;
      if (set.encoding == VectorEncoding::scaled_half && dim < 3) continue;
      const Vectors rows = set.make(200, dim);
      EXPECT_STREQ(to_string(encode_checked(rows).encoding), to_string(set.encoding))
          << "dim " << dim;
    }
  }
}

TEST(SegmentEncoder, RoundTripsEachNamedEncodingWithAndWithoutZstd) {
  for (const test::EncodableVectors& set : test::encodable_vectors(200)) {
    for (int number = 1; number <= static_cast<int>(VectorEncoding::delta16); ++number) {
      for (const int level : {0, 1, 19}) {
        const auto encoding = static_cast<VectorEncoding>(number);
        encode_checked(set.make(150, 12), {.encoding = encoding, .zstd_level = level});
        encode_checked(set.make(150, 12),
                       {.encoding = encoding, .zstd_level = level, .block_rows = 7});
      }
    }
  }
}

TEST(SegmentEncoder, KeepsOddBitPatterns) {
  for (const int level : {0, 3}) {
    for (std::size_t dim : {1, 5, 64}) {
      encode_checked({test::odd_floats(300 * dim, dim), 300, dim}, {.zstd_level = level});
    }
  }
}

// One value that an encoding cannot hold, anywhere, sends the segment to the next one.
TEST(SegmentEncoder, ProvesEveryValue) {
  constexpr std::uint32_t kStrange[] = {0x80000000, 0x7FC12345, 0x7F800001, 0x00000001, 0x3F800001};
  base::Random random(9);
  for (const test::EncodableVectors& set : test::encodable_vectors(64)) {
    for (const std::uint32_t bits : kStrange) {
      Vectors rows = set.make(64, 9);
      std::memcpy(&rows.values[random.below(rows.values.size())], &bits, sizeof bits);
      encode_checked(rows);
      encode_checked(rows, {.zstd_level = 3});
    }
  }
}

TEST(SegmentEncoder, TellsTheErrorOfDelta16) {
  const Vectors rows = test::clustered_vectors(500, 24, 3, 1);
  const Segment segment = encode_checked(rows, {.encoding = VectorEncoding::delta16});
  EXPECT_EQ(segment.encoding, VectorEncoding::delta16);
  EXPECT_GT(segment.max_error, 0);
  EXPECT_GT(segment.mean_error, 0);
  EXPECT_LT(segment.mean_error, segment.max_error);
  EXPECT_LT(segment.max_error, 10.0 / 65536);
  Vectors infinite = rows;
  infinite.values[77] = INFINITY;
  EXPECT_NE(encode_checked(infinite, {.encoding = VectorEncoding::delta16}).encoding,
            VectorEncoding::delta16);
}

TEST(SegmentEncoder, TakesZstdOnlyWhereItSaves) {
  Vectors noise = test::clustered_vectors(300, 40, 300, 1);
  EXPECT_FALSE(encode_checked(noise, {.zstd_level = 3}).uses_zstd);
  for (std::size_t i = 100; i < 300; ++i) std::copy_n(noise.row(i % 10), 40, noise.row(i));
  EXPECT_TRUE(encode_checked(noise, {.zstd_level = 3}).uses_zstd);
}

// The divisors of halves may have any mantissa and sign of exponent.
TEST(ScaledHalf, IsFoundWhateverTheDivisor) {
  base::Random random(3);
  for (int round = 0; round < 300; ++round) {
    std::vector<float> row(3 + random.below(600));
    const float divisor = std::ldexp(1.0f + static_cast<float>(random.uniform()),
                                     static_cast<int>(random.below(40)) - 20);
    for (float& value : row) {
      value = from_half(to_half(test::gaussian(random) / 16.0f)) / divisor;
    }
    const Vectors rows{row, 1, row.size()};
    const SegmentEncoder encoder(row.size(), {}, nullptr, nullptr);
    EXPECT_TRUE(encoder.encode_as(VectorEncoding::scaled_half, rows.view()).has_value())
        << round << ": dim " << row.size() << ", divisor " << divisor;
  }
}

}  // namespace
}  // namespace cairn::storage

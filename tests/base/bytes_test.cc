#include "base/bytes.h"

#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/util/expect_error.h"

namespace cairn::base {
namespace {

using cairn::test::expect_error;

std::vector<int> as_ints(std::span<const std::byte> bytes) {
  std::vector<int> result;
  for (const std::byte b : bytes) result.push_back(std::to_integer<int>(b));
  return result;
}

TEST(ByteWriter, WritesLittleEndian) {
  ByteWriter writer;
  writer.u8(0x01);
  writer.u16(0x0203);
  writer.u32(0x04050607);
  writer.u64(0x08090A0B0C0D0E0F);
  EXPECT_THAT(as_ints(writer.bytes()),
              ::testing::ElementsAre(1, 3, 2, 7, 6, 5, 4, 15, 14, 13, 12, 11, 10, 9, 8));
}

TEST(ByteWriter, PadsWithZeros) {
  ByteWriter writer;
  writer.u8(9);
  writer.pad_to(3);
  writer.pad_to(2);
  EXPECT_THAT(as_ints(writer.bytes()), ::testing::ElementsAre(9, 0, 0));
}

TEST(ByteWriter, GivesItsBytesAway) {
  ByteWriter writer;
  writer.u16(7);
  EXPECT_EQ(writer.take().size(), 2u);
  EXPECT_EQ(writer.size(), 0u);
}

TEST(ByteReader, ReadsBackWhatWasWritten) {
  ByteWriter writer;
  writer.u8(250);
  writer.u16(65'000);
  writer.u32(4'000'000'000);
  writer.u64(~std::uint64_t{1});
  writer.f32(-0.0f);
  writer.f64(std::numeric_limits<double>::denorm_min());
  writer.raw(std::as_bytes(std::span("xyz", 3)));
  ByteReader reader(writer.bytes(), "test");
  EXPECT_EQ(reader.u8(), 250);
  EXPECT_EQ(reader.u16(), 65'000);
  EXPECT_EQ(reader.u32(), 4'000'000'000);
  EXPECT_EQ(reader.u64(), ~std::uint64_t{1});
  EXPECT_TRUE(std::signbit(reader.f32()));
  EXPECT_EQ(reader.f64(), std::numeric_limits<double>::denorm_min());
  EXPECT_EQ(reader.remaining(), 3u);
  EXPECT_THAT(as_ints(reader.raw(3)), ::testing::ElementsAre('x', 'y', 'z'));
  EXPECT_EQ(reader.remaining(), 0u);
}

TEST(ByteReader, RefusesToReadBeyondTheEnd) {
  const std::vector<std::byte> bytes(7);
  ByteReader reader(bytes, "parameters");
  reader.u32();
  expect_error(ErrorCode::corrupt, "parameters: expected 4 bytes at offset 4, found 3",
               [&] { reader.u32(); });
  expect_error(ErrorCode::corrupt, "found 3", [&] { reader.raw(~std::size_t{0}); });
  EXPECT_EQ(reader.position(), 4u);
  EXPECT_EQ(reader.raw(3).size(), 3u);
  expect_error(ErrorCode::corrupt, "found 0", [&] { reader.u8(); });
  EXPECT_TRUE(reader.raw(0).empty());
}

}  // namespace
}  // namespace cairn::base

#include "base/aligned_buffer.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include <gtest/gtest.h>

namespace cairn::base {
namespace {

std::uintptr_t address(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer); }

TEST(AlignedBuffer, IsAlignedAndZeroed) {
  for (const std::size_t bytes : {1, 63, 64, 65, 4096, 100'000}) {
    const AlignedBuffer buffer(bytes);
    EXPECT_EQ(buffer.size(), bytes);
    EXPECT_EQ(address(buffer.data()) % 64, 0u) << bytes;
    EXPECT_TRUE(std::all_of(buffer.data(), buffer.data() + bytes,
                            [](std::byte b) { return b == std::byte{0}; }));
  }
}

TEST(AlignedBuffer, AlignsLargeBlocksToHugePages) {
  constexpr std::size_t kHugePage = std::size_t{2} << 20;
  EXPECT_EQ(address(AlignedBuffer(std::size_t{1} << 20).data()) % kHugePage, 0u);
  EXPECT_EQ(address(AlignedBuffer(2 * kHugePage + 1).data()) % kHugePage, 0u);
}

TEST(AlignedBuffer, IsEmptyByDefaultAndForNoBytes) {
  EXPECT_EQ(AlignedBuffer().data(), nullptr);
  EXPECT_EQ(AlignedBuffer(0).data(), nullptr);
  EXPECT_TRUE(AlignedBuffer(0).bytes().empty());
}

TEST(AlignedBuffer, MovesWithoutCopying) {
  AlignedBuffer source(100);
  const std::byte* const data = source.data();
  AlignedBuffer target(std::move(source));
  EXPECT_EQ(target.data(), data);
  AlignedBuffer assigned(7);
  assigned = std::move(target);
  EXPECT_EQ(assigned.data(), data);
  EXPECT_EQ(assigned.size(), 100u);
}

TEST(AlignedArray, HoldsItsElements) {
  AlignedArray<std::uint32_t> array(1000);
  for (std::uint32_t i = 0; i < 1000; ++i) array[i] = i * i;
  EXPECT_EQ(array.span()[999], 999u * 999u);
  EXPECT_EQ(array.bytes().size(), 4000u);
}

TEST(AlignedArray, ReservesWithoutShrinking) {
  AlignedArray<float> array(10);
  array[3] = 1.5f;
  array.reserve_discarding(10);
  EXPECT_EQ(array[3], 1.5f);
  array.reserve_discarding(11);
  EXPECT_EQ(array.size(), 11u);
  array.reserve_discarding(5);
  EXPECT_EQ(array.size(), 11u);
}

}  // namespace
}  // namespace cairn::base

#include "cairn/typed_matrix.h"

#include <cmath>
#include <cstring>

#include <gtest/gtest.h>

#include "tests/util/bit_patterns.h"
#include "tests/util/expect_error.h"
#include "tests/util/scalar_kernels.h"

namespace cairn {
namespace {

using test::bits_of;
using test::expect_error;

std::vector<std::uint16_t> all_patterns() {
  std::vector<std::uint16_t> patterns(65536);
  for (std::size_t i = 0; i < patterns.size(); ++i) patterns[i] = static_cast<std::uint16_t>(i);
  return patterns;
}

TEST(TypedMatrix, ConvertsEveryHalfAsIeeeSays) {
  const std::vector<std::uint16_t> patterns = all_patterns();
  const Matrix<float> values = to_float({ValueType::f16, patterns.data(), 256, 256});
  ASSERT_EQ(values.rows, 256u);
  ASSERT_EQ(values.dim, 256u);
  for (std::size_t i = 0; i < patterns.size(); ++i) {
    const double expected = kernels::scalar::half_value(patterns[i]);
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(values.values[i])) << i;
    } else {
      EXPECT_EQ(double{values.values[i]}, expected) << i;
      EXPECT_EQ(std::signbit(values.values[i]), std::signbit(expected)) << i;
    }
  }
}

TEST(TypedMatrix, ConvertsEveryBfloat16ToItsUpperBits) {
  const std::vector<std::uint16_t> patterns = all_patterns();
  const Matrix<float> values = to_float({ValueType::bf16, patterns.data(), 1024, 64});
  const std::vector<std::uint32_t> bits = bits_of(values.values);
  for (std::size_t i = 0; i < patterns.size(); ++i) EXPECT_EQ(bits[i], i << 16);
}

TEST(TypedMatrix, ConvertsEveryByte) {
  std::vector<std::uint8_t> bytes(256);
  for (std::size_t i = 0; i < 256; ++i) bytes[i] = static_cast<std::uint8_t>(i);
  const Matrix<float> positive = to_float({ValueType::u8, bytes.data(), 16, 16});
  const Matrix<float> both = to_float({ValueType::i8, bytes.data(), 16, 16});
  for (int i = 0; i < 256; ++i) {
    EXPECT_EQ(positive.values[static_cast<std::size_t>(i)], static_cast<float>(i));
    EXPECT_EQ(both.values[static_cast<std::size_t>(i)], static_cast<float>(i < 128 ? i : i - 256));
  }
}

TEST(TypedMatrix, KeepsTheBitsOfFloats) {
  const std::vector<float> values = test::odd_floats(1000, 1);
  EXPECT_EQ(bits_of(to_float({ValueType::f32, values.data(), 10, 100}).values), bits_of(values));
}

// Rows 7 values apart that begin at an odd address.
TEST(TypedMatrix, FollowsStridesFromAnyAddress) {
  for (const ValueType type :
       {ValueType::f32, ValueType::f16, ValueType::bf16, ValueType::u8, ValueType::i8}) {
    const std::size_t bytes = value_bytes(type);
    std::vector<std::byte> data(1 + 9 * 7 * bytes + 1);
    for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i % 120);
    std::vector<std::byte> dense;
    for (std::size_t row = 0; row < 9; ++row) {
      const std::byte* const begin = data.data() + 1 + row * 7 * bytes;
      dense.insert(dense.end(), begin, begin + 5 * bytes);
    }
    const TypedMatrixView strided{type, data.data() + 1, 9, 5, 7 * bytes};
    const Matrix<float> expected = to_float({type, dense.data(), 9, 5});
    EXPECT_EQ(bits_of(to_float(strided).values), bits_of(expected.values)) << to_string(type);

    TypedVectorSource source(strided);
    EXPECT_EQ(source.rows(), 9u);
    EXPECT_EQ(source.dim(), 5u);
    EXPECT_EQ(source.contiguous(), nullptr);
    std::vector<float> part(3 * 5);
    source.read(4, 3, part.data());
    EXPECT_EQ(bits_of(part), bits_of(std::span(expected.values).subspan(20, 15)));
  }
}

TEST(TypedVectorSource, HandsOutDenseFloatsAsTheyLie) {
  const std::vector<float> values(13);
  const auto contiguous = [&](const float* data, std::size_t stride) {
    return TypedVectorSource({ValueType::f32, data, 3, 4, stride}).contiguous();
  };
  EXPECT_EQ(contiguous(values.data(), 0), values.data());
  EXPECT_EQ(contiguous(values.data(), 16), values.data());
  EXPECT_EQ(contiguous(values.data(), 20), nullptr);
  const void* const odd = reinterpret_cast<const char*>(values.data()) + 1;
  EXPECT_EQ(TypedVectorSource({ValueType::f32, odd, 3, 4}).contiguous(), nullptr);
}

TEST(TypedMatrix, RefusesWhatIsNone) {
  const std::uint8_t data[4] = {};
  const auto refuse = [](const TypedMatrixView& matrix, const char* message) {
    expect_error(ErrorCode::invalid_argument, message, [&] { to_float(matrix); });
    expect_error(ErrorCode::invalid_argument, message, [&] { TypedVectorSource{matrix}; });
  };
  refuse({static_cast<ValueType>(9), data, 1, 4}, "unknown type 9");
  refuse({ValueType::u8, nullptr, 1, 4}, "1 rows, but no data");
  refuse({ValueType::u8, data, 1, 0}, "dim is 0");
  refuse({ValueType::u8, data, 1, 65537}, "dim is 65537");
  refuse({ValueType::f16, data, 2, 4, 7},
         "stride_bytes: expected at least 8, the 4 values of a row of f16, found 7");
  EXPECT_TRUE(to_float({ValueType::u8, nullptr, 0, 4}).values.empty());
}

}  // namespace
}  // namespace cairn

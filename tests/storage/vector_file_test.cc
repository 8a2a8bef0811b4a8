#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cairn/clustered_index.h"
#include "cairn/error.h"
#include "cairn/io.h"
#include "cairn/vector_source.h"

#include "tests/util/file_size_limit.h"
#include "tests/util/temp_dir.h"

namespace cairn {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// Bytes of a value, as the file has them.
template <typename T>
std::string bytes_of(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

template <typename T>
std::string bytes_of_all(const std::vector<T>& values) {
  std::string bytes;
  for (const T value : values) bytes += bytes_of(value);
  return bytes;
}

std::string npy(const std::string& header, const std::string& values) {
  return std::string("\x93NUMPY\x01\x00", 8) + bytes_of(static_cast<std::uint16_t>(header.size())) +
         header + values;
}

std::string npy_of(const std::string& type, const std::string& shape, const std::string& values) {
  return npy("{'descr': '" + type + "', 'fortran_order': False, 'shape': " + shape + ", }\n",
             values);
}

class VectorFile : public testing::Test {
 protected:
  fs::path path(const std::string& name) const { return directory_ / name; }

  fs::path put(const std::string& name, const std::string& bytes) const {
    std::ofstream(path(name), std::ios::binary) << bytes;
    return path(name);
  }

  std::string get(const std::string& name) const {
    std::ifstream in(path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  std::size_t files() const { return directory_.names().size(); }

  template <typename Call>
  std::string refusal(Call&& call, ErrorCode expected) const {
    try {
      call();
    } catch (const Error& error) {
      EXPECT_EQ(std::string(to_string(error.code())), to_string(expected)) << error.what();
      EXPECT_THAT(error.what(), HasSubstr(directory_.path().string()));
      return error.what();
    }
    ADD_FAILURE() << "nothing was thrown";
    return {};
  }

  std::string refusal_of(const std::string& name, const std::string& bytes,
                         ErrorCode expected) const {
    put(name, bytes);
    return refusal([&] { read_vectors(path(name)); }, expected);
  }

 private:
  test::TempDir directory_;
};

std::vector<float> awkward_floats(std::size_t count) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i)
    values[i] = std::ldexp(1.1f, static_cast<int>(i % 200) - 140);
  values[0] = -0.0f;
  values[1] = std::numeric_limits<float>::quiet_NaN();
  values[2] = -std::numeric_limits<float>::infinity();
  return values;
}

std::vector<float> small_integers(std::size_t count) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i % 256);
  return values;
}

TEST_F(VectorFile, FloatsRoundTripBitForBit) {
  const std::vector<float> values = awkward_floats(7 * 5);
  for (const char* name : {"a.fbin", "a.fvecs", "a.npy", "B.FBIN"}) {
    write_vectors(path(name), {values.data(), 7, 5});
    const Matrix<float> read = read_vectors(path(name));
    ASSERT_EQ(read.rows, 7u) << name;
    ASSERT_EQ(read.dim, 5u) << name;
    EXPECT_EQ(bytes_of_all(read.values), bytes_of_all(values)) << name;
    const VectorFileInfo info = read_vector_file_info(path(name));
    EXPECT_EQ(info.rows, 7u);
    EXPECT_EQ(info.dim, 5u);
    EXPECT_EQ(info.type, ElementType::f32);
    EXPECT_EQ(info.file_bytes, fs::file_size(path(name)));
  }
}

TEST_F(VectorFile, BytesRoundTrip) {
  const std::vector<float> values = small_integers(300 * 3);
  for (const char* name : {"a.u8bin", "a.bvecs"}) {
    write_vectors(path(name), {values.data(), 300, 3});
    EXPECT_EQ(read_vectors(path(name)).values, values) << name;
    EXPECT_EQ(read_vector_file_info(path(name)).type, ElementType::u8);
    EXPECT_EQ(read_int_matrix(path(name)).values,
              std::vector<std::int32_t>(values.begin(), values.end()));
  }
}

TEST_F(VectorFile, IntegersRoundTrip) {
  const std::vector<std::int32_t> values{0, -1, 2147483647, -2147483647 - 1, 5, 6};
  for (const char* name : {"a.ibin", "a.ivecs", "a.npy"}) {
    write_int_matrix(path(name), values.data(), 2, 3);
    const Matrix<std::int32_t> read = read_int_matrix(path(name));
    EXPECT_EQ(read.rows, 2u);
    EXPECT_EQ(read.dim, 3u);
    EXPECT_EQ(read.values, values) << name;
  }
}

TEST_F(VectorFile, IdsRoundTrip) {
  const std::vector<VectorId> ids{0, 18446744073709551615ull, 1ull << 40};
  for (const char* name : {"a.u64bin", "a.npy"}) {
    write_ids(path(name), ids);
    EXPECT_EQ(read_ids(path(name)), ids) << name;
  }
  const std::vector<std::int32_t> small{7, 8};
  for (const char* name : {"a.ibin", "a.ivecs", "column.npy"}) {
    write_int_matrix(path(name), small.data(), 2, 1);
    EXPECT_EQ(read_ids(path(name)), (std::vector<VectorId>{7, 8})) << name;
  }
}

TEST_F(VectorFile, RowsOfIdsRoundTrip) {
  BatchResult result{2, 3, {1, 1ull << 40, kNoId, 2, kNoId - 1, 0}, {0, 1, 2, 3, 4, 5}};
  for (const char* name : {"a.u64bin", "a.npy"}) {
    write_result(path(name), {}, result);
    const Matrix<VectorId> ids = read_id_matrix(path(name));
    EXPECT_EQ(ids.values, result.ids) << name;
    EXPECT_EQ(ids.dim, 3u);
  }
  EXPECT_EQ(get("a.u64bin").substr(0, 16),
            bytes_of(2u) + bytes_of(3u) + bytes_of(std::uint64_t{1}));
  for (const char* name : {"b.ibin", "b.ivecs"}) {
    EXPECT_THAT(refusal([&] { write_result(path(name), {}, result); }, ErrorCode::invalid_argument),
                HasSubstr("id 1099511627776 in row 0, column 1 does not fit int32"));
  }
  result.ids = {1, 2, kNoId, 3, 2147483647, kNoId};
  for (const char* name : {"b.ibin", "b.ivecs"}) {
    write_result(path(name), {}, result);
    EXPECT_EQ(read_int_matrix(path(name)).values,
              (std::vector<std::int32_t>{1, 2, -1, 3, 2147483647, -1}));
    EXPECT_EQ(read_id_matrix(path(name)).values, result.ids);
  }
  refusal([&] { write_result(path("a.fbin"), {}, result); }, ErrorCode::invalid_argument);
}

TEST_F(VectorFile, IdsAndDistancesAreWrittenBothOrNot) {
  const BatchResult result{1, 2, {1, 1ull << 40}, {0.5f, 1}};
  write_result(path("a.npy"), path("a.fbin"), result);
  EXPECT_EQ(read_id_matrix(path("a.npy")).values, result.ids);
  EXPECT_EQ(read_vectors(path("a.fbin")).values, result.distances);
  const std::size_t before = files();
  refusal([&] { write_result(path("b.npy"), path("none/b.fbin"), result); }, ErrorCode::io);
  refusal([&] { write_result(path("b.ibin"), path("b.fbin"), result); },
          ErrorCode::invalid_argument);
  refusal([&] { write_result(path("b.npy"), path("b.npy"), result); }, ErrorCode::invalid_argument);
  refusal([&] { write_result(path("b.npy"), path("b.u64bin"), result); },
          ErrorCode::invalid_argument);
  EXPECT_EQ(files(), before);
}

TEST_F(VectorFile, WritesTextAsItIs) {
  write_text(path("a.json"), "{}\n");
  EXPECT_EQ(get("a.json"), "{}\n");
  write_text(path("a.json"), "");
  EXPECT_EQ(get("a.json"), "");
}

TEST_F(VectorFile, NamesWhatToDoAboutOtherFormats) {
  const auto advice = [&](const char* name) {
    return refusal([&] { read_vectors(path(name)); }, ErrorCode::invalid_argument);
  };
  EXPECT_THAT(advice("a.bin"), HasSubstr("rename it to .fbin (float32)"));
  EXPECT_THAT(advice("a.npz"), HasSubstr("archive"));
  EXPECT_THAT(advice("a.hdf5"), HasSubstr("h5py"));
  EXPECT_THAT(advice("a.h5"), HasSubstr("h5py"));
  EXPECT_THAT(advice("a.PARQUET"), HasSubstr("Parquet"));
  EXPECT_THAT(advice("a.csv"), HasSubstr("loadtxt"));
}

TEST_F(VectorFile, FilesLargerThanTheBuffersRoundTrip) {
  const std::vector<float> values = small_integers(3000 * 517);
  for (const char* name : {"a.fbin", "a.fvecs", "a.npy", "a.u8bin", "a.bvecs"}) {
    write_vectors(path(name), {values.data(), 3000, 517});
    ASSERT_TRUE(read_vectors(path(name)).values == values) << name;
  }
  const std::vector<float> wide = small_integers(2 * 400000);
  for (const char* name : {"wide.fvecs", "wide.bvecs"}) {
    write_vectors(path(name), {wide.data(), 2, 400000});
    ASSERT_TRUE(read_vectors(path(name)).values == wide) << name;
  }
}

TEST_F(VectorFile, LayoutsAreThoseOfTheField) {
  const float values[] = {1, 2, 3, 4};
  write_vectors(path("a.fbin"), {values, 2, 2});
  EXPECT_EQ(get("a.fbin"), bytes_of(2u) + bytes_of(2u) + bytes_of_all<float>({1, 2, 3, 4}));
  write_vectors(path("a.fvecs"), {values, 2, 2});
  EXPECT_EQ(get("a.fvecs"),
            bytes_of(2) + bytes_of_all<float>({1, 2}) + bytes_of(2) + bytes_of_all<float>({3, 4}));
  write_ids(path("a.u64bin"), {9});
  EXPECT_EQ(get("a.u64bin"), bytes_of(1u) + bytes_of(1u) + bytes_of(VectorId{9}));
  write_vectors(path("a.npy"), {values, 2, 2});
  const std::string file = get("a.npy");
  ASSERT_EQ(file.size(), 128u + 16u);
  EXPECT_EQ(file.substr(0, 10), std::string("\x93NUMPY\x01\x00\x76\x00", 10));
  EXPECT_EQ(file.substr(10, 59), "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }");
  EXPECT_EQ(file[127], '\n');
}

TEST_F(VectorFile, ReadsAtMostTheRowsAskedFor) {
  const std::vector<float> values = small_integers(10 * 4);
  for (const char* name : {"a.fbin", "a.fvecs", "a.npy", "a.u8bin", "a.bvecs"}) {
    write_vectors(path(name), {values.data(), 10, 4});
    const Matrix<float> read = read_vectors(path(name), 3);
    EXPECT_EQ(read.rows, 3u);
    EXPECT_EQ(read.values, std::vector<float>(values.begin(), values.begin() + 12)) << name;
  }
}

TEST_F(VectorFile, ReadsEveryNumpyType) {
  const auto check = [&](const std::string& type, const std::string& bytes, ElementType element) {
    put("a.npy", npy_of(type, "(1, 2)", bytes));
    EXPECT_EQ(read_vectors(path("a.npy")).values, (std::vector<float>{3, 100})) << type;
    EXPECT_EQ(read_vector_file_info(path("a.npy")).type, element) << type;
  };
  check("<f4", bytes_of_all<float>({3, 100}), ElementType::f32);
  check("<f8", bytes_of_all<double>({3, 100}), ElementType::f64);
  check("|u1", bytes_of_all<std::uint8_t>({3, 100}), ElementType::u8);
  check("|i1", bytes_of_all<std::int8_t>({3, 100}), ElementType::i8);
  check("<i4", bytes_of_all<std::int32_t>({3, 100}), ElementType::i32);
  check("<u4", bytes_of_all<std::uint32_t>({3, 100}), ElementType::u32);
  check("<i8", bytes_of_all<std::int64_t>({3, 100}), ElementType::i64);
  check("<u8", bytes_of_all<std::uint64_t>({3, 100}), ElementType::u64);
  check("<f2", bytes_of_all<std::uint16_t>({0x4200, 0x5640}), ElementType::f16);
  put("a.npy", npy_of("|b1", "(3, 1)", {'\0', '\1', '\1'}));
  EXPECT_EQ(read_vectors(path("a.npy")).values, (std::vector<float>{0, 1, 1}));
}

TEST_F(VectorFile, ReadsEveryHalfAsItIs) {
  put("a.npy",
      npy_of("<f2", "(2, 3)",
             bytes_of_all<std::uint16_t>({0x0001, 0x7BFF, 0xC000, 0x3555, 0x8000, 0x7C00})));
  EXPECT_EQ(read_vectors(path("a.npy")).values,
            (std::vector<float>{0x1p-24f, 65504, -2, 0x1.554p-2f, -0.0f,
                                std::numeric_limits<float>::infinity()}));
  put("a.f16bin", bytes_of(1u) + bytes_of(2u) + bytes_of_all<std::uint16_t>({0x3C00, 0xBC00}));
  EXPECT_EQ(read_vectors(path("a.f16bin")).values, (std::vector<float>{1, -1}));
  EXPECT_THAT(refusal([&] { read_ids(path("a.npy")); }, ErrorCode::invalid_argument),
              HasSubstr("3 columns"));
  EXPECT_THAT(refusal([&] { read_int_matrix(path("a.npy")); }, ErrorCode::invalid_argument),
              HasSubstr("holds float16 values; expected integers"));
}

TEST_F(VectorFile, ReadsSignedBytes) {
  put("a.i8bin", bytes_of(2u) + bytes_of(2u) + "\x80\xff\x01\x7f");
  EXPECT_EQ(read_vectors(path("a.i8bin")).values, (std::vector<float>{-128, -1, 1, 127}));
  EXPECT_EQ(read_vector_file_info(path("a.i8bin")).type, ElementType::i8);
}

// Column by column, in any type, by any ranges of rows, and more than a block of them.
TEST_F(VectorFile, ReadsFortranOrder) {
  const auto fortran = [](const std::string& type, const std::string& shape,
                          const std::string& values) {
    return npy("{'descr': '" + type + "', 'fortran_order': True, 'shape': " + shape + ", }\n",
               values);
  };
  put("a.npy", fortran("<f4", "(2, 3)", bytes_of_all<float>({1, 4, 2, 5, 3, 6})));
  EXPECT_EQ(read_vectors(path("a.npy")).values, (std::vector<float>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(read_vectors(path("a.npy"), 1).values, (std::vector<float>{1, 2, 3}));
  put("a.npy", fortran("<i8", "(2, 2)", bytes_of_all<std::int64_t>({1, 3, 2, 1ll << 40})));
  EXPECT_EQ(read_id_matrix(path("a.npy")).values, (std::vector<VectorId>{1, 2, 3, 1ull << 40}));
  EXPECT_THAT(refusal([&] { read_int_matrix(path("a.npy")); }, ErrorCode::invalid_argument),
              HasSubstr("row 1, column 1 is 1099511627776"));
  put("a.npy", fortran("<f4", "(3,)", bytes_of_all<float>({1, 2, 3})));
  EXPECT_EQ(read_vectors(path("a.npy")).values, (std::vector<float>{1, 2, 3}));

  constexpr std::size_t kRows = 5000, kDim = 600;  // some 12 MB
  std::string values(kRows * kDim, '\0');
  for (std::size_t row = 0; row < kRows; ++row) {
    for (std::size_t column = 0; column < kDim; ++column) {
      values[column * kRows + row] = static_cast<char>((row * 7 + column * 3) % 128);
    }
  }
  put("a.npy", fortran("|u1", "(5000, 600)", values));
  const Matrix<float> matrix = read_vectors(path("a.npy"));
  FileVectorSource source(path("a.npy"));
  std::vector<float> rows(3000 * kDim);
  for (const std::size_t first : {0u, 1999u, 17u}) {
    source.read(first, 3000, rows.data());
    EXPECT_TRUE(std::equal(rows.begin(), rows.end(), matrix.row(first)));
  }
  for (std::size_t row = 0; row < kRows; row += 97) {
    for (std::size_t column = 0; column < kDim; ++column) {
      ASSERT_EQ(matrix.row(row)[column], static_cast<float>((row * 7 + column * 3) % 128));
    }
  }
  put("a.npy", fortran("<f4", "(2, 3)", bytes_of_all<float>({1, 4, 2, 5, 3})));
  refusal([&] { read_vectors(path("a.npy")); }, ErrorCode::corrupt);
}

TEST_F(VectorFile, TellsAListFromAColumn) {
  put("a.npy", npy_of("<f4", "(2,)", bytes_of_all<float>({1, 2})));
  EXPECT_TRUE(read_vector_file_info(path("a.npy")).is_list);
  put("a.npy", npy_of("<f4", "(2, 1)", bytes_of_all<float>({1, 2})));
  EXPECT_FALSE(read_vector_file_info(path("a.npy")).is_list);
}

TEST_F(VectorFile, ReadsNumpyHeadersOfAllVersionsAndSpellings) {
  const std::string values = bytes_of_all<float>({1, 2});
  put("a.npy", npy("{\"shape\":(2,),\"descr\":\"<f4\",\"fortran_order\":False}", values));
  EXPECT_EQ(read_vectors(path("a.npy")).rows, 2u);
  EXPECT_EQ(read_vectors(path("a.npy")).dim, 1u);
  const std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1L, 2L)}   \n";
  for (const char version : {'\x02', '\x03'}) {
    put("a.npy", std::string("\x93NUMPY") + version + '\0' +
                     bytes_of(static_cast<std::uint32_t>(header.size())) + header + values);
    EXPECT_EQ(read_vectors(path("a.npy")).values, (std::vector<float>{1, 2}));
  }
}

TEST_F(VectorFile, ConvertsExactlyOrRefuses) {
  put("a.npy", npy_of("<i8", "(2, 2)",
                      bytes_of_all<std::int64_t>({16777216, -16777216, 1ll << 62, 16777218})));
  EXPECT_EQ(read_vectors(path("a.npy")).values,
            (std::vector<float>{16777216.0f, -16777216.0f, 0x1p62f, 16777218.0f}));
  EXPECT_THAT(
      refusal_of("b.npy", npy_of("<i8", "(2, 2)", bytes_of_all<std::int64_t>({0, 0, 0, 16777217})),
                 ErrorCode::invalid_argument),
      HasSubstr("row 1, column 1 is 16777217, which float32 cannot hold"));
  refusal_of("b.npy", npy_of("<u8", "(1,)", bytes_of(~std::uint64_t{0})),
             ErrorCode::invalid_argument);
  refusal_of("b.npy", npy_of("<i4", "(1,)", bytes_of(-2147483647)), ErrorCode::invalid_argument);
  refusal_of("b.ibin", bytes_of(1u) + bytes_of(1u) + bytes_of(33554433),
             ErrorCode::invalid_argument);
  put("a.npy", npy_of("<i8", "(1,)", bytes_of(std::numeric_limits<std::int64_t>::min())));
  EXPECT_EQ(read_vectors(path("a.npy")).values, (std::vector<float>{-0x1p63f}));
  put("a.npy",
      npy_of("<f8", "(2,)", bytes_of_all<double>({0.1, std::numeric_limits<double>::infinity()})));
  EXPECT_EQ(read_vectors(path("a.npy")).values,
            (std::vector<float>{0.1f, std::numeric_limits<float>::infinity()}));
  EXPECT_THAT(
      refusal_of("b.npy", npy_of("<f8", "(1,)", bytes_of(1e39)), ErrorCode::invalid_argument),
      HasSubstr("row 0, column 0 is 1e+39"));
}

TEST_F(VectorFile, IntegersAreConvertedExactlyOrRefused) {
  const auto read = [&] { read_int_matrix(path("a.npy")); };
  put("a.npy", npy_of("<u4", "(1, 1)", bytes_of(2147483648u)));
  EXPECT_THAT(refusal(read, ErrorCode::invalid_argument), HasSubstr("which int32 cannot hold"));
  put("a.npy", npy_of("<f4", "(1, 1)", bytes_of(1.0f)));
  EXPECT_THAT(refusal(read, ErrorCode::invalid_argument), HasSubstr("expected integers"));
  put("a.npy", npy_of("<i8", "(1, 1)", bytes_of(std::int64_t{-1})));
  EXPECT_EQ(read_int_matrix(path("a.npy")).values, (std::vector<std::int32_t>{-1}));
  EXPECT_THAT(refusal([&] { read_ids(path("a.npy")); }, ErrorCode::invalid_argument),
              HasSubstr("is -1, which an id cannot hold"));
  put("a.npy", npy_of("<i8", "(1, 2)", bytes_of_all<std::int64_t>({1, 2})));
  EXPECT_THAT(refusal([&] { read_ids(path("a.npy")); }, ErrorCode::invalid_argument),
              HasSubstr("2 columns"));
}

TEST_F(VectorFile, RefusesNarrowingToBytes) {
  const float values[] = {1, 2, 3, 2.5f};
  for (const char* name : {"a.u8bin", "a.bvecs"}) {
    EXPECT_THAT(refusal(
                    [&] {
                      write_vectors(path(name), {values, 2, 2});
                    },
                    ErrorCode::invalid_argument),
                HasSubstr("row 1, column 1 is 2.5"));
  }
  for (const float bad : {-1.0f, 256.0f, 1e30f, std::numeric_limits<float>::quiet_NaN()}) {
    refusal([&] { write_vectors(path("a.u8bin"), {&bad, 1, 1}); }, ErrorCode::invalid_argument);
  }
  EXPECT_EQ(files(), 0u);
}

TEST_F(VectorFile, FailedWritesLeaveTheOldFile) {
  put("a.u8bin", "old");
  const float bad = 0.5f;
  refusal([&] { write_vectors(path("a.u8bin"), {&bad, 1, 1}); }, ErrorCode::invalid_argument);
  EXPECT_EQ(get("a.u8bin"), "old");
  EXPECT_EQ(files(), 1u);
  refusal([&] { write_vectors(path("missing/a.fbin"), {&bad, 1, 1}); }, ErrorCode::io);
}

TEST_F(VectorFile, RefusesToWriteNothingOrTheWrongKind) {
  const float value = 1;
  const std::int32_t integer = 1;
  refusal([&] { write_vectors(path("a.fbin"), {&value, 0, 4}); }, ErrorCode::invalid_argument);
  refusal([&] { write_vectors(path("a.fbin"), {&value, 4, 0}); }, ErrorCode::invalid_argument);
  refusal([&] { write_vectors(path("a.ibin"), {&value, 1, 1}); }, ErrorCode::invalid_argument);
  refusal([&] { write_vectors(path("a.u64bin"), {&value, 1, 1}); }, ErrorCode::invalid_argument);
  refusal([&] { write_int_matrix(path("a.fbin"), &integer, 1, 1); }, ErrorCode::invalid_argument);
  refusal([&] { write_ids(path("a.ibin"), {1}); }, ErrorCode::invalid_argument);
  refusal([&] { write_ids(path("a.u64bin"), {}); }, ErrorCode::invalid_argument);
  EXPECT_THAT(refusal(
                  [&] {
                    write_vectors(path("a.txt"), {&value, 1, 1});
                  },
                  ErrorCode::invalid_argument),
              HasSubstr("unknown extension '.txt'"));
  EXPECT_EQ(files(), 0u);
}

TEST_F(VectorFile, RefusesEveryTruncation) {
  const std::vector<float> values = small_integers(3 * 2);
  const std::vector<std::int32_t> integers{1, 2, 3, 4, 5, 6};
  for (const char* name : {"a.fbin", "a.u8bin", "a.npy"}) {
    write_vectors(path(name), {values.data(), 3, 2});
    const std::string whole = get(name);
    for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
      refusal_of(name, whole.substr(0, bytes), ErrorCode::corrupt);
      refusal([&] { read_vector_file_info(path(name)); }, ErrorCode::corrupt);
      refusal([&] { read_int_matrix(path(name)); }, ErrorCode::corrupt);
    }
  }
  write_int_matrix(path("a.ibin"), integers.data(), 3, 2);
  const std::string whole = get("a.ibin");
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    refusal_of("a.ibin", whole.substr(0, bytes), ErrorCode::corrupt);
  }
  write_ids(path("a.u64bin"), {1, 2, 3});
  const std::string ids = get("a.u64bin");
  for (std::size_t bytes = 0; bytes < ids.size(); ++bytes) {
    put("a.u64bin", ids.substr(0, bytes));
    refusal([&] { read_ids(path("a.u64bin")); }, ErrorCode::corrupt);
  }
}

// Rows carry no count, so a file cut at a row's border is a shorter file.
TEST_F(VectorFile, RefusesTruncationInsideRows) {
  const std::vector<float> values = small_integers(3 * 5);
  for (const char* name : {"a.fvecs", "a.bvecs"}) {
    write_vectors(path(name), {values.data(), 3, 5});
    const std::string whole = get(name);
    for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
      if (bytes > 0 && bytes % (whole.size() / 3) == 0) {
        put(name, whole.substr(0, bytes));
        EXPECT_EQ(read_vectors(path(name)).rows, bytes / (whole.size() / 3));
      } else {
        refusal_of(name, whole.substr(0, bytes), ErrorCode::corrupt);
      }
    }
  }
}

TEST_F(VectorFile, RefusesTrailingBytes) {
  const std::vector<float> values = small_integers(3 * 2);
  for (const char* name : {"a.fbin", "a.u8bin", "a.npy", "a.fvecs", "a.bvecs"}) {
    write_vectors(path(name), {values.data(), 3, 2});
    const std::string message = refusal_of(name, get(name) + "x", ErrorCode::corrupt);
    EXPECT_THAT(message, HasSubstr("expected"));
    EXPECT_THAT(message, HasSubstr("the file has " + std::to_string(fs::file_size(path(name)))));
  }
}

TEST_F(VectorFile, RefusesEmptyAndAbsurdCounts) {
  for (const char* name : {"a.fbin", "a.u8bin", "a.ibin", "a.u64bin"}) {
    refusal_of(name, bytes_of(0u) + bytes_of(4u), ErrorCode::corrupt);
    refusal_of(name, bytes_of(4u) + bytes_of(0u), ErrorCode::corrupt);
    refusal_of(name, bytes_of(-1) + bytes_of(1) + "12345678", ErrorCode::corrupt);
    refusal_of(name, bytes_of(-1) + bytes_of(-1) + "12345678", ErrorCode::corrupt);
    refusal_of(name, bytes_of(1) + bytes_of(-1) + "12345678", ErrorCode::corrupt);
  }
  for (const char* name : {"a.fvecs", "a.bvecs", "a.ivecs"}) {
    refusal_of(name, bytes_of(0) + "1234", ErrorCode::corrupt);
    refusal_of(name, bytes_of(-1) + "1234", ErrorCode::corrupt);
    refusal_of(name, bytes_of(2147483647) + "1234", ErrorCode::corrupt);
  }
  refusal_of("a.u64bin", bytes_of(1u) + bytes_of(2u) + std::string(15, 'x'), ErrorCode::corrupt);
  refusal_of("a.npy", npy_of("<f4", "(0, 4)", ""), ErrorCode::corrupt);
  refusal_of("a.npy", npy_of("<f4", "(4, 0)", ""), ErrorCode::corrupt);
  refusal_of("a.npy", npy_of("<f8", "(2305843009213693953, 8)", std::string(64, 'x')),
             ErrorCode::corrupt);
  refusal_of("a.npy", npy_of("<f8", "(18446744073709551615, 18446744073709551615)", "12345678"),
             ErrorCode::corrupt);
  refusal_of("a.npy", npy_of("<f8", "(99999999999999999999999, 1)", "12345678"),
             ErrorCode::corrupt);
  refusal_of("a.npy", npy_of("<f8", "(-1, 1)", "12345678"), ErrorCode::corrupt);
}

TEST_F(VectorFile, RefusesRowsOfDifferentDimensions) {
  const std::string row = bytes_of(2) + bytes_of_all<float>({1, 2});
  const std::string other = bytes_of(1) + bytes_of_all<float>({1, 2});
  EXPECT_THAT(refusal_of("a.fvecs", row + other + row, ErrorCode::corrupt),
              HasSubstr("row 1 has dimension 1; expected 2"));
}

TEST_F(VectorFile, RefusesOtherNumpyFiles) {
  const std::string eight(8, 'x');
  const auto unsupported = [&](const std::string& bytes) {
    return refusal_of("a.npy", bytes, ErrorCode::invalid_argument);
  };
  EXPECT_THAT(unsupported(npy_of(">f4", "(1, 2)", eight)), HasSubstr("big-endian"));
  EXPECT_THAT(unsupported(npy_of("<c8", "(1, 1)", eight)), HasSubstr("'<c8'"));
  unsupported(npy_of("|O", "(1,)", eight));
  unsupported(npy_of("", "(1,)", eight));
  unsupported(npy_of("<f4", "()", bytes_of(1.0f)));
  unsupported(npy_of("<f4", "(1, 1, 2)", eight));
  unsupported(npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", eight));
  unsupported(std::string("\x93NUMPY\x04\x00\x00\x00\x00\x00", 12));
}

TEST_F(VectorFile, RefusesDamagedNumpyHeaders) {
  const std::string good = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }";
  const std::string values(8, 'x');
  for (const std::string& header :
       {std::string(), std::string("{}"), good + "x", "{" + good, good.substr(0, good.size() - 1),
        std::string("{'descr': '<f4', 'shape': (1, 2)}"),
        std::string("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}"),
        std::string("{'descr': '<f4', 'fortran_order': 0, 'shape': (1, 2)}"),
        std::string("{'descr': '<f4', 'fortran_order': False, 'shape': (1 2)}"),
        std::string("{'descr': '<f4', 'fortran_order': False, 'shape': [1, 2]}"),
        std::string("{'descr: <f4}"), std::string("{'extra': 1}"), std::string(300, ' ')}) {
    refusal_of("a.npy", npy(header, values), ErrorCode::corrupt);
  }
  const std::string start("\x93NUMPY\x02\x00", 8);
  EXPECT_THAT(refusal_of("a.npy", start + bytes_of(0xFFFFFFFFu) + good, ErrorCode::corrupt),
              HasSubstr("a .npy header of 4294967295 bytes"));
  EXPECT_THAT(
      refusal_of("a.npy", start + bytes_of(100000u) + std::string(100000, ' '), ErrorCode::corrupt),
      HasSubstr("expected at most 65535"));
  refusal_of("a.npy", "PK\x03\x04 something else", ErrorCode::corrupt);
}

// Every single damaged byte of a header gives an Error or a file that is read within its bounds.
TEST_F(VectorFile, SurvivesDamagedBytes) {
  const std::vector<float> values = small_integers(3 * 2);
  for (const char* name : {"a.fbin", "a.u8bin", "a.npy", "a.fvecs", "a.bvecs"}) {
    write_vectors(path(name), {values.data(), 3, 2});
    const std::string whole = get(name);
    for (std::size_t at = 0; at < whole.size(); ++at) {
      for (const char damage : {'\x00', '\x01', '\x39', '\x7F', '\xFF'}) {
        std::string bytes = whole;
        bytes[at] = damage;
        put(name, bytes);
        try {
          const Matrix<float> read = read_vectors(path(name));
          EXPECT_EQ(read.values.size(), read.rows * read.dim);
          EXPECT_LE(read.values.size(), whole.size());
        } catch (const Error& error) {
          EXPECT_TRUE(error.code() == ErrorCode::corrupt ||
                      error.code() == ErrorCode::invalid_argument);
        }
      }
    }
  }
}

TEST_F(VectorFile, NamesMissingFiles) {
  refusal([&] { read_vectors(path("none.fbin")); }, ErrorCode::not_found);
  fs::create_directory(path("folder.fbin"));
  refusal([&] { read_vectors(path("folder.fbin")); }, ErrorCode::io);
  refusal([&] { read_vectors(path("none.csv")); }, ErrorCode::invalid_argument);
  refusal([&] { read_vectors(path("none")); }, ErrorCode::invalid_argument);
}

TEST_F(VectorFile, AFullDiskLeavesTheOldFile) {
  const std::vector<float> values(30'000, 7.0f);
  const std::vector<std::int32_t> numbers(30'000, 7);
  const std::vector<VectorId> ids(30'000, 7);
  for (const char* name : {"a.fbin", "a.fvecs", "a.npy", "a.u8bin", "a.bvecs"}) {
    put(name, "old");
    const test::FileSizeLimit limit(20'000);
    refusal([&] { write_vectors(path(name), {values.data(), 300, 100}); }, ErrorCode::io);
  }
  for (const char* name : {"b.ibin", "b.ivecs", "b.npy"}) {
    put(name, "old");
    const test::FileSizeLimit limit(20'000);
    refusal([&] { write_int_matrix(path(name), numbers.data(), 300, 100); }, ErrorCode::io);
  }
  for (const char* name : {"c.u64bin", "c.npy"}) {
    put(name, "old");
    const test::FileSizeLimit limit(20'000);
    refusal([&] { write_ids(path(name), ids); }, ErrorCode::io);
  }
  std::size_t files = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(path(""))) {
    EXPECT_EQ(entry.file_size(), 3u) << entry.path();
    ++files;
  }
  EXPECT_EQ(files, 10u);
}

}  // namespace
}  // namespace cairn

// Indexes built from and searched with vectors of other types, and Eigen's matrices.

#include <filesystem>

#include <gtest/gtest.h>

#include "cairn/clustered_index.h"
#include "cairn/eigen.h"

#include "tests/util/expect_error.h"
#include "tests/util/random_vectors.h"
#include "tests/util/temp_dir.h"

namespace cairn::test {
namespace {

constexpr std::size_t kRows = 800;
constexpr std::size_t kDim = 10;

template <typename Scalar>
using RowMatrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// Small positive integers, which every type holds (but for -0).
RowMatrix<float> sample() {
  const Vectors vectors = clustered_vectors(kRows, kDim, 7, 1);
  const Eigen::Map<const RowMatrix<float>> rows(vectors.values.data(), kRows, kDim);
  return (rows * 20).array().round().max(1).min(127);
}

std::vector<std::byte> saved(const ClusteredIndex& index) {
  const TempDir dir;
  index.save(dir / "a.cairn");
  return read_file(dir / "a.cairn");
}

template <typename Scalar>
void expect_the_same_index() {
  const RowMatrix<float> floats = sample();
  const RowMatrix<Scalar> typed = floats.cast<Scalar>();
  const BuildOptions options{.threads = 2};
  const ClusteredIndex expected = ClusteredIndex::build({floats.data(), kRows, kDim}, options);
  const ClusteredIndex index = ClusteredIndex::build(rows_of(typed), options);
  EXPECT_TRUE(saved(index) == saved(expected));
  EXPECT_EQ(index.search_batch(rows_of(typed)).ids,
            expected.search_batch({floats.data(), kRows, kDim}).ids);

  const TempDir dir;
  TypedVectorSource source(rows_of(typed));
  ClusteredIndex::build_file(dir / "a.cairn", source, options);
  EXPECT_TRUE(read_file(dir / "a.cairn") == saved(expected));
}

TEST(TypedInput, OfAnyTypeGivesTheSameIndex) {
  expect_the_same_index<float>();
  expect_the_same_index<Eigen::half>();
  expect_the_same_index<Eigen::bfloat16>();
  expect_the_same_index<std::uint8_t>();
  expect_the_same_index<std::int8_t>();
}

TEST(TypedInput, TakesColumnsAndBlocksOfMatrices) {
  const RowMatrix<float> floats = sample();
  const std::vector<std::byte> expected =
      saved(ClusteredIndex::build({floats.data(), kRows, kDim}));
  const Eigen::MatrixXf columns = floats.transpose();
  EXPECT_TRUE(saved(ClusteredIndex::build(columns_of(columns))) == expected);

  RowMatrix<float> wide(kRows + 5, kDim + 3);
  wide.setConstant(1e9f);
  wide.block(2, 1, kRows, kDim) = floats;
  EXPECT_TRUE(saved(ClusteredIndex::build(rows_of(wide.block(2, 1, kRows, kDim)))) == expected);
}

TEST(TypedInput, SearchesWithVectorsOfEigen) {
  const RowMatrix<float> floats = sample();
  const ClusteredIndex index = ClusteredIndex::build(rows_of(floats));
  const Eigen::VectorXf query = floats.row(17);
  const std::vector<Neighbor> found = index.search(query_of(query), {.k = 3});
  EXPECT_EQ(found[0].distance, 0);
  EXPECT_EQ(index.search(query_of(floats.row(17)), {.k = 3}), found);
}

TEST(TypedInput, RefusesWhatIsNotFiniteByRowAndColumn) {
  std::vector<std::uint16_t> halves(40, 0x3C00);
  halves[23] = 0x7E00;  // NaN
  expect_error(ErrorCode::invalid_argument, "row 5, column 3", [&] {
    ClusteredIndex::build({ValueType::f16, halves.data(), 10, 4});
  });
  expect_error(ErrorCode::invalid_argument, "stride_bytes", [&] {
    ClusteredIndex::build({ValueType::f16, halves.data(), 10, 4, 4});
  });
  const ClusteredIndex index = ClusteredIndex::build({ValueType::f16, halves.data(), 5, 4});
  expect_error(ErrorCode::invalid_argument, "dimension 4, found 2", [&] {
    index.search_batch({ValueType::f16, halves.data(), 5, 2});
  });
}

}  // namespace
}  // namespace cairn::test

#include "cairn/vector_source.h"

#include <algorithm>
#include <filesystem>
#include <vector>

#include <gtest/gtest.h>

#include "cairn/io.h"

#include "tests/util/expect_error.h"
#include "tests/util/random_vectors.h"
#include "tests/util/temp_dir.h"

namespace cairn::test {
namespace {

// All rows, a few at a time.
std::vector<float> read_in_pieces(VectorSource& source, std::size_t piece) {
  std::vector<float> values(source.rows() * source.dim());
  for (std::size_t first = 0; first < source.rows(); first += piece) {
    source.read(first, std::min(piece, source.rows() - first),
                values.data() + first * source.dim());
  }
  return values;
}

TEST(FileVectorSource, ReadsWhatReadVectorsReads) {
  const TempDir dir;
  Vectors vectors = clustered_vectors(1000, 7, 3, 1);
  for (const char* name : {"a.fbin", "a.fvecs", "a.npy", "a.u8bin", "a.bvecs"}) {
    const std::filesystem::path path = dir / name;
    if (path.extension() == ".u8bin") {
      for (float& value : vectors.values)
        value = static_cast<float>(static_cast<int>(value * 9) & 255);
    }
    write_vectors(path, vectors.view());
    FileVectorSource source(path);
    EXPECT_EQ(source.rows(), 1000u);
    EXPECT_EQ(source.dim(), 7u);
    EXPECT_EQ(source.contiguous(), nullptr);
    for (const std::size_t piece : {1, 33, 1000}) {
      EXPECT_EQ(read_in_pieces(source, piece), vectors.values) << name;
    }
    // Again from the beginning, as passes do.
    std::vector<float> row(7);
    source.read(500, 1, row.data());
    EXPECT_EQ(row, std::vector<float>(vectors.row(500), vectors.row(501)));
  }
}

TEST(FileVectorSource, NoticesAFileCutShortMeanwhile) {
  const TempDir dir;
  const Vectors vectors = clustered_vectors(1000, 8, 3, 1);
  write_vectors(dir / "a.fbin", vectors.view());
  FileVectorSource source(dir / "a.fbin");
  std::filesystem::resize_file(dir / "a.fbin", 8 + 4 * 8 * 500);
  std::vector<float> values(1000 * 8);
  EXPECT_NO_THROW(source.read(0, 500, values.data()));
  expect_error(ErrorCode::io, "ends at byte 16008", [&] { source.read(400, 200, values.data()); });
}

TEST(FileVectorSource, RefusesWhatIsNoVectorFile) {
  const TempDir dir;
  expect_error(ErrorCode::not_found, "none.fbin", [&] { FileVectorSource(dir / "none.fbin"); });
  expect_error(ErrorCode::invalid_argument, ".txt", [&] { FileVectorSource(dir / "a.txt"); });
  write_file(dir / "short.fbin", std::vector<std::byte>(100, std::byte{1}));
  expect_error(ErrorCode::corrupt, "short.fbin", [&] { FileVectorSource(dir / "short.fbin"); });
}

TEST(MatrixVectorSource, HandsOutItsMatrix) {
  const Vectors vectors = clustered_vectors(100, 5, 3, 1);
  MatrixVectorSource source(vectors.view());
  EXPECT_EQ(source.contiguous(), vectors.values.data());
  EXPECT_EQ(read_in_pieces(source, 7), vectors.values);
}

}  // namespace
}  // namespace cairn::test

#include <algorithm>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/container.h"
#include "tests/util/expect_error.h"
#include "tests/util/sample_container.h"
#include "tests/util/temp_dir.h"

namespace cairn::storage {
namespace {

using cairn::test::expect_error;
using cairn::test::read_file;
using cairn::test::TempDir;
using cairn::test::write_file;
using cairn::test::write_sample_container;

class ContainerReaderTest : public ::testing::Test {
 protected:
  ContainerReaderTest() {
    write_sample_container(path_);
    reader_ = ContainerReader::open(path_);
  }

  TempDir dir_;
  std::filesystem::path path_ = dir_ / "sample.cairn";
  std::shared_ptr<const ContainerReader> reader_;
};

std::vector<std::byte> as_bytes(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

TEST_F(ContainerReaderTest, GivesTypedElementsInPlace) {
  const auto ids = reader_->elements<std::uint64_t>(SectionType::ids, 33);
  EXPECT_EQ(ids.size(), 33u);
  const SectionInfo* const section = reader_->find(SectionType::ids);
  EXPECT_EQ(static_cast<const void*>(ids.data()), reader_->bytes(*section).data());
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(ids.data()) % 64, 0u);
  EXPECT_TRUE(reader_->elements<float>(SectionType::calibration).empty());
}

TEST_F(ContainerReaderTest, NamesASectionThatIsNotAsExpected) {
  EXPECT_EQ(reader_->find(SectionType::vectors), nullptr);
  expect_error(ErrorCode::corrupt, "section vectors is missing",
               [&] { reader_->elements<float>(SectionType::vectors); });
  expect_error(ErrorCode::corrupt, "section ids: element_size is 8, expected 4",
               [&] { reader_->elements<std::uint32_t>(SectionType::ids); });
  expect_error(ErrorCode::corrupt, "section ids: count is 33, expected 34",
               [&] { reader_->elements<std::uint64_t>(SectionType::ids, 34); });
  expect_error(ErrorCode::corrupt, path_.string(), [&] { reader_->require(SectionType::ids, 1); });
}

TEST_F(ContainerReaderTest, AllowsSeveralReadersOfOneFile) {
  const auto other = ContainerReader::open(path_);
  EXPECT_EQ(reader_->uuid(), other->uuid());
  const auto a = reader_->elements<std::uint64_t>(SectionType::ids);
  const auto b = other->elements<std::uint64_t>(SectionType::ids);
  EXPECT_NE(a.data(), b.data());
  EXPECT_TRUE(std::ranges::equal(a, b));
}

TEST_F(ContainerReaderTest, KeepsReadingAFileThatIsReplacedOrRemoved) {
  ContainerWriter(path_, {.dim = 1}).commit();
  reader_->verify();
  std::filesystem::remove(path_);
  reader_->verify();
  EXPECT_EQ(reader_->elements<std::uint64_t>(SectionType::ids).size(), 33u);
}

TEST_F(ContainerReaderTest, AdvisesWithoutChangingContents) {
  for (const SectionInfo& section : reader_->sections()) reader_->advise_random(section);
  reader_->verify();
}

TEST_F(ContainerReaderTest, RefusesAnotherKind) {
  expect_error(ErrorCode::corrupt, "is a saved index, expected a vectors file",
               [&] { ContainerReader::open(path_, ContainerKind::vectors); });
  EXPECT_NO_THROW(ContainerReader::open(path_, ContainerKind::index));
}

TEST_F(ContainerReaderTest, SaysThatAFileIsMissing) {
  expect_error(ErrorCode::not_found, (dir_ / "missing").string(),
               [&] { ContainerReader::open(dir_ / "missing"); });
  expect_error(ErrorCode::io, "not a regular file", [&] { ContainerReader::open(dir_.path()); });
}

TEST_F(ContainerReaderTest, RefusesFilesOfOtherTypes) {
  const std::vector<std::vector<std::byte>> others = {
      {},
      as_bytes("x"),
      as_bytes("not an index\n"),
      as_bytes(std::string(10'000, 'a')),
      std::vector<std::byte>(10'000),
      std::vector<std::byte>(4160),
      std::vector<std::byte>(4159),
  };
  for (const auto& bytes : others) {
    write_file(dir_ / "other", bytes);
    expect_error(ErrorCode::corrupt, "not a Cairn file",
                 [&] { ContainerReader::open(dir_ / "other"); });
  }
}

TEST_F(ContainerReaderTest, CopiesHoldWhatIsMapped) {
  const auto copied = ContainerReader::open(path_, {}, ReadMode::copied);
  EXPECT_TRUE(reader_->is_mapped());
  EXPECT_FALSE(copied->is_mapped());
  EXPECT_EQ(copied->sections().size(), reader_->sections().size());
  for (const SectionInfo& section : reader_->sections()) {
    const SectionInfo* const same = copied->find(section.type);
    ASSERT_NE(same, nullptr);
    EXPECT_TRUE(std::ranges::equal(copied->bytes(*same), reader_->bytes(section)));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(copied->bytes(*same).data()) % 64, 0u);
  }
  copied->verify();
}

TEST_F(ContainerReaderTest, CopiesLeaveVectorsInTheFile) {
  {
    ContainerWriter writer(path_, {.kind = ContainerKind::vectors, .dim = 2, .count = 3});
    const std::vector<float> values = {1, 2, 3, 4, 5, 6};
    writer.write_section(SectionType::vectors, std::span(values), 12);
    writer.commit();
  }
  const auto copied = ContainerReader::open(path_, {}, ReadMode::copied);
  EXPECT_TRUE(copied->bytes(*copied->find(SectionType::vectors)).empty());
  copied->verify();
  std::filesystem::resize_file(path_, 4100);
  expect_error(ErrorCode::io, path_.string(), [&] { copied->verify(); });
}

}  // namespace
}  // namespace cairn::storage

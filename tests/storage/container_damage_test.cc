// Damage that a disk, a copy tool or a stray write does to a container: all of it must be noticed,
// by open() or by verify(), and none may crash.

#include <algorithm>
#include <string>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/random.h"
#include "storage/container.h"
#include "storage/file.h"
#include "storage/format.h"
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
using cairn::test::write_tiny_container;

class ContainerDamage : public ::testing::Test {
 protected:
  ContainerDamage() {
    write_sample_container(path_);
    bytes_ = read_file(path_);
    file_ = File(::open(path_.c_str(), O_WRONLY | O_CLOEXEC), path_);
    reader_ = ContainerReader::open(path_);
  }

  // In place, which only a test may do to a mapped file.
  void overwrite(std::uint64_t offset, std::span<const std::byte> bytes) {
    file_.write_at(offset, bytes);
  }
  void flip_bit(std::uint64_t bit) {
    bytes_[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    overwrite(bit / 8, std::span(bytes_).subspan(bit / 8, 1));
  }

  void expect_open_rejects_flips(std::uint64_t begin, std::uint64_t end) {
    for (std::uint64_t bit = 8 * begin; bit < 8 * end; ++bit) {
      flip_bit(bit);
      expect_error(ErrorCode::corrupt, path_.string(), [&] { ContainerReader::open(path_); });
      flip_bit(bit);
    }
    EXPECT_NO_THROW(ContainerReader::open(path_)->verify());
  }

  TempDir dir_;
  std::filesystem::path path_ = dir_ / "sample.cairn";
  std::vector<std::byte> bytes_;
  File file_;
  std::shared_ptr<const ContainerReader> reader_;  // opened before the damage
};

TEST_F(ContainerDamage, OpenRejectsAnyFlippedBitOfTheHeader) {
  expect_open_rejects_flips(0, 104);
  expect_open_rejects_flips(kHeaderBytes - 8, kHeaderBytes);
  base::Random random(1);
  for (int i = 0; i < 200; ++i) {
    const std::uint64_t offset = 104 + random.below(kHeaderBytes - 112);
    expect_open_rejects_flips(offset, offset + 1);
  }
}

TEST_F(ContainerDamage, OpenRejectsAnyFlippedBitOfTableAndTrailer) {
  const std::size_t tail = reader_->sections().size() * kTableEntryBytes + kTrailerBytes;
  expect_open_rejects_flips(bytes_.size() - tail, bytes_.size());
}

TEST_F(ContainerDamage, OpenRejectsAnyFlippedBitOfSmallSections) {
  for (const SectionType type : {SectionType::index_parameters, SectionType::checksums}) {
    const SectionInfo* const section = reader_->find(type);
    expect_open_rejects_flips(section->offset, section->offset + section->bytes);
  }
}

TEST_F(ContainerDamage, OpenDoesNotReadBulkSections) {
  for (const SectionType type : {SectionType::blocks, SectionType::ids}) {
    flip_bit(8 * reader_->find(type)->offset);
    const auto reader = ContainerReader::open(path_);
    expect_error(ErrorCode::corrupt, std::string("section ") + to_string(type) + " block 0",
                 [&] { reader->verify(); });
    flip_bit(8 * reader_->find(type)->offset);
  }
}

TEST_F(ContainerDamage, VerifyFindsRandomFlipsInEachSection) {
  base::Random random(2);
  for (const SectionInfo& section : reader_->sections()) {
    if (section.bytes == 0) continue;
    for (int i = 0; i < 2000; ++i) {
      const std::uint64_t bit = 8 * section.offset + random.below(8 * section.bytes);
      flip_bit(bit);
      expect_error(ErrorCode::corrupt, std::string("section ") + to_string(section.type),
                   [&] { reader_->verify(); });
      flip_bit(bit);
    }
  }
  reader_->verify();
}

TEST_F(ContainerDamage, VerifyFindsBytesBetweenSections) {
  std::uint64_t end = kHeaderBytes;
  std::size_t gaps = 0;
  for (const SectionInfo& section : reader_->sections()) {
    for (std::uint64_t offset = end; offset < section.offset; ++offset, ++gaps) {
      flip_bit(8 * offset + offset % 8);
      expect_error(ErrorCode::corrupt, "byte at offset " + std::to_string(offset),
                   [&] { reader_->verify(); });
      flip_bit(8 * offset + offset % 8);
    }
    end = section.offset + section.bytes;
  }
  EXPECT_GT(gaps, 0u);
  reader_->verify();
}

TEST_F(ContainerDamage, VerifyFindsSwappedBlocks) {
  const SectionInfo* const section = reader_->find(SectionType::blocks);
  const auto first = std::span(bytes_).subspan(section->offset, kChecksumBlockBytes);
  const auto second =
      std::span(bytes_).subspan(section->offset + kChecksumBlockBytes, kChecksumBlockBytes);
  overwrite(section->offset, second);
  overwrite(section->offset + kChecksumBlockBytes, first);
  expect_error(ErrorCode::corrupt, "section blocks block 0 at offset", [&] { reader_->verify(); });
}

// A block that moves together with its checksum is still in the wrong place.
TEST_F(ContainerDamage, ChecksumsDependOnPlaceAndType) {
  const auto block = std::span<const std::byte>(bytes_).first(1000);
  EXPECT_NE(block_checksum(SectionType::blocks, 0, block),
            block_checksum(SectionType::blocks, 1, block));
  EXPECT_NE(block_checksum(SectionType::blocks, 0, block),
            block_checksum(SectionType::ids, 0, block));
}

TEST_F(ContainerDamage, VerifyFindsAStaleBlock) {
  const SectionInfo* const section = reader_->find(SectionType::blocks);
  const std::vector<std::byte> zeros(4096);
  overwrite(section->offset + 2 * kChecksumBlockBytes, zeros);
  expect_error(ErrorCode::corrupt, "section blocks block 2", [&] { reader_->verify(); });
}

TEST(ContainerTruncation, IsRejectedAtEveryByte) {
  const TempDir dir;
  write_tiny_container(dir / "whole");
  const auto whole = read_file(dir / "whole");
  ASSERT_LT(whole.size(), 4500u);
  write_file(dir / "a", whole);
  for (std::size_t size = whole.size(); size-- > 0;) {
    std::filesystem::resize_file(dir / "a", size);
    expect_error(ErrorCode::corrupt, (dir / "a").string(),
                 [&] { ContainerReader::open(dir / "a"); });
  }
}

TEST(ContainerTruncation, IsRejectedInBulkSections) {
  const TempDir dir;
  write_sample_container(dir / "a");
  for (std::size_t size = std::filesystem::file_size(dir / "a"); size > 4160;) {
    size -= std::min<std::size_t>(size, 997);
    std::filesystem::resize_file(dir / "a", size);
    expect_error(ErrorCode::corrupt, (dir / "a").string(),
                 [&] { ContainerReader::open(dir / "a"); });
  }
}

TEST(ContainerExtension, IsRejected) {
  const TempDir dir;
  write_tiny_container(dir / "whole");
  const auto whole = read_file(dir / "whole");
  for (const std::size_t more : {1, 8, 64, 4096, 65536}) {
    for (const auto fill : {std::byte{0}, std::byte{0x5A}}) {
      auto bytes = whole;
      bytes.resize(whole.size() + more, fill);
      write_file(dir / "a", bytes);
      expect_error(ErrorCode::corrupt,
                   "file has " + std::to_string(bytes.size()) + " bytes, expected " +
                       std::to_string(whole.size()),
                   [&] { ContainerReader::open(dir / "a"); });
    }
  }
}

}  // namespace
}  // namespace cairn::storage

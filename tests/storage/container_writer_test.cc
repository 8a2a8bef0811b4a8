#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/container.h"
#include "tests/util/expect_error.h"
#include "tests/util/file_size_limit.h"
#include "tests/util/sample_container.h"
#include "tests/util/temp_dir.h"

namespace cairn::storage {
namespace {

using cairn::test::expect_error;
using cairn::test::FileSizeLimit;
using cairn::test::random_bytes;
using cairn::test::read_file;
using cairn::test::sample_info;
using cairn::test::sample_sections;
using cairn::test::TempDir;
using cairn::test::write_sample_container;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ContainerWriter, WritesWhatAReaderReads) {
  const TempDir dir;
  write_sample_container(dir / "a.cairn");
  EXPECT_THAT(dir.names(), ElementsAre("a.cairn"));
  const auto reader = ContainerReader::open(dir / "a.cairn", ContainerKind::index);
  EXPECT_EQ(reader->info().dim, sample_info().dim);
  EXPECT_EQ(reader->info().count, sample_info().count);
  EXPECT_EQ(reader->info().metric, sample_info().metric);
  EXPECT_EQ(reader->file_bytes(), std::filesystem::file_size(dir / "a.cairn"));
  ASSERT_EQ(reader->sections().size(), sample_sections().size() + 1);
  for (const auto& sample : sample_sections()) {
    const SectionInfo* const section = reader->find(sample.type);
    ASSERT_NE(section, nullptr);
    EXPECT_EQ(section->element_size, sample.element_size);
    EXPECT_EQ(section->count, sample.count);
    EXPECT_EQ(section->alignment_log2, sample.alignment_log2);
    EXPECT_EQ(section->offset % (std::uint64_t{1} << sample.alignment_log2), 0u);
    EXPECT_TRUE(std::ranges::equal(reader->bytes(*section), sample.bytes()));
  }
  reader->verify();
}

TEST(ContainerWriter, WritesTheSameBytesForTheSameData) {
  const TempDir dir;
  write_sample_container(dir / "a");
  write_sample_container(dir / "b");
  EXPECT_EQ(read_file(dir / "a"), read_file(dir / "b"));
}

TEST(ContainerWriter, FillsSectionsSideBySide) {
  const TempDir dir;
  write_sample_container(dir / "a");
  ContainerWriter writer(dir / "b", sample_info());
  std::vector<std::size_t> sections;
  for (const auto& sample : sample_sections()) {
    sections.push_back(
        writer.add_section(sample.type, sample.element_size, sample.count, sample.alignment_log2));
  }
  // In pieces of 700 bytes, the last section first.
  for (std::size_t begin = 0; begin < 150'000; begin += 700) {
    for (std::size_t i = sections.size(); i-- > 0;) {
      const auto bytes = sample_sections()[i].bytes();
      if (begin >= bytes.size()) continue;
      const std::size_t count = std::min<std::size_t>(700, bytes.size() - begin);
      writer.append_to(sections[i], std::span(bytes).subspan(begin, count));
    }
  }
  for (std::size_t i = 0; i < sections.size(); ++i) {
    EXPECT_TRUE(std::ranges::equal(writer.map(sections[i]), sample_sections()[i].bytes()));
  }
  writer.commit();
  EXPECT_EQ(read_file(dir / "a"), read_file(dir / "b"));
}

TEST(ContainerWriter, NamesDifferentContentsDifferently) {
  const TempDir dir;
  const auto uuid_with = [&](std::byte last_byte) {
    auto bytes = random_bytes(200'000, 1);
    bytes.back() = last_byte;
    ContainerWriter writer(dir / "a", {.dim = 1, .count = 1});
    writer.write_section<std::byte>(SectionType::blocks, bytes);
    writer.commit();
    return ContainerReader::open(dir / "a")->uuid();
  };
  EXPECT_EQ(uuid_with(std::byte{1}), uuid_with(std::byte{1}));
  EXPECT_NE(uuid_with(std::byte{1}), uuid_with(std::byte{2}));
}

TEST(ContainerWriter, DoesNotDependOnHowBytesArrive) {
  const TempDir dir;
  const auto bytes = random_bytes(300'000, 1);
  const auto write = [&](const std::filesystem::path& path, std::vector<std::size_t> pieces) {
    ContainerWriter writer(path, {.dim = 1, .count = 1});
    writer.begin_section(SectionType::blocks, 1, bytes.size());
    auto rest = std::span(bytes);
    for (std::size_t i = 0; !rest.empty(); ++i) {
      const std::size_t size = std::min(pieces[i % pieces.size()], rest.size());
      writer.append(rest.first(size));
      rest = rest.subspan(size);
    }
    writer.commit();
    return read_file(path);
  };
  const auto whole = write(dir / "whole", {bytes.size()});
  EXPECT_EQ(write(dir / "a", {1000}), whole);
  EXPECT_EQ(write(dir / "b", {65536}), whole);
  EXPECT_EQ(write(dir / "c", {1, 65536, 0, 65535, 131'072, 7}), whole);
}

TEST(ContainerWriter, WritesAContainerWithoutSections) {
  const TempDir dir;
  ContainerWriter(dir / "a", {.dim = 1}).commit();
  const auto reader = ContainerReader::open(dir / "a");
  EXPECT_EQ(reader->sections().size(), 1u);
  reader->verify();
}

TEST(ContainerWriter, LeavesNothingWithoutCommit) {
  const TempDir dir;
  {
    ContainerWriter writer(dir / "a", {.dim = 1, .count = 1});
    writer.begin_section(SectionType::blocks, 1, 200'000);
    writer.append(random_bytes(100'000, 1));
  }
  EXPECT_THAT(dir.names(), IsEmpty());
}

TEST(ContainerWriter, FailsAtOnceIfTheDirectoryIsMissing) {
  const TempDir dir;
  expect_error(ErrorCode::io, "cannot open directory " + (dir / "missing").string(),
               [&] { ContainerWriter(dir / "missing/a", {.dim = 1}); });
}

TEST(ContainerWriter, LeavesTheOldFileIfTheDiskIsFull) {
  const TempDir dir;
  write_sample_container(dir / "a");
  const auto old_bytes = read_file(dir / "a");
  const auto bytes = random_bytes(3 << 20, 1);
  // A limit within the header page, in the pages of the section, and in what commit() adds.
  for (const rlim_t limit : {rlim_t{100}, rlim_t{1} << 20, rlim_t{4096} + bytes.size() + 10}) {
    const FileSizeLimit full(limit);
    expect_error(ErrorCode::io, (dir / "a").string() + ": File too large", [&] {
      ContainerWriter writer(dir / "a", {.dim = 1, .count = 1});
      writer.begin_section(SectionType::blocks, 1, bytes.size());
      for (std::size_t begin = 0; begin < bytes.size(); begin += 100'000) {
        writer.append(
            std::span(bytes).subspan(begin, std::min<std::size_t>(100'000, bytes.size() - begin)));
      }
      writer.commit();
    });
    EXPECT_EQ(read_file(dir / "a"), old_bytes);
    EXPECT_THAT(dir.names(), ElementsAre("a"));
  }
}

TEST(ContainerWriter, NoticesAFullDiskBeforeTheWork) {
  const TempDir dir;
  const FileSizeLimit full(10 << 20);
  ContainerWriter writer(dir / "a", {.dim = 1, .count = 1});
  expect_error(ErrorCode::io, "cannot reserve",
               [&] { writer.begin_section(SectionType::vectors, 4, 3 << 20); });
}

TEST(ContainerWriter, RefusesSectionsBeyondAnyFile) {
  const TempDir dir;
  ContainerWriter writer(dir / "a", {.dim = 1, .count = 1});
  expect_error(ErrorCode::io, "too large", [&] {
    writer.begin_section(SectionType::blocks, std::uint64_t{1} << 33, std::uint64_t{1} << 33);
  });
  expect_error(ErrorCode::io, "too large",
               [&] { writer.begin_section(SectionType::blocks, 1, ~std::uint64_t{0}); });
}

}  // namespace
}  // namespace cairn::storage

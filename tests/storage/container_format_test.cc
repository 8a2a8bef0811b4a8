// The rules of docs/format.md, field by field, on files whose checksums are all right: what a
// writer with bad intentions could make. The sealing here follows the document, not
// storage/format.cc.

#include <algorithm>
#include <array>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "storage/container.h"
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

// Offsets as docs/format.md gives them.
constexpr std::size_t kSections = 6;
constexpr std::size_t kTailBytes = kSections * 64 + 64;

class ContainerFormat : public ::testing::Test {
 protected:
  ContainerFormat() {
    write_sample_container(dir_ / "sample");
    bytes_ = read_file(dir_ / "sample");
    table_ = bytes_.size() - kTailBytes;
    trailer_ = bytes_.size() - 64;
  }

  std::uint64_t u64(std::size_t offset) const {
    return base::ByteReader(std::span(bytes_).subspan(offset, 8), "test").u64();
  }
  void put(std::size_t offset, std::uint64_t value, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
      bytes_[offset + i] = static_cast<std::byte>(value >> (8 * i));
    }
  }
  void put_u16(std::size_t offset, std::uint64_t value) { put(offset, value, 2); }
  void put_u32(std::size_t offset, std::uint64_t value) { put(offset, value, 4); }
  void put_u64(std::size_t offset, std::uint64_t value) { put(offset, value, 8); }
  std::size_t entry(std::size_t section) const { return table_ + 64 * section; }

  void seal_checksums() {
    const auto all = std::span<const std::byte>(bytes_);
    put_u64(4088, base::checksum64(all.first(4088), 0));
    put_u64(trailer_ + 32, base::checksum64(all.subspan(table_, trailer_ - table_), 0));
    put_u64(trailer_ + 56, base::checksum64(all.subspan(trailer_, 56), 0));
  }
  void seal() {
    std::vector<std::byte> named(bytes_.begin(), bytes_.begin() + 4096);
    std::fill_n(named.begin() + 32, 16, std::byte{0});
    std::fill_n(named.begin() + 4088, 8, std::byte{0});
    named.insert(named.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(table_),
                 bytes_.begin() + static_cast<std::ptrdiff_t>(trailer_));
    const auto uuid = base::checksum128(named);
    for (std::size_t i = 0; i < uuid.size(); ++i) {
      put(32 + i, uuid[i], 1);
      put(trailer_ + 8 + i, uuid[i], 1);
    }
    seal_checksums();
  }

  std::shared_ptr<const ContainerReader> open() {
    write_file(dir_ / "forged", bytes_);
    return ContainerReader::open(dir_ / "forged");
  }
  // Undoes the forgery afterwards.
  void expect_rejected(ErrorCode code, const std::string& text, const std::function<void()>& forge,
                       bool keep_uuid = false) {
    const auto original = bytes_;
    forge();
    keep_uuid ? seal_checksums() : seal();
    expect_error(code, text, [&] { open(); });
    bytes_ = original;
  }
  void expect_corrupt(const std::string& text, const std::function<void()>& forge) {
    expect_rejected(ErrorCode::corrupt, text, forge);
  }

  TempDir dir_;
  std::vector<std::byte> bytes_;
  std::size_t table_ = 0;
  std::size_t trailer_ = 0;
};

TEST_F(ContainerFormat, SealsAsTheDocumentSays) {
  const auto original = bytes_;
  seal();
  EXPECT_EQ(bytes_, original);
}

TEST_F(ContainerFormat, HasTheDocumentedHeader) {
  const std::array<int, 8> magic = {0x89, 'C', 'R', 'N', '\r', '\n', 0x1A, '\n'};
  for (std::size_t i = 0; i < magic.size(); ++i) {
    EXPECT_EQ(std::to_integer<int>(bytes_[i]), magic[i]);
  }
  base::ByteReader reader(std::span<const std::byte>(bytes_).subspan(8), "header");
  EXPECT_EQ(reader.u32(), 0x01020304u);
  EXPECT_EQ(reader.u16(), 1);
  EXPECT_EQ(reader.u16(), 0);
  EXPECT_EQ(reader.u32(), 4096u);
  EXPECT_EQ(reader.u32(), kSections);
  EXPECT_EQ(reader.u64(), bytes_.size());
  reader.raw(16);
  EXPECT_EQ(reader.u64(), 0u);
  EXPECT_EQ(reader.u64(), 0u);
  EXPECT_EQ(reader.u32(), 1u);
  EXPECT_EQ(reader.u32(), 24u);
  EXPECT_EQ(reader.u64(), 33u);
  EXPECT_EQ(reader.u32(), 2u);
  EXPECT_EQ(reader.u32(), 0u);
  EXPECT_EQ(reader.u64(), table_);
}

TEST_F(ContainerFormat, HasTheDocumentedTable) {
  std::uint64_t end = 4096;
  for (std::size_t i = 0; i < kSections; ++i) {
    base::ByteReader reader(std::span<const std::byte>(bytes_).subspan(entry(i), 64), "entry");
    reader.raw(8);
    const std::uint64_t offset = reader.u64();
    const std::uint64_t section_bytes = reader.u64();
    EXPECT_EQ(section_bytes, u64(entry(i) + 24) * u64(entry(i) + 32));
    reader.raw(16);
    const std::uint64_t alignment = std::uint64_t{1} << reader.u32();
    EXPECT_EQ(offset, (end + alignment - 1) / alignment * alignment);
    end = offset + section_bytes;
  }
  EXPECT_EQ(table_, (end + 63) / 64 * 64);
}

TEST_F(ContainerFormat, StoresTheDocumentedChecksums) {
  std::size_t stored = u64(entry(kSections - 1) + 8);
  for (std::size_t i = 0; i + 1 < kSections; ++i) {
    const std::uint64_t type = u64(entry(i)) & 0xFFFFFFFF;
    const auto section =
        std::span<const std::byte>(bytes_).subspan(u64(entry(i) + 8), u64(entry(i) + 16));
    base::ByteWriter blocks;
    for (std::size_t begin = 0, b = 0; begin < section.size(); begin += 65536, ++b, stored += 8) {
      const auto block =
          section.subspan(begin, std::min<std::size_t>(65536, section.size() - begin));
      const std::uint64_t checksum = base::checksum64(block, (type << 48) + b);
      EXPECT_EQ(u64(stored), checksum);
      blocks.u64(checksum);
    }
    EXPECT_EQ(u64(entry(i) + 48), base::checksum64(blocks.bytes(), (type << 48) + 0xFFFFFFFFFFFF));
  }
}

TEST_F(ContainerFormat, TellsNewerVersionsFromDamage) {
  expect_rejected(ErrorCode::version_unsupported, "format 2.0, this library reads up to 1.3",
                  [&] { put_u16(12, 2); });
  expect_rejected(ErrorCode::version_unsupported, "features unknown to this version",
                  [&] { put_u64(48, 1); });
  expect_rejected(ErrorCode::version_unsupported, "8000000000000000",
                  [&] { put_u64(48, std::uint64_t{1} << 63); });
  expect_rejected(ErrorCode::version_unsupported, "section 1: type 25 is unknown",
                  [&] { put_u32(entry(1), 25); });
  expect_corrupt("format version 0", [&] { put_u16(12, 0); });
}

// A future header may look different, but for what every version keeps in its place.
TEST_F(ContainerFormat, ReadsNothingElseOfANewerVersion) {
  expect_rejected(
      ErrorCode::version_unsupported, "format 7.3",
      [&] {
        put_u16(12, 7);
        put_u16(14, 3);
        std::fill(bytes_.begin() + 16, bytes_.begin() + 4088, std::byte{0xEE});
      },
      true);
}

TEST_F(ContainerFormat, AcceptsWhatOnlyAddsToIt) {
  put_u16(14, 9);
  put_u64(56, ~std::uint64_t{0});
  seal();
  open()->verify();
}

TEST_F(ContainerFormat, RejectsBadHeaderFields) {
  expect_corrupt("wrong magic number", [&] { put_u32(4, 0x0A0A0D0D); });
  expect_corrupt("endian_marker", [&] { put_u32(8, 0x04030201); });
  expect_corrupt("header_bytes is 8192", [&] { put_u32(16, 8192); });
  expect_corrupt("section_count is 0", [&] { put_u32(20, 0); });
  expect_corrupt("section_count is 65", [&] { put_u32(20, 65); });
  expect_corrupt("section_count is 4294967295", [&] { put_u32(20, 0xFFFFFFFF); });
  expect_corrupt("truncated or extended", [&] { put_u64(24, bytes_.size() + 1); });
  expect_corrupt("kind is 0", [&] { put_u32(64, 0); });
  expect_corrupt("kind is 3", [&] { put_u32(64, 3); });
  expect_corrupt("metric of a vectors file is 2", [&] { put_u32(64, 2); });
  expect_corrupt("dim is 0", [&] { put_u32(68, 0); });
  expect_corrupt("dim is 65537", [&] { put_u32(68, 65537); });
  expect_corrupt("count is 4294967295", [&] { put_u64(72, 0xFFFFFFFF); });
  expect_corrupt("metric is 3", [&] { put_u32(80, 3); });
  expect_corrupt("reserved", [&] { put_u32(84, 1); });
  expect_corrupt("reserved", [&] { put_u64(96, 1); });
  expect_corrupt("reserved", [&] { put_u64(4080, 1); });
}

TEST_F(ContainerFormat, RejectsATableElsewhere) {
  for (const std::uint64_t offset :
       {std::uint64_t{0}, table_ - 64, table_ + 64, ~std::uint64_t{0}, ~std::uint64_t{63}}) {
    expect_corrupt("table_offset is", [&] { put_u64(88, offset); });
  }
  expect_corrupt("table_offset is", [&] { put_u32(20, kSections + 1); });
}

TEST_F(ContainerFormat, RejectsMoreSectionsThanTheFileHasRoomFor) {
  const TempDir dir;
  cairn::test::write_tiny_container(dir / "tiny");
  bytes_ = read_file(dir / "tiny");
  table_ = bytes_.size() - 3 * 64;
  trailer_ = bytes_.size() - 64;
  expect_corrupt("no room for 64 sections", [&] { put_u32(20, 64); });
}

TEST_F(ContainerFormat, RejectsBadTableFields) {
  for (std::size_t i = 0; i < kSections; ++i) {
    const std::string what = "section " + std::to_string(i);
    expect_corrupt(what + ": flags is 1", [&] { put_u32(entry(i) + 4, 1); });
    expect_corrupt(what + ": reserved", [&] { put_u32(entry(i) + 44, 1); });
    expect_corrupt(what + ": reserved", [&] { put_u64(entry(i) + 56, 1); });
    expect_corrupt(what + ": element_size is 0", [&] { put_u64(entry(i) + 24, 0); });
    for (const std::uint64_t alignment : {0, 5, 22, 63, 64, 200}) {
      expect_corrupt(what + ": alignment_log2 is", [&] { put_u32(entry(i) + 40, alignment); });
    }
    const std::uint64_t offset = u64(entry(i) + 8);
    for (const std::uint64_t wrong : {std::uint64_t{0}, offset - 64, offset + 64, offset + 1,
                                      std::uint64_t{1} << 63, ~std::uint64_t{0}}) {
      expect_corrupt(what + ": offset is", [&] { put_u64(entry(i) + 8, wrong); });
    }
  }
  expect_corrupt("section 3: a second section lists", [&] { put_u32(entry(3), 4); });
}

TEST_F(ContainerFormat, RejectsSizesThatWrapOrDisagree) {
  const std::size_t blocks = entry(3);
  const auto forge = [&](std::uint64_t section_bytes, std::uint64_t element_size,
                         std::uint64_t count) {
    put_u64(blocks + 16, section_bytes);
    put_u64(blocks + 24, element_size);
    put_u64(blocks + 32, count);
  };
  constexpr std::uint64_t kHuge = std::uint64_t{1} << 63;
  expect_corrupt("section 3: bytes is 150001", [&] { forge(150'001, 1000, 150); });
  expect_corrupt("beyond 64 bits", [&] { forge(0, kHuge, 2); });
  expect_corrupt("beyond 64 bits", [&] { forge(0, kHuge, kHuge); });
  expect_corrupt("beyond 64 bits", [&] { forge(~std::uint64_t{0}, ~std::uint64_t{0}, 2); });
  expect_corrupt("run into the section table",
                 [&] { forge(~std::uint64_t{0}, ~std::uint64_t{0}, 1); });
  expect_corrupt("run into the section table", [&] { forge(kHuge, 8, kHuge / 8); });
  expect_corrupt("run into the section table", [&] { forge(bytes_.size(), 1, bytes_.size()); });
  expect_corrupt("section 4: offset is", [&] { forge(149'000, 1000, 149); });
}

TEST_F(ContainerFormat, RejectsBadChecksumSections) {
  const std::size_t checksums = entry(kSections - 1);
  expect_corrupt("section checksums: element_size is 4", [&] {
    put_u64(checksums + 24, 4);
    put_u64(checksums + 32, 2 * u64(checksums + 32));
  });
  expect_corrupt("section checksums: count is 5", [&] {
    put_u64(checksums + 16, 40);
    put_u64(checksums + 32, 5);
  });
  expect_corrupt("the last section is rotation", [&] { put_u32(checksums, 3); });
}

TEST_F(ContainerFormat, RejectsASectionWithAnotherChecksum) {
  expect_corrupt("section lists: checksum is", [&] { put_u64(entry(1) + 48, 1); });
  put_u64(entry(3) + 48, 1);
  seal();
  const auto reader = open();
  expect_error(ErrorCode::corrupt, "section blocks: checksum is", [&] { reader->verify(); });
}

TEST_F(ContainerFormat, RejectsATrailerOfAnotherFile) {
  const auto reject = [&](const std::string& text, const std::function<void()>& forge) {
    expect_rejected(ErrorCode::corrupt, text, forge, true);
  };
  reject("trailer: wrong magic number", [&] { put_u32(trailer_, 0); });
  reject("trailer: uuid differs", [&] { put_u64(trailer_ + 8, 1); });
  reject("trailer: file_bytes is 1", [&] { put_u64(trailer_ + 24, 1); });
  reject("trailer: section_count is 1", [&] { put_u32(trailer_ + 40, 1); });
  reject("trailer: reserved", [&] { put_u32(trailer_ + 48, 1); });
  reject("uuid does not match", [&] {
    put_u64(32, 1);
    put_u64(trailer_ + 8, 1);
  });
}

// Whatever the table says, a reader stays within the file: random values in random fields.
TEST_F(ContainerFormat, SurvivesRandomTables) {
  base::Random random(5);
  const std::array<std::uint64_t, 8> values = {
      0, 1, 8, 64, 4096, bytes_.size(), std::uint64_t{1} << 63, ~std::uint64_t{0}};
  const auto original = bytes_;
  std::size_t rejected = 0;
  for (int i = 0; i < 2000; ++i) {
    for (std::uint64_t fields = 1 + random.below(3); fields > 0; --fields) {
      const std::size_t field = entry(random.below(kSections)) + 8 * random.below(8);
      put_u64(field, random.below(2) == 0 ? values.at(random.below(values.size()))
                                          : u64(field) + random.below(129) - 64);
    }
    seal();
    try {
      open()->verify();
    } catch (const Error&) {
      ++rejected;
    }
    bytes_ = original;
  }
  EXPECT_GT(rejected, 1900u);
}

}  // namespace
}  // namespace cairn::storage

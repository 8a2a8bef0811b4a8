#include "storage/payload_blocks.h"

#include <algorithm>
#include <fstream>

#include <gtest/gtest.h>

#include "cairn/payload.h"

#include "base/random.h"
#include "tests/util/expect_error.h"
#include "tests/util/temp_dir.h"

namespace cairn::storage {
namespace {

using test::expect_error;
using test::TempDir;

// Empty ones, text that compresses, noise that does not, and now and then one above a block.
std::vector<std::string> sample_payloads(std::size_t rows) {
  base::Random random(rows);
  std::vector<std::string> payloads(rows);
  for (std::size_t row = 0; row < rows; ++row) {
    std::string& payload = payloads[row];
    const std::uint64_t kind = random.below(8);
    if (kind == 0) continue;
    const std::size_t size = kind == 1 ? 20'000 + random.below(50'000) : random.below(900);
    while (payload.size() < size) {
      if (kind < 4) {
        payload.push_back(static_cast<char>(random.next()));
      } else {
        payload += "row " + std::to_string(row) + " of the sample; ";
      }
    }
  }
  return payloads;
}

OwnedPayloads encode(const std::vector<std::string>& payloads) {
  return encode_payloads(payloads.size(),
                         [&](std::size_t row, std::string& out) { out = payloads[row]; });
}

PayloadReader reader_of(const OwnedPayloads& owned, std::size_t rows) {
  return {owned.stored, owned.blocks, rows, "sample"};
}

TEST(PayloadBlocks, GiveBackEveryRowAlone) {
  for (const std::size_t rows : {1, 2, 77, 1000, 9000}) {
    const std::vector<std::string> payloads = sample_payloads(rows);
    const OwnedPayloads owned = encode(payloads);
    const PayloadReader reader = reader_of(owned, rows);
    reader.check_all();
    std::uint64_t bytes = 0;
    for (std::uint32_t row = 0; row < rows; ++row) {
      ASSERT_EQ(reader.read(row), payloads[row]) << row;
      bytes += payloads[row].size();
    }
    EXPECT_EQ(reader.plain_bytes(), bytes);
  }
}

TEST(PayloadBlocks, GiveBackManyInAnyOrder) {
  const std::vector<std::string> payloads = sample_payloads(2000);
  const OwnedPayloads owned = encode(payloads);
  const PayloadReader reader = reader_of(owned, 2000);
  base::Random random(3);
  for (const std::size_t count : {0, 1, 10, 500}) {
    std::vector<std::uint32_t> rows;
    for (std::size_t i = 0; i < count; ++i) {
      rows.push_back(static_cast<std::uint32_t>(random.below(2000)));
    }
    const std::vector<std::string> found = reader.read(rows);
    ASSERT_EQ(found.size(), count);
    for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(found[i], payloads[rows[i]]);
  }
}

TEST(PayloadBlocks, ThatHoldNothingAreSmall) {
  const std::vector<std::string> payloads(100'000);
  const OwnedPayloads owned = encode(payloads);
  EXPECT_LT(owned.stored.size() + owned.blocks.size() * sizeof(PayloadBlock), 10'000u);
  EXPECT_EQ(reader_of(owned, payloads.size()).read(99'999), "");
  EXPECT_EQ(reader_of(owned, payloads.size()).plain_bytes(), 0u);
}

TEST(PayloadBlocks, OfNoRowsAreNone) {
  const OwnedPayloads owned = encode({});
  EXPECT_TRUE(owned.blocks.empty());
  reader_of(owned, 0).check_all();
  expect_error(ErrorCode::corrupt, "0 blocks for 3 rows", [&] { reader_of(owned, 3); });
}

TEST(PayloadBlocks, ThatDoNotShrinkAreStoredAsTheyAre) {
  std::vector<std::string> payloads(1);
  base::Random random(1);
  for (int i = 0; i < 50'000; ++i) payloads[0].push_back(static_cast<char>(random.next()));
  const OwnedPayloads owned = encode(payloads);
  EXPECT_EQ(owned.blocks.at(0).bytes, owned.blocks[0].plain_bytes);
  EXPECT_EQ(reader_of(owned, 1).read(0), payloads[0]);
}

// Each byte of blocks and table is damaged in turn: every row is an Error or what it was.
TEST(PayloadBlocks, NeverGiveWrongBytesOfADamagedBlock) {
  const std::vector<std::string> payloads = sample_payloads(60);
  const OwnedPayloads good = encode(payloads);
  ASSERT_GT(good.blocks.size(), 3u);
  const auto expect_right_or_refused = [&](const OwnedPayloads& damaged, std::size_t byte) {
    std::size_t refused = 0;
    for (std::uint32_t row = 0; row < payloads.size(); ++row) {
      try {
        ASSERT_EQ(reader_of(damaged, payloads.size()).read(row), payloads[row])
            << "row " << row << ", byte " << byte;
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::corrupt);
        EXPECT_THAT(error.what(), testing::HasSubstr("sample: payloads: block "));
        EXPECT_THAT(error.what(), testing::HasSubstr("read for row " + std::to_string(row)));
        ++refused;
      }
    }
    EXPECT_LT(refused, payloads.size()) << "byte " << byte;
  };
  for (std::size_t byte = 0; byte < good.stored.size(); byte += 997) {
    OwnedPayloads damaged = good;
    damaged.stored[byte] ^= std::byte{0x10};
    expect_right_or_refused(damaged, byte);
    expect_error(ErrorCode::corrupt, "checksum",
                 [&] { reader_of(damaged, payloads.size()).check_all(); });
  }
  for (std::size_t byte = 0; byte < good.blocks.size() * sizeof(PayloadBlock); ++byte) {
    OwnedPayloads damaged = good;
    reinterpret_cast<std::byte*>(damaged.blocks.data())[byte] ^= std::byte{0x81};
    expect_right_or_refused(damaged, byte);
    EXPECT_THROW(reader_of(damaged, payloads.size()).check_all(), Error) << byte;
  }
}

// Blocks whose checksum is right, but whose bytes make no sense.
TEST(PayloadBlocks, RefuseForgedOnes) {
  const auto refuse = [](std::vector<std::uint32_t> words, std::uint32_t plain_bytes,
                         const char* message) {
    OwnedPayloads forged;
    const auto bytes = std::as_bytes(std::span(words));
    forged.stored.assign(bytes.begin(), bytes.end());
    forged.blocks = {{.bytes = static_cast<std::uint32_t>(bytes.size()),
                      .plain_bytes = plain_bytes,
                      .checksum = payload_block_checksum(bytes, 0)}};
    expect_error(ErrorCode::corrupt, message, [&] { reader_of(forged, 3).read(2); });
  };
  refuse({0}, 4, "does not hold that row");                          // no header
  refuse({1, 3, 0, 0, 0}, 20, "does not hold that row");             // another first row
  refuse({0, 2, 0, 0}, 16, "does not hold that row");                // too few rows
  refuse({0, 0xFFFFFFFF, 0, 0, 0}, 20, "does not hold that row");    // more than there is room for
  refuse({0, 3, 0, 4, 9, 0}, 24, "not within the block");            // ends beyond the block
  refuse({0, 3, 4, 4, 3, 0}, 24, "not within the block");            // ends that fall
  refuse({0, 3, 4, 4, 4, 0}, 40, "no zstd frame of 40 bytes");       // not compressed at all
  refuse({0, 3, 4, 4, 4, 0}, 8, "expected no more than these");      // grows
  refuse({0, 3, 4, 4, 4, 0}, 0xFFFFFFFF, "these at most 67117060");  // unpacks to too much
}

std::vector<std::string> lines_of(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
  LinePayloadSource source(path);
  std::vector<std::string> lines(source.rows());
  for (std::size_t row = lines.size(); row-- > 0;) source.read(row, lines[row]);
  return lines;
}

TEST(LinePayloadSource, CutsAtNewlinesAndNothingElse) {
  const TempDir dir;
  using Lines = std::vector<std::string>;
  EXPECT_EQ(lines_of(dir / "a", ""), Lines());
  EXPECT_EQ(lines_of(dir / "a", "\n"), (Lines{""}));
  EXPECT_EQ(lines_of(dir / "a", "one"), (Lines{"one"}));
  EXPECT_EQ(lines_of(dir / "a", "one\n\ntwo\r\n"), (Lines{"one", "", "two\r"}));
  EXPECT_EQ(lines_of(dir / "a", std::string("a\0b\nc", 5)), (Lines{std::string("a\0b", 3), "c"}));
}

TEST(LinePayloadSource, FindsLinesAcrossItsReads) {
  const TempDir dir;
  std::string text;
  std::vector<std::string> expected;
  for (int i = 0; i < 40'000; ++i) {
    expected.push_back(std::string(static_cast<std::size_t>(i % 173), 'x') + std::to_string(i));
    text += expected.back() + "\n";
  }
  ASSERT_GT(text.size(), 3u << 20);
  EXPECT_EQ(lines_of(dir / "a", text), expected);
}

TEST(LinePayloadSource, RefusesMissingTruncatedAndEndlessFiles) {
  const TempDir dir;
  expect_error(ErrorCode::not_found, "missing", [&] { LinePayloadSource(dir / "missing"); });
  std::ofstream(dir / "a") << "some\nlines\n";
  LinePayloadSource source(dir / "a");
  std::filesystem::resize_file(dir / "a", 6);
  std::string out;
  expect_error(ErrorCode::io, "a", [&] { source.read(1, out); });
  std::ofstream(dir / "b") << "short\n";
  std::filesystem::resize_file(dir / "b", 6 + kMaxPayloadBytes + 1);
  LinePayloadSource endless(dir / "b");
  expect_error(ErrorCode::invalid_argument, "line 2 has 67108865 bytes, expected at most 67108864",
               [&] { endless.read(1, out); });
}

}  // namespace
}  // namespace cairn::storage

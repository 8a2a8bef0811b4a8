#pragma once

// Payloads on disk and in memory: rows' bytes one after another, cut into blocks of about 8 KiB
// that are compressed each on its own, and a table of the blocks. docs/format.md, "Payloads".

#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "storage/container.h"

namespace cairn::storage {

// An element of the section payload_blocks, as it lies in files.
struct PayloadBlock {
  std::uint64_t offset = 0;       // in the section payloads
  std::uint32_t bytes = 0;        // stored; equal to plain_bytes: not compressed
  std::uint32_t plain_bytes = 0;  // header, ends of rows, payloads
  std::uint32_t first_row = 0;
  std::uint32_t reserved = 0;
  std::uint64_t checksum = 0;  // of the stored bytes
};
static_assert(sizeof(PayloadBlock) == 32 && std::endian::native == std::endian::little);

std::uint64_t payload_block_checksum(std::span<const std::byte> stored,
                                     std::uint64_t block) noexcept;

// Takes payloads in the order of rows and hands out stored blocks. The bytes depend on the payloads
// alone. One thread.
class PayloadEncoder {
 public:
  using Sink = std::function<void(std::span<const std::byte>)>;

  // Stored blocks go to `sink` one after another.
  explicit PayloadEncoder(Sink sink);

  // The next row's. At most kMaxPayloadBytes.
  void add(std::string_view payload);
  // Hands out the last block. The table of all of them.
  std::vector<PayloadBlock> finish();

 private:
  void flush();

  Sink sink_;
  std::vector<PayloadBlock> blocks_;
  std::vector<std::uint32_t> ends_;  // of the rows of the block that is open
  std::string open_;                 // and their payloads
  std::uint32_t first_row_ = 0;
  std::uint64_t offset_ = 0;
};

// Payloads of an index that was built in this process.
struct OwnedPayloads {
  std::vector<std::byte> stored;
  std::vector<PayloadBlock> blocks;
};

// Reads rows of stored blocks, which are borrowed and may hold anything: a block is checked each
// time it is read. Const calls may run concurrently.
class PayloadReader {
 public:
  // `name` begins messages: the file's path. Throws Error(corrupt) if there are no blocks for
  // `rows`.
  PayloadReader(std::span<const std::byte> stored, std::span<const PayloadBlock> blocks,
                std::size_t rows, std::string name);

  // The payload of a row below rows(). Throws Error(corrupt) naming block and row.
  std::string read(std::uint32_t row) const;
  // The same of many, in any order; rows of one block are read together.
  std::vector<std::string> read(std::span<const std::uint32_t> rows) const;

  // Unpacks every block and checks that they hold all rows. Throws Error(corrupt).
  void check_all() const;

  std::size_t rows() const noexcept { return rows_; }
  std::span<const std::byte> stored() const noexcept { return stored_; }
  std::span<const PayloadBlock> blocks() const noexcept { return blocks_; }
  // Blocks and table.
  std::uint64_t stored_bytes() const noexcept {
    return stored_.size_bytes() + blocks_.size_bytes();
  }
  // Of all payloads.
  std::uint64_t plain_bytes() const noexcept;

 private:
  std::size_t block_of(std::uint32_t row) const;
  void announce(std::size_t block) const noexcept;
  std::span<const std::byte> checked_block(std::size_t block, std::uint32_t row) const;
  // The payloads of a block; `buffer` is room for them.
  class PlainBlock;
  PlainBlock open_block(std::size_t block, std::uint32_t row, std::vector<std::byte>& buffer) const;
  [[noreturn]] void fail(std::size_t block, std::uint32_t row, const std::string& what) const;

  std::span<const std::byte> stored_;
  std::span<const PayloadBlock> blocks_;
  std::size_t rows_;
  std::string name_;
};

// Writes the sections payloads and payload_blocks to a container whose sections so far are
// complete: those of `payloads` as they are, checked before.
void copy_payloads(ContainerWriter& writer, const PayloadReader& payloads);
// And those of `rows` rows that `next(row, out)` yields, in order.
void write_payloads(ContainerWriter& writer, std::size_t rows,
                    const std::function<void(std::size_t, std::string&)>& next);
OwnedPayloads encode_payloads(std::size_t rows,
                              const std::function<void(std::size_t, std::string&)>& next);

// The payloads of an open container, which must outlive the reader; empty if it has none. Throws
// Error(corrupt).
std::optional<PayloadReader> open_payloads(const ContainerReader& container);

}  // namespace cairn::storage

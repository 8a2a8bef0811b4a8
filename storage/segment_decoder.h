#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "storage/block_codec.h"
#include "storage/exponent_code.h"
#include "storage/segment.h"

namespace cairn::storage {

// Behind the bytes of a block so many more must be readable, whatever they hold.
inline constexpr std::size_t kBlockSlack = 64;

// What decoding a segment takes besides its blocks. Pointers are borrowed; null if there is none.
struct SegmentContext {
  const Segment* segment = nullptr;
  std::size_t dim = 0;
  std::span<const std::byte> preamble;  // aligned to 4 bytes
  const ExponentCode* exponent_code = nullptr;
  const BlockCodec* block_codec = nullptr;
};

// Undoes zstd and the split into planes: `stored` becomes the `plain` block. False if it does not
// hold one of exactly that size.
bool unpack_block(const SegmentContext& context, std::span<const std::byte> stored,
                  std::span<std::byte> plain, std::vector<std::byte>& scratch);

// Rows [first, first + count) of a plain block of `block_rows` to `out` [count, dim]. False if the
// block holds something that no encoder writes.
bool decode_block_rows(const SegmentContext& context, std::span<const std::byte> plain,
                       std::size_t block_rows, std::size_t first, std::size_t count, float* out);

// The same bytes in `num_planes` planes: first bytes of all values, then second ones, ...
void split_planes(std::span<const std::byte> bytes, std::size_t num_planes, std::byte* out);
void join_planes(std::span<const std::byte> planes, std::size_t num_planes, std::byte* out);

}  // namespace cairn::storage

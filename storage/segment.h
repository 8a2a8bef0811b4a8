#pragma once

// A segment: consecutive rows that are stored in one encoding, cut into blocks of rows. Its bytes
// are a preamble, then the blocks; docs/format.md draws them. What is known of a segment is one
// entry of the `vector_segments` section.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cairn/compression.h"

namespace cairn::storage {

inline constexpr std::size_t kSegmentEntryBytes = 64;
inline constexpr std::uint64_t kSegmentAlignment = 64;
inline constexpr std::size_t kMaxSegmentRows = 262'144;
inline constexpr std::size_t kMaxBlockRows = 65'536;
// float32 bytes of a block that has to be unpacked as a whole, unless it is one row.
inline constexpr std::uint64_t kMaxUnpackedBytes = std::uint64_t{16} << 20;

struct Segment {
  std::uint64_t offset = 0;       // in the section coded_vectors, a multiple of kSegmentAlignment
  std::uint64_t bytes = 0;        // preamble and blocks
  std::uint64_t first_block = 0;  // number of its first checksum
  std::uint32_t first_row = 0;    // not stored: follows from the segments before
  std::uint32_t rows = 0;
  VectorEncoding encoding = VectorEncoding::float32;
  bool uses_zstd = false;
  unsigned block_rows_log2 = 0;
  // int8, int16: what is added to a code. decimal: power of ten of the first divisor.
  std::int32_t base = 0;
  std::uint32_t num_exceptions = 0;  // decimal: float32 patterns at the front of the preamble
  double max_error = 0;              // delta16
  double mean_error = 0;

  std::size_t block_rows() const noexcept { return std::size_t{1} << block_rows_log2; }
  // 0 for a constant segment, whose only row is its preamble.
  std::size_t num_blocks() const noexcept;
  std::size_t rows_of_block(std::size_t block) const noexcept;
  // Blocks of different sizes: their ends, as u32 from the first block on, end the preamble.
  bool has_block_ends() const noexcept;
  std::size_t preamble_bytes(std::size_t dim) const noexcept;
  // Of blocks and of the preamble, which comes first, unless it is empty.
  std::size_t num_checksums(std::size_t dim) const noexcept;
};

// Bytes of a row of a fixed-width encoding; 0 for constant and exponent.
std::size_t coded_row_bytes(VectorEncoding encoding, std::size_t dim) noexcept;
// Bytes before the rows of each block: base and scale of delta16.
std::size_t block_header_bytes(VectorEncoding encoding, std::size_t dim) noexcept;
// Bytes of a block before zstd. Not of `exponent`.
std::size_t plain_block_bytes(VectorEncoding encoding, std::size_t dim, std::size_t rows) noexcept;
// Into how many planes zstd blocks are split, by significance of bytes.
std::size_t num_planes(VectorEncoding encoding) noexcept;
// The divisors of decimal codes, as their kernel takes them. `first_power` 0 to kMaxFirstPower.
inline constexpr int kMaxFirstPower = 6;
std::vector<float> decimal_powers(int first_power);

std::vector<std::byte> encode_segments(std::span<const Segment> segments);
// Checks every entry against the rules of docs/format.md. Throws Error(corrupt), its message
// beginning with `name`.
std::vector<Segment> decode_segments(std::span<const std::byte> entries, std::uint64_t rows,
                                     std::size_t dim, std::uint64_t section_bytes,
                                     std::uint64_t num_checksums, const std::string& name);

}  // namespace cairn::storage

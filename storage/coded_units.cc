// Units of a CodedReader, which a cache keeps as they are stored.

#include <algorithm>

#include "storage/coded_reader.h"

namespace cairn::storage {
namespace {

bool is_read_by_rows(const Segment& segment, std::size_t dim) {
  return !segment.has_block_ends() && block_header_bytes(segment.encoding, dim) == 0;
}

}  // namespace

CodedReader::UnitShape CodedReader::unit_shape() const noexcept {
  UnitShape shape;
  std::uint64_t bytes = 0;
  std::uint64_t units = 0;
  std::size_t first_bytes = 0;
  for (const Segment& segment : segments_) {
    if (segment.encoding == VectorEncoding::constant) continue;
    bytes += segment.bytes;
    if (!is_read_by_rows(segment, dim_)) {
      units += segment.num_blocks();
      shape.is_row = false;
      continue;
    }
    units += segment.rows;
    const std::size_t row_bytes = coded_row_bytes(segment.encoding, dim_);
    if (first_bytes == 0) first_bytes = row_bytes;
    if (row_bytes != first_bytes) shape.is_uniform = false;
  }
  shape.is_uniform &= shape.is_row;
  shape.mean_bytes = shape.is_uniform ? first_bytes : bytes / std::max<std::uint64_t>(units, 1);
  return shape;
}

std::uint32_t CodedReader::unit_of(std::size_t row) const noexcept {
  const Segment& segment = segment_of(row);
  if (is_read_by_rows(segment, dim_)) return static_cast<std::uint32_t>(row);
  const std::size_t block = (row - segment.first_row) >> segment.block_rows_log2;
  return static_cast<std::uint32_t>(segment.first_row + (block << segment.block_rows_log2));
}

std::size_t CodedReader::unit_bytes(std::size_t row) const {
  const Segment& segment = segment_of(row);
  if (segment.encoding == VectorEncoding::constant) return 0;
  if (is_read_by_rows(segment, dim_)) return coded_row_bytes(segment.encoding, dim_);
  return place_of(segment, (row - segment.first_row) >> segment.block_rows_log2).bytes;
}

void CodedReader::read_unit(std::size_t row, std::span<std::byte> out) const {
  if (!is_mapped()) check_unchanged();
  const Segment& segment = segment_of(row);
  const std::size_t block = (row - segment.first_row) >> segment.block_rows_log2;
  const auto bytes = checked_block(segment, block, place_of(segment, block), row);
  const std::size_t begin =
      is_read_by_rows(segment, dim_)
          ? (row - segment.first_row - (block << segment.block_rows_log2)) * out.size()
          : 0;
  std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(begin), out.size(), out.begin());
}

void CodedReader::read_from_unit(std::size_t row, std::span<const std::byte> unit,
                                 float* out) const {
  const Segment& segment = segment_of(row);
  const std::size_t block = (row - segment.first_row) >> segment.block_rows_log2;
  const bool is_row = is_read_by_rows(segment, dim_);
  if (segment.uses_zstd) {
    unit = plain_block(segment, block, row, unit);
  } else if (segment.encoding != VectorEncoding::float32) {
    // Decoders read a little beyond the end, which here would be somebody else's bytes.
    thread_local std::vector<std::byte> scratch;
    if (scratch.size() < unit.size() + kBlockSlack) scratch.resize(unit.size() + kBlockSlack);
    std::copy(unit.begin(), unit.end(), scratch.begin());
    unit = std::span(scratch).first(unit.size());
  }
  const std::size_t block_rows = is_row ? 1 : segment.rows_of_block(block);
  const std::size_t at = is_row ? 0 : row - segment.first_row - (block << segment.block_rows_log2);
  if (!decode_block_rows(context_of(segment), unit, block_rows, at, 1, out)) {
    fail_block(segment, block, row);
  }
}

}  // namespace cairn::storage

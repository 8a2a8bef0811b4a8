#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "cairn/compression.h"
#include "cairn/vector_store.h"

#include "storage/container.h"
#include "storage/exponent_code.h"
#include "storage/segment.h"

namespace cairn::storage {

// Throws Error(invalid_argument): an encoding or level that does not exist.
void check_compression_options(const CompressionOptions& options);

// Float32 bytes of a segment are about this, a power of two of rows.
std::size_t segment_rows(std::size_t dim) noexcept;

// Writes the sections that stand for `vectors` to an open container: exponent_code and
// vector_dictionary where needed, coded_vectors, vector_segments, vector_checksums. `producer` is
// asked for samples first, then for all rows in order. Returns what came of it.
CompressionStats write_coded_vectors(ContainerWriter& writer, std::size_t rows, std::size_t dim,
                                     const RowProducer& producer,
                                     const CompressionOptions& options);

// The checksum of a block, or preamble, by its number in the file.
std::uint64_t coded_block_checksum(std::span<const std::byte> bytes, std::uint64_t number) noexcept;

// Adds a segment to the statistics of its encoding.
void add_segment(const Segment& segment, std::size_t dim, CompressionStats& stats);

// Counts exponents of `values` and makes a code of them.
ExponentCode exponent_code_for(std::span<const float> values);

// A dictionary for the blocks of `rows` as `options` would have them; empty if it would not pay.
std::vector<std::byte> dictionary_for(MatrixView rows, const CompressionOptions& options);

}  // namespace cairn::storage

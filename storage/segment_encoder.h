#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "cairn/compression.h"
#include "cairn/types.h"

#include "storage/block_codec.h"
#include "storage/exponent_code.h"
#include "storage/segment.h"

namespace cairn::storage {

struct EncodedSegment {
  Segment segment;  // without place in the file
  std::vector<std::byte> bytes;
  std::vector<std::size_t> part_bytes;  // of preamble, if any, and blocks
};

// Encodes segments as `options` ask; every value of a lossless one is decoded and compared before
// it is handed out. Const calls may run concurrently.
class SegmentEncoder {
 public:
  // The codes are borrowed and must outlive the encoder. Without an exponent code that encoding is
  // not tried; `block_codec` belongs to options.zstd_level.
  SegmentEncoder(std::size_t dim, const CompressionOptions& options,
                 const ExponentCode* exponent_code, const BlockCodec* block_codec);

  // `rows` of 1 to kMaxSegmentRows.
  EncodedSegment encode(MatrixView rows) const;
  // The blocks of `rows` as they come to zstd, appended one after another, and their sizes.
  void append_planes(MatrixView rows, std::vector<std::byte>& planes,
                     std::vector<std::size_t>& sizes) const;
  // In this encoding, without zstd; empty if it cannot hold the rows, or is exponent or decimal and
  // saves less than 2 %.
  std::optional<EncodedSegment> encode_as(VectorEncoding encoding, MatrixView rows) const;

 private:
  EncodedSegment choose(VectorEncoding wanted, MatrixView rows) const;
  unsigned block_rows_log2(VectorEncoding encoding, bool is_unpacked_whole) const;
  unsigned zstd_block_rows_log2(VectorEncoding encoding) const;
  std::optional<EncodedSegment> compress(const EncodedSegment& plain, MatrixView rows) const;
  std::optional<EncodedSegment> encode_constant(MatrixView rows) const;
  std::optional<EncodedSegment> encode_fixed(VectorEncoding encoding, MatrixView rows) const;
  std::optional<EncodedSegment> encode_decimal(MatrixView rows) const;
  std::optional<EncodedSegment> encode_exponent(MatrixView rows) const;
  std::optional<EncodedSegment> encode_delta(MatrixView rows) const;
  // Decodes and compares; of delta16, notes the error.
  bool prove(EncodedSegment& encoded, MatrixView rows) const;

  std::size_t dim_;
  CompressionOptions options_;
  const ExponentCode* exponent_code_;
  const BlockCodec* block_codec_;
};

// All rows of an encoded segment to `out`. False if it is none. `bytes` of `encoded` are followed
// by kBlockSlack more.
bool decode_encoded(const EncodedSegment& encoded, std::size_t dim,
                    const ExponentCode* exponent_code, const BlockCodec* block_codec, float* out);

}  // namespace cairn::storage

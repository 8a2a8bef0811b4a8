#pragma once

// How full vectors are made smaller on disk without changing a bit of them.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "cairn/export.h"
#include "cairn/types.h"

namespace cairn {

/// How the rows of one segment are stored. Values are part of the file format.
///
/// All but delta16 give back the same 32-bit patterns, which is proved on every value while
/// writing: a segment that an encoding cannot hold is stored in another one. In all of them but
/// `exponent` a row has a fixed number of bytes, so that one row is read without its neighbours.
enum class VectorEncoding : std::uint8_t {
  automatic = 0,    ///< per segment, the smallest of the following but delta16; never stored
  constant = 1,     ///< all rows of the segment are the same
  int8 = 2,         ///< integers within a range of 256
  int16 = 3,        ///< integers within a range of 65,536
  half = 4,         ///< IEEE half precision
  bfloat16 = 5,     ///< the upper 16 bits
  scaled_half = 6,  ///< half / n, one n per row: normalised after a computation in half precision
  decimal = 7,      ///< up to five decimal digits: 20 bits
  exponent = 8,     ///< exponents in a Huffman code, sign and mantissa as they are
  float32 = 9,      ///< as given
  delta16 = 10,     ///< LOSSY: 16-bit steps from the mean of neighbouring rows
};

/// "auto", "constant", "int8", ..., "delta16".
CAIRN_EXPORT const char* to_string(VectorEncoding encoding) noexcept;
/// The inverse of to_string; empty for anything else.
CAIRN_EXPORT std::optional<VectorEncoding> parse_vector_encoding(std::string_view name) noexcept;

/// How vectors are compressed. The defaults keep every row readable on its own.
struct CompressionOptions {
  VectorEncoding encoding = VectorEncoding::automatic;
  /// 1 to 22: each block is compressed by zstd on top, its bytes split by significance, where that
  /// saves anything; a row then costs a block. 0: no zstd.
  int zstd_level = 0;
  /// With zstd: a dictionary, trained on a sample of blocks and stored in the file. Pays for small
  /// blocks.
  bool train_dictionary = false;
  std::size_t block_rows = 0;  ///< rows per block, rounded up to a power of two; 0: 8 to 16 KiB
  unsigned threads = 0;        ///< that encode; 0: all cores
};

/// What became of the rows that are stored in one way.
struct EncodingStats {
  VectorEncoding encoding = VectorEncoding::float32;
  bool uses_zstd = false;
  std::uint64_t segments = 0;
  std::uint64_t rows = 0;
  std::uint64_t raw_bytes = 0;     ///< as float32
  std::uint64_t stored_bytes = 0;  ///< with checksums and tables
  double encode_seconds = 0;       ///< summed over threads; 0 if the file was only opened
  double decode_seconds = 0;       ///< of the last check_all(); 0 before
};

/// What compression has done for a store.
struct CompressionStats {
  std::uint64_t raw_bytes = 0;
  std::uint64_t stored_bytes = 0;      ///< with checksums, tables and dictionary
  std::uint64_t dictionary_bytes = 0;  ///< of these
  double max_error = 0;                ///< largest |stored - given| of a value; 0 unless delta16
  double mean_error = 0;               ///< mean of the same over all values
  std::vector<EncodingStats> encodings;

  double ratio() const noexcept {
    return stored_bytes == 0 ? 1
                             : static_cast<double>(raw_bytes) / static_cast<double>(stored_bytes);
  }
};

/// What one encoding would make of the rows that were looked at.
struct EncodingEstimate {
  VectorEncoding encoding = VectorEncoding::float32;
  int zstd_level = 0;
  bool has_dictionary = false;  ///< trained on other rows than it is judged by; its size left out
  double share = 0;             ///< of the segments that it can hold; the rest counts as float32
  double ratio = 1;             ///< raw bytes / stored bytes, with checksums and tables
  double encode_bytes_per_second = 0;  ///< of float32, one thread
  double decode_bytes_per_second = 0;
  double max_error = 0;  ///< 0 unless delta16
  double mean_error = 0;
};

/// What can be saved on a set of vectors.
struct VectorAnalysis {
  std::size_t rows = 0;
  std::size_t dim = 0;
  std::size_t sampled_rows = 0;
  /// Entropy, in bits, of each byte of a value on its own, lowest first, and of the exponent.
  double byte_entropy[4] = {};
  double exponent_entropy = 0;
  /// What no coder of single values can beat: 32 / (24 + exponent_entropy), for data whose sign and
  /// mantissa are noise; and 32 / sum(byte_entropy).
  double exponent_ceiling = 1;
  double byte_ceiling = 1;
  std::vector<EncodingEstimate> estimates;  ///< without zstd, with it, and with a dictionary
};

/// Tries every encoding on a sample of `vectors` of about `sample_bytes`, in runs of rows spread
/// over all of them. `zstd_level` 1 to 22.
/// @throws Error invalid_argument.
CAIRN_EXPORT VectorAnalysis analyze_vectors(MatrixView vectors, int zstd_level = 3,
                                            std::size_t sample_bytes = std::size_t{32} << 20);

}  // namespace cairn

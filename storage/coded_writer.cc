#include "storage/coded_writer.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "cairn/error.h"

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/parallel.h"
#include "storage/block_codec.h"
#include "storage/float_bits.h"
#include "storage/format.h"
#include "storage/segment_encoder.h"
#include "storage/vector_shape.h"

namespace cairn::storage {
namespace {

constexpr std::size_t kSegmentBytes = std::size_t{1} << 20;
constexpr std::size_t kMinSegmentRows = 64;

// Samples: runs of neighbouring rows here and there.
constexpr std::size_t kSampleRuns = 64;
constexpr std::size_t kExponentSampleBytes = std::size_t{4} << 20;
constexpr std::size_t kDictionarySampleBytes = std::size_t{16} << 20;
constexpr std::size_t kDictionaryBytes = 112640;  // zstd's own default
constexpr int kMaxZstdLevel = 22;

using Clock = std::chrono::steady_clock;

// At most `bytes` of rows from all over the matrix, in runs of equal length.
std::vector<float> sample_rows(std::size_t rows, std::size_t dim, const RowProducer& producer,
                               std::size_t bytes) {
  const std::size_t wanted = std::max<std::size_t>(1, bytes / (dim * sizeof(float)));
  if (wanted >= rows) {
    std::vector<float> all(rows * dim);
    const std::size_t chunk = rows_per_chunk(dim);
    for (std::size_t first = 0; first < rows; first += chunk) {
      producer(first, std::min(chunk, rows - first), all.data() + first * dim);
    }
    return all;
  }
  const std::size_t run = std::max<std::size_t>(1, wanted / kSampleRuns);
  const std::size_t runs = wanted / run;
  std::vector<float> sample(runs * run * dim);
  for (std::size_t i = 0; i < runs; ++i) {
    const std::size_t first = (rows - run) / runs * i;
    producer(first, run, sample.data() + i * run * dim);
  }
  return sample;
}

// What all segments are encoded with.
struct Codes {
  std::optional<ExponentCode> exponent_code;
  std::vector<std::byte> dictionary;
  std::unique_ptr<BlockCodec> block_codec;
};

Codes prepare_codes(std::size_t rows, std::size_t dim, const RowProducer& producer,
                    const CompressionOptions& options) {
  Codes codes;
  if (rows == 0) return codes;
  if (options.encoding == VectorEncoding::automatic ||
      options.encoding == VectorEncoding::exponent) {
    codes.exponent_code = exponent_code_for(sample_rows(rows, dim, producer, kExponentSampleBytes));
  }
  if (options.zstd_level == 0) return codes;
  if (options.train_dictionary) {
    const std::vector<float> sample = sample_rows(rows, dim, producer, kDictionarySampleBytes);
    codes.dictionary = dictionary_for({sample.data(), sample.size() / dim, dim}, options);
  }
  codes.block_codec = std::make_unique<BlockCodec>(options.zstd_level, codes.dictionary);
  return codes;
}

// Takes encoded segments in order, places them and appends them.
class SegmentWriter {
 public:
  SegmentWriter(ContainerWriter& writer, std::size_t dim) : writer_(writer), dim_(dim) {
    writer_.begin_open_section(SectionType::coded_vectors, kCodedAlignmentLog2);
  }

  void append(const EncodedSegment& encoded, std::size_t first_row, CompressionStats& stats) {
    static constexpr std::byte kZeros[kSegmentAlignment] = {};
    const std::uint64_t padding =
        (kSegmentAlignment - end_ % kSegmentAlignment) % kSegmentAlignment;
    writer_.append(std::span(kZeros).first(padding));
    Segment segment = encoded.segment;
    segment.first_row = static_cast<std::uint32_t>(first_row);
    segment.offset = end_ + padding;
    segment.first_block = checksums_.size();
    std::span<const std::byte> left = encoded.bytes;
    for (const std::size_t size : encoded.part_bytes) {
      checksums_.push_back(coded_block_checksum(left.first(size), checksums_.size()));
      left = left.subspan(size);
    }
    writer_.append(encoded.bytes);
    end_ = segment.offset + segment.bytes;
    add_segment(segment, dim_, stats);
    segments_.push_back(segment);
  }

  void finish() {
    writer_.end_section();
    const std::vector<std::byte> entries = encode_segments(segments_);
    writer_.begin_section(SectionType::vector_segments, kSegmentEntryBytes, segments_.size());
    writer_.append(entries);
    base::ByteWriter checksums;
    for (const std::uint64_t checksum : checksums_) checksums.u64(checksum);
    writer_.begin_section(SectionType::vector_checksums, sizeof(std::uint64_t), checksums_.size());
    writer_.append(checksums.bytes());
  }

 private:
  static constexpr unsigned kCodedAlignmentLog2 = 12;

  ContainerWriter& writer_;
  std::size_t dim_;
  std::vector<Segment> segments_;
  std::vector<std::uint64_t> checksums_;
  std::uint64_t end_ = 0;
};

void write_codes(const Codes& codes, ContainerWriter& writer, CompressionStats& stats) {
  if (codes.exponent_code) {
    const ExponentCode::Lengths& lengths = codes.exponent_code->lengths();
    writer.write_section(SectionType::exponent_code, std::span<const std::uint8_t>(lengths));
    stats.stored_bytes += lengths.size();
  }
  if (!codes.dictionary.empty()) {
    writer.write_section(SectionType::vector_dictionary,
                         std::span<const std::byte>(codes.dictionary));
    stats.dictionary_bytes = codes.dictionary.size();
    stats.stored_bytes += codes.dictionary.size();
  }
}

}  // namespace

void check_compression_options(const CompressionOptions& options) {
  if (options.encoding > VectorEncoding::delta16) {
    throw Error(
        ErrorCode::invalid_argument,
        "compression: unknown encoding " + std::to_string(static_cast<unsigned>(options.encoding)));
  }
  if (options.zstd_level < 0 || options.zstd_level > kMaxZstdLevel) {
    throw Error(ErrorCode::invalid_argument,
                "compression: zstd_level is " + std::to_string(options.zstd_level) +
                    ", expected 0 to " + std::to_string(kMaxZstdLevel));
  }
  if (options.block_rows > kMaxBlockRows) {
    throw Error(ErrorCode::invalid_argument,
                "compression: block_rows is " + std::to_string(options.block_rows) +
                    ", expected at most " + std::to_string(kMaxBlockRows));
  }
  if (options.train_dictionary && options.zstd_level == 0) {
    throw Error(ErrorCode::invalid_argument,
                "compression: a dictionary needs a zstd_level of 1 to 22, found 0");
  }
}

std::size_t segment_rows(std::size_t dim) noexcept {
  return std::clamp(std::bit_ceil(kSegmentBytes / (dim * sizeof(float))), kMinSegmentRows,
                    kMaxSegmentRows);
}

std::uint64_t coded_block_checksum(std::span<const std::byte> bytes,
                                   std::uint64_t number) noexcept {
  return block_checksum(SectionType::vector_checksums, number, bytes);
}

void add_segment(const Segment& segment, std::size_t dim, CompressionStats& stats) {
  const auto found =
      std::find_if(stats.encodings.begin(), stats.encodings.end(), [&](const EncodingStats& entry) {
        return entry.encoding == segment.encoding && entry.uses_zstd == segment.uses_zstd;
      });
  EncodingStats& entry = found != stats.encodings.end()
                             ? *found
                             : stats.encodings.emplace_back(EncodingStats{
                                   .encoding = segment.encoding, .uses_zstd = segment.uses_zstd});
  const std::uint64_t raw_bytes = std::uint64_t{segment.rows} * dim * sizeof(float);
  const std::uint64_t stored_bytes =
      segment.bytes + kSegmentEntryBytes + sizeof(std::uint64_t) * segment.num_checksums(dim);
  ++entry.segments;
  entry.rows += segment.rows;
  entry.raw_bytes += raw_bytes;
  entry.stored_bytes += stored_bytes;
  const double before = static_cast<double>(stats.raw_bytes);
  stats.raw_bytes += raw_bytes;
  stats.stored_bytes += stored_bytes;
  stats.max_error = std::max(stats.max_error, segment.max_error);
  stats.mean_error =
      (stats.mean_error * before + segment.mean_error * static_cast<double>(raw_bytes)) /
      static_cast<double>(stats.raw_bytes);
}

ExponentCode exponent_code_for(std::span<const float> values) {
  std::array<std::uint64_t, ExponentCode::kExponents> counts{};
  for (const float value : values) ++counts[bits_of(value) >> 23 & 0xFF];
  return ExponentCode::for_counts(counts);
}

std::vector<std::byte> dictionary_for(MatrixView rows, const CompressionOptions& options) {
  // Blocks as they come to zstd, but for exponent coding, which leaves nothing to it.
  CompressionOptions plain = options;
  plain.zstd_level = 0;
  const SegmentEncoder encoder(rows.dim, plain, nullptr, nullptr);
  std::vector<std::byte> samples;
  std::vector<std::size_t> sizes;
  const std::size_t step = segment_rows(rows.dim);
  for (std::size_t first = 0; first < rows.rows; first += step) {
    const std::size_t count = std::min(step, rows.rows - first);
    encoder.append_planes({rows.row(first), count, rows.dim}, samples, sizes);
  }
  return train_dictionary(samples, sizes, kDictionaryBytes);
}

// Segments are encoded a few at a time, on all threads, and written in order, so that the file does
// not depend on the number of threads.
CompressionStats write_coded_vectors(ContainerWriter& writer, std::size_t rows, std::size_t dim,
                                     const RowProducer& producer,
                                     const CompressionOptions& options) {
  check_compression_options(options);
  check_shape(rows, dim);
  CompressionStats stats;
  const Codes codes = prepare_codes(rows, dim, producer, options);
  write_codes(codes, writer, stats);
  SegmentWriter segments(writer, dim);
  const SegmentEncoder encoder(dim, options, codes.exponent_code ? &*codes.exponent_code : nullptr,
                               codes.block_codec.get());
  const unsigned threads = base::resolve_threads(options.threads);
  const std::size_t step = segment_rows(dim);
  const std::size_t batch = step * threads;
  std::vector<float> values(std::min(batch, rows) * dim);
  std::vector<EncodedSegment> encoded(threads);
  std::vector<double> seconds(threads);
  for (std::size_t first = 0; first < rows; first += batch) {
    const std::size_t count = std::min(batch, rows - first);
    producer(first, count, values.data());
    const std::size_t num_segments = (count + step - 1) / step;
    base::parallel_for(num_segments, threads, [&](std::size_t i, unsigned) {
      const Clock::time_point start = Clock::now();
      const std::size_t segment_count = std::min(step, count - i * step);
      encoded[i] = encoder.encode({values.data() + i * step * dim, segment_count, dim});
      seconds[i] = std::chrono::duration<double>(Clock::now() - start).count();
    });
    for (std::size_t i = 0; i < num_segments; ++i) {
      segments.append(encoded[i], first + i * step, stats);
      for (EncodingStats& entry : stats.encodings) {
        if (entry.encoding == encoded[i].segment.encoding &&
            entry.uses_zstd == encoded[i].segment.uses_zstd) {
          entry.encode_seconds += seconds[i];
        }
      }
    }
  }
  segments.finish();
  return stats;
}

}  // namespace cairn::storage

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <optional>
#include <vector>

#include "cairn/compression.h"
#include "cairn/error.h"

#include "storage/block_codec.h"
#include "storage/coded_writer.h"
#include "storage/float_bits.h"
#include "storage/format.h"
#include "storage/segment_decoder.h"
#include "storage/segment_encoder.h"
#include "storage/vector_shape.h"

namespace cairn {
namespace {

using storage::EncodedSegment;
using storage::SegmentEncoder;
using Clock = std::chrono::steady_clock;
using Histogram = std::array<std::uint64_t, 256>;

// Decoding is repeated until it has taken so long in all.
constexpr double kDecodeSeconds = 0.05;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double entropy(const Histogram& counts) {
  double total = 0;
  for (const std::uint64_t count : counts) total += static_cast<double>(count);
  double bits = 0;
  for (const std::uint64_t count : counts) {
    if (count == 0) continue;
    const double share = static_cast<double>(count) / total;
    bits -= share * std::log2(share);
  }
  return bits;
}

// Whole segments, evenly spread.
std::vector<MatrixView> sample_segments(MatrixView vectors, std::size_t sample_bytes) {
  const std::size_t step = storage::segment_rows(vectors.dim);
  const std::size_t segments = (vectors.rows + step - 1) / step;
  const std::size_t segment_bytes = step * vectors.dim * sizeof(float);
  const std::size_t wanted =
      std::clamp<std::size_t>(sample_bytes / segment_bytes, 1, std::max<std::size_t>(segments, 1));
  std::vector<MatrixView> sample;
  for (std::size_t i = 0; i < wanted && segments > 0; ++i) {
    const std::size_t first = i * segments / wanted * step;
    sample.push_back({vectors.row(first), std::min(step, vectors.rows - first), vectors.dim});
  }
  return sample;
}

void count_bits(std::span<const MatrixView> sample, VectorAnalysis& analysis) {
  std::array<Histogram, 4> bytes{};
  Histogram exponents{};
  for (const MatrixView& segment : sample) {
    for (std::size_t i = 0; i < segment.rows * segment.dim; ++i) {
      const std::uint32_t bits = storage::bits_of(segment.data[i]);
      for (unsigned b = 0; b < 4; ++b) ++bytes[b][bits >> 8 * b & 0xFF];
      ++exponents[bits >> 23 & 0xFF];
    }
  }
  double sum = 0;
  for (std::size_t b = 0; b < 4; ++b) {
    analysis.byte_entropy[b] = entropy(bytes[b]);
    sum += analysis.byte_entropy[b];
  }
  analysis.exponent_entropy = entropy(exponents);
  analysis.exponent_ceiling = 32 / (24 + analysis.exponent_entropy);
  analysis.byte_ceiling = sum > 0 ? 32 / sum : 0;
}

// Tries encodings on the sample and adds up what comes of them.
class Trial {
 public:
  Trial(std::size_t dim, const storage::ExponentCode& code, const storage::BlockCodec* codec,
        EncodingEstimate estimate)
      : dim_(dim), code_(code), codec_(codec), estimate_(estimate) {}

  void run(MatrixView rows) {
    const SegmentEncoder encoder(
        dim_, {.encoding = estimate_.encoding, .zstd_level = estimate_.zstd_level}, &code_, codec_);
    const Clock::time_point start = Clock::now();
    EncodedSegment encoded = encoder.encode(rows);
    encode_seconds_ += seconds_since(start);
    const storage::Segment& segment = encoded.segment;
    const bool is_held =
        estimate_.encoding == VectorEncoding::automatic || segment.encoding == estimate_.encoding;
    const double raw = static_cast<double>(rows.rows * dim_ * sizeof(float));
    raw_bytes_ += raw;
    held_bytes_ += is_held ? raw : 0;
    const double stored = static_cast<double>(segment.bytes);
    stored_bytes_ += stored + storage::kSegmentEntryBytes +
                     8 * static_cast<double>(segment.num_checksums(dim_)) +
                     8 * stored / storage::kChecksumBlockBytes;
    estimate_.max_error = std::max(estimate_.max_error, segment.max_error);
    error_ += segment.mean_error * raw;
    measure_decoding(encoded, raw);
  }

  EncodingEstimate result() const {
    EncodingEstimate estimate = estimate_;
    estimate.share = held_bytes_ / raw_bytes_;
    estimate.ratio = raw_bytes_ / stored_bytes_;
    estimate.mean_error = error_ / raw_bytes_;
    estimate.encode_bytes_per_second = raw_bytes_ / encode_seconds_;
    estimate.decode_bytes_per_second = decoded_bytes_ / decode_seconds_;
    return estimate;
  }

 private:
  void measure_decoding(EncodedSegment& encoded, double raw) {
    if (decode_seconds_ > kDecodeSeconds) return;
    encoded.bytes.resize(encoded.bytes.size() + storage::kBlockSlack);
    decoded_.resize(encoded.segment.rows * dim_);
    for (int round = 0; round < 2; ++round) {
      const Clock::time_point start = Clock::now();
      storage::decode_encoded(encoded, dim_, &code_, codec_, decoded_.data());
      if (round == 0) continue;  // warms up
      decode_seconds_ += seconds_since(start);
      decoded_bytes_ += raw;
    }
  }

  std::size_t dim_;
  const storage::ExponentCode& code_;
  const storage::BlockCodec* codec_;
  EncodingEstimate estimate_;
  std::vector<float> decoded_;
  double raw_bytes_ = 0;
  double held_bytes_ = 0;
  double stored_bytes_ = 0;
  double error_ = 0;
  double encode_seconds_ = 1e-9;
  double decode_seconds_ = 1e-9;
  double decoded_bytes_ = 0;
};

constexpr VectorEncoding kTried[] = {
    VectorEncoding::constant, VectorEncoding::int8,     VectorEncoding::int16,
    VectorEncoding::half,     VectorEncoding::bfloat16, VectorEncoding::scaled_half,
    VectorEncoding::decimal,  VectorEncoding::exponent, VectorEncoding::float32,
    VectorEncoding::delta16,  VectorEncoding::automatic};

// A dictionary is trained on every other segment and judged by those between.
std::optional<EncodingEstimate> try_dictionary(std::span<const MatrixView> sample,
                                               const storage::ExponentCode& code, int level) {
  if (sample.size() < 2) return std::nullopt;
  const std::size_t dim = sample[0].dim;
  std::vector<float> training;
  for (std::size_t i = 0; i < sample.size(); i += 2) {
    training.insert(training.end(), sample[i].data, sample[i].data + sample[i].rows * dim);
  }
  const CompressionOptions options{.zstd_level = level, .train_dictionary = true};
  const std::vector<std::byte> dictionary =
      storage::dictionary_for({training.data(), training.size() / dim, dim}, options);
  if (dictionary.empty()) return std::nullopt;
  const storage::BlockCodec codec(level, dictionary);
  Trial trial(dim, code, &codec,
              {.encoding = VectorEncoding::automatic, .zstd_level = level, .has_dictionary = true});
  for (std::size_t i = 1; i < sample.size(); i += 2) trial.run(sample[i]);
  return trial.result();
}

}  // namespace

VectorAnalysis analyze_vectors(MatrixView vectors, int zstd_level, std::size_t sample_bytes) {
  storage::check_view(vectors);
  storage::check_compression_options({.zstd_level = zstd_level});
  if (zstd_level == 0) {
    throw Error(ErrorCode::invalid_argument, "analyze: zstd_level is 0, expected 1 to 22");
  }
  VectorAnalysis analysis;
  analysis.rows = vectors.rows;
  analysis.dim = vectors.dim;
  const std::vector<MatrixView> sample = sample_segments(vectors, sample_bytes);
  if (sample.empty()) return analysis;
  for (const MatrixView& segment : sample) analysis.sampled_rows += segment.rows;
  count_bits(sample, analysis);

  std::vector<float> values;
  for (const MatrixView& segment : sample) {
    values.insert(values.end(), segment.data, segment.data + segment.dim * segment.rows);
  }
  const storage::ExponentCode code = storage::exponent_code_for(values);
  const storage::BlockCodec codec(zstd_level, {});
  for (const int level : {0, zstd_level}) {
    for (const VectorEncoding encoding : kTried) {
      // zstd adds nothing to these two.
      const bool is_final =
          encoding == VectorEncoding::constant || encoding == VectorEncoding::exponent;
      if (level > 0 && is_final) continue;
      Trial trial(vectors.dim, code, level > 0 ? &codec : nullptr,
                  {.encoding = encoding, .zstd_level = level});
      for (const MatrixView& segment : sample) trial.run(segment);
      analysis.estimates.push_back(trial.result());
    }
  }
  if (const auto estimate = try_dictionary(sample, code, zstd_level)) {
    analysis.estimates.push_back(*estimate);
  }
  return analysis;
}

}  // namespace cairn

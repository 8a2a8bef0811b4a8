#include "storage/segment_decoder.h"

#include <algorithm>
#include <cstring>

#include "storage/codec_kernels/codec_kernels.h"

namespace cairn::storage {
namespace {

const std::uint8_t* as_codes(const std::byte* bytes) {
  return reinterpret_cast<const std::uint8_t*>(bytes);
}

template <typename T>
T load(const std::byte* bytes) noexcept {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

// A record: 3 bytes per value of mantissa and sign, then the codes of exponents. The ends of
// records, as u32 from the first one on, precede them.
bool decode_exponent_rows(const SegmentContext& context, std::span<const std::byte> block,
                          std::size_t block_rows, std::size_t first, std::size_t count,
                          float* out) {
  const kernels::CodecKernels& kernels = kernels::active_codec();
  thread_local std::vector<std::uint8_t> exponents;
  const std::size_t dim = context.dim;
  exponents.resize(dim + 8);
  const std::size_t table_bytes = block_rows * sizeof(std::uint32_t);
  if (block.size() < table_bytes || context.exponent_code == nullptr) return false;
  const std::span<const std::byte> records = block.subspan(table_bytes);
  const auto end_of = [&](std::size_t row) {
    return std::size_t{load<std::uint32_t>(block.data() + row * sizeof(std::uint32_t))};
  };
  for (std::size_t row = first; row < first + count; ++row, out += dim) {
    const std::size_t begin = row == 0 ? 0 : end_of(row - 1);
    const std::size_t end = end_of(row);
    if (begin > end || end > records.size() || end - begin < 3 * dim) return false;
    const std::span<const std::byte> record = records.subspan(begin, end - begin);
    if (!context.exponent_code->decode(record.subspan(3 * dim), dim, exponents.data())) {
      return false;
    }
    kernels.merge_exponents(as_codes(record.data()), dim, exponents.data(), out);
  }
  return true;
}

bool decode_decimal_rows(const SegmentContext& context, const std::byte* rows, std::size_t count,
                         float* out) {
  const kernels::CodecKernels& kernels = kernels::active_codec();
  static const std::vector<std::vector<float>> all_powers = [] {
    std::vector<std::vector<float>> powers;
    for (int first = 0; first <= kMaxFirstPower; ++first) powers.push_back(decimal_powers(first));
    return powers;
  }();
  const float* const powers = all_powers[static_cast<std::size_t>(context.segment->base)].data();
  const auto* const exceptions = reinterpret_cast<const std::uint32_t*>(context.preamble.data());
  const std::size_t row_bytes = coded_row_bytes(VectorEncoding::decimal, context.dim);
  bool is_valid = true;
  for (std::size_t i = 0; i < count; ++i) {
    is_valid &=
        kernels.decode_decimal(as_codes(rows + i * row_bytes), context.dim, powers, exceptions,
                               context.segment->num_exceptions, out + i * context.dim);
  }
  return is_valid;
}

void decode_scaled_rows(std::size_t dim, const std::byte* rows, std::size_t count, float* out) {
  const kernels::CodecKernels& kernels = kernels::active_codec();
  const std::size_t row_bytes = coded_row_bytes(VectorEncoding::scaled_half, dim);
  for (std::size_t i = 0; i < count; ++i, rows += row_bytes) {
    kernels.decode_scaled_half(as_codes(rows + sizeof(float)), dim, load<float>(rows),
                               out + i * dim);
  }
}

void decode_delta_rows(std::size_t dim, std::span<const std::byte> block, const std::byte* rows,
                       std::size_t count, float* out) {
  const kernels::CodecKernels& kernels = kernels::active_codec();
  thread_local std::vector<float> base;
  base.resize(dim);
  std::memcpy(base.data(), block.data(), dim * sizeof(float));
  const auto scale = load<float>(block.data() + dim * sizeof(float));
  for (std::size_t i = 0; i < count; ++i, rows += 2 * dim) {
    kernels.decode_delta16(as_codes(rows), dim, base.data(), scale, out + i * dim);
  }
}

template <std::size_t Planes>
void join(const std::byte* planes, std::size_t values, std::byte* out) {
  for (std::size_t i = 0; i < values; ++i) {
    for (std::size_t p = 0; p < Planes; ++p) out[Planes * i + p] = planes[p * values + i];
  }
}

}  // namespace

void split_planes(std::span<const std::byte> bytes, std::size_t num_planes, std::byte* out) {
  const std::size_t values = bytes.size() / num_planes;
  for (std::size_t p = 0; p < num_planes; ++p) {
    for (std::size_t i = 0; i < values; ++i) *out++ = bytes[num_planes * i + p];
  }
}

void join_planes(std::span<const std::byte> planes, std::size_t num_planes, std::byte* out) {
  if (num_planes == 1) {
    std::copy(planes.begin(), planes.end(), out);
  } else if (num_planes == 2) {
    join<2>(planes.data(), planes.size() / 2, out);
  } else {
    join<4>(planes.data(), planes.size() / 4, out);
  }
}

bool unpack_block(const SegmentContext& context, std::span<const std::byte> stored,
                  std::span<std::byte> plain, std::vector<std::byte>& scratch) {
  const std::size_t planes = num_planes(context.segment->encoding);
  // A block that zstd could not make smaller is stored without it.
  if (stored.size() == plain.size()) {
    join_planes(stored, planes, plain.data());
    return true;
  }
  if (context.block_codec == nullptr || stored.size() > plain.size()) return false;
  if (planes == 1) return context.block_codec->decompress(stored, plain);
  scratch.resize(plain.size());
  if (!context.block_codec->decompress(stored, scratch)) return false;
  join_planes(scratch, planes, plain.data());
  return true;
}

bool decode_block_rows(const SegmentContext& context, std::span<const std::byte> plain,
                       std::size_t block_rows, std::size_t first, std::size_t count, float* out) {
  const kernels::CodecKernels& kernels = kernels::active_codec();
  const Segment& segment = *context.segment;
  const std::size_t dim = context.dim;
  const std::byte* const rows = plain.data() + block_header_bytes(segment.encoding, dim) +
                                first * coded_row_bytes(segment.encoding, dim);
  const std::size_t values = count * dim;
  switch (segment.encoding) {
    case VectorEncoding::int8:
      kernels.decode_u8(as_codes(rows), values, segment.base, out);
      return true;
    case VectorEncoding::int16:
      kernels.decode_u16(as_codes(rows), values, segment.base, out);
      return true;
    case VectorEncoding::half:
      kernels.decode_half(as_codes(rows), values, out);
      return true;
    case VectorEncoding::bfloat16:
      kernels.decode_bfloat16(as_codes(rows), values, out);
      return true;
    case VectorEncoding::scaled_half:
      decode_scaled_rows(dim, rows, count, out);
      return true;
    case VectorEncoding::decimal:
      return decode_decimal_rows(context, rows, count, out);
    case VectorEncoding::exponent:
      return decode_exponent_rows(context, plain, block_rows, first, count, out);
    case VectorEncoding::delta16:
      decode_delta_rows(dim, plain, rows, count, out);
      return true;
    case VectorEncoding::float32:
      std::memcpy(out, rows, values * sizeof(float));
      return true;
    case VectorEncoding::automatic:
    case VectorEncoding::constant:
      break;
  }
  return false;
}

}  // namespace cairn::storage

#include "index/lifted_rows.h"

#include <algorithm>

#include "base/parallel.h"

namespace cairn::index {
namespace {

constexpr std::size_t kBlockBytes = std::size_t{16} << 20;
constexpr std::size_t kLiftChunk = 256;
// Of sparse rows: reading what is between two costs less than a call of its own up to this many
// bytes, and no more than kRunBytes are read at once.
constexpr std::size_t kGapBytes = std::size_t{64} << 10;
constexpr std::size_t kRunBytes = std::size_t{4} << 20;

}  // namespace

std::size_t rows_per_block(std::size_t dim) {
  return std::clamp<std::size_t>(kBlockBytes / (dim * sizeof(float)), 256, 32768);
}

void LiftedRows::read(std::size_t first, std::size_t count, unsigned threads, float* out) const {
  const float* rows = source_.contiguous();
  if (rows != nullptr) {
    rows += first * source_.dim();
  } else {
    block_.resize(count * source_.dim());
    source_.read(first, count, block_.data());
    rows = block_.data();
  }
  base::parallel_chunks(count, kLiftChunk, threads,
                        [&](std::size_t begin, std::size_t end, unsigned) {
                          for (std::size_t i = begin; i < end; ++i) {
                            frame_.lift(rows + i * source_.dim(), out + i * dim());
                          }
                        });
}

void LiftedRows::load(std::span<const std::uint32_t> rows, float* out) const {
  const std::size_t source_dim = source_.dim();
  if (const float* matrix = source_.contiguous()) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      frame_.lift(matrix + rows[i] * source_dim, out + i * dim());
    }
    return;
  }
  const std::size_t gap = std::max<std::size_t>(1, kGapBytes / (source_dim * sizeof(float)));
  const std::size_t most = std::max<std::size_t>(1, kRunBytes / (source_dim * sizeof(float)));
  std::vector<float> run;
  for (std::size_t begin = 0; begin < rows.size();) {
    std::size_t end = begin + 1;
    while (end < rows.size() && rows[end] > rows[end - 1] && rows[end] - rows[end - 1] <= gap &&
           rows[end] - rows[begin] < most) {
      ++end;
    }
    const std::size_t count = rows[end - 1] - rows[begin] + std::size_t{1};
    run.resize(count * source_dim);
    {
      const std::lock_guard lock(mutex_);
      source_.read(rows[begin], count, run.data());
    }
    for (; begin < end; ++begin) {
      frame_.lift(run.data() + (rows[begin] - (rows[end - 1] + 1 - count)) * source_dim,
                  out + begin * dim());
    }
  }
}

}  // namespace cairn::index

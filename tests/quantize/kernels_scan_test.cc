#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "base/aligned_buffer.h"
#include "tests/util/each_isa.h"
#include "tests/util/scalar_kernels.h"

namespace cairn::kernels {
namespace {

constexpr std::size_t kPaddedDims[] = {64, 128, 192, 832, 1024, 1088, 1536, 4096, 65536};
constexpr std::size_t kCounts[] = {0, 1, 31, 32, 33, 63, 64, 100};
constexpr float kInfinity = std::numeric_limits<float>::infinity();

class ScanKernels : public EachIsa {};
CAIRN_TEST_EACH_ISA(ScanKernels);

struct Hit {
  std::uint32_t index;
  float value;
};

// `count` children with random codes and factors, in packed blocks.
struct Children {
  std::size_t dim, count, num_blocks;
  std::vector<std::uint8_t> table;
  std::vector<std::vector<std::uint8_t>> nibbles;
  std::vector<float> f_add, f_scale;
  base::AlignedBuffer blocks;

  Children(std::size_t padded_dim, std::size_t n)
      : dim(padded_dim),
        count(n),
        num_blocks((n + kBlockSize - 1) / kBlockSize),
        table(padded_dim * 4),
        f_add(num_blocks * kBlockSize, 0.0f),
        f_scale(num_blocks * kBlockSize, 0.0f),
        blocks(num_blocks * block_bytes(padded_dim)) {
    base::Random random(padded_dim + n);
    for (auto& entry : table) entry = static_cast<std::uint8_t>(random.below(64));
    for (std::size_t b = 0; b < num_blocks; ++b) {
      nibbles.emplace_back(kBlockSize * dim / 4);
      for (auto& nibble : nibbles.back()) nibble = static_cast<std::uint8_t>(random.below(16));
    }
    for (std::size_t i = 0; i < n; ++i) {
      f_add[i] = static_cast<float>(2 * random.uniform() - 1);
      f_scale[i] = static_cast<float>(-0.5 - random.uniform());
    }
  }

  void pack() {
    for (std::size_t b = 0; b < num_blocks; ++b) {
      const auto slice = [b](const std::vector<float>& all) {
        return std::vector<float>(all.begin() + b * kBlockSize, all.begin() + (b + 1) * kBlockSize);
      };
      scalar::pack_block(nibbles[b], slice(f_add), slice(f_scale), dim,
                         reinterpret_cast<std::uint8_t*>(blocks.data()) + b * block_bytes(dim));
    }
  }

  const std::uint8_t* data() const { return reinterpret_cast<const std::uint8_t*>(blocks.data()); }

  double value(std::size_t i, double step, double offset) const {
    const auto sums = scalar::scan_sums(nibbles[i / kBlockSize], table.data(), dim);
    return f_add[i] + f_scale[i] * (step * sums[i % kBlockSize] + offset);
  }

  std::vector<Hit> scan(const Kernels& kernels, float step, float offset, float threshold) const {
    const std::size_t room = num_blocks * kBlockSize + kBlockSize;
    std::vector<std::uint32_t> index(room + 1, 0xDEAD);
    std::vector<float> value(room + 1, -7);
    const std::size_t found =
        kernels.scan_blocks(data(), count, {table.data(), step, offset}, dim, 0, threshold, 0,
                            nullptr, index.data(), value.data());
    EXPECT_LE(found, count);
    EXPECT_EQ(index[room], 0xDEADu);
    EXPECT_EQ(value[room], -7);
    std::vector<Hit> hits;
    for (std::size_t i = 0; i < found; ++i) hits.push_back({index[i], value[i]});
    return hits;
  }
};

TEST_P(ScanKernels, SumsAreExact) {
  for (const std::size_t dim : kPaddedDims) {
    Children children(dim, 32);
    children.pack();
    std::vector<std::uint32_t> sums(kBlockSize);
    kernels().scan_sums(children.data(), children.table.data(), dim, sums.data());
    EXPECT_EQ(sums, scalar::scan_sums(children.nibbles[0], children.table.data(), dim)) << dim;
  }
}

TEST_P(ScanKernels, SumsTakeUnalignedBlocks) {
  Children children(192, 32);
  children.pack();
  std::vector<std::uint8_t> moved(block_bytes(192) + 1);
  std::copy_n(children.data(), block_bytes(192), moved.begin() + 1);
  std::vector<std::uint32_t> sums(kBlockSize);
  kernels().scan_sums(moved.data() + 1, children.table.data(), 192, sums.data());
  EXPECT_EQ(sums, scalar::scan_sums(children.nibbles[0], children.table.data(), 192));
}

TEST_P(ScanKernels, FullTablesDoNotOverflow) {
  for (const std::size_t dim : kPaddedDims) {
    Children children(dim, 32);
    std::fill(children.table.begin(), children.table.end(), std::uint8_t{63});
    children.pack();
    const auto expected = static_cast<std::uint32_t>(dim / 4 * 63);
    std::vector<std::uint32_t> sums(kBlockSize);
    kernels().scan_sums(children.data(), children.table.data(), dim, sums.data());
    EXPECT_EQ(sums, std::vector<std::uint32_t>(kBlockSize, expected)) << dim;
    for (const Hit& hit : children.scan(kernels(), 1, 0, kInfinity)) {
      const double value =
          children.f_add[hit.index] + double{children.f_scale[hit.index]} * expected;
      EXPECT_NEAR(hit.value, value, 4 * 0x1.0p-24 * std::abs(value)) << dim;
    }
  }
}

TEST_P(ScanKernels, ReportsEveryChildBelowTheThresholdInOrder) {
  for (const std::size_t dim : kPaddedDims) {
    for (const std::size_t count : kCounts) {
      Children children(dim, count);
      children.pack();
      const float step = 1 / static_cast<float>(dim);
      std::vector<double> values(count);
      for (std::size_t i = 0; i < count; ++i) values[i] = children.value(i, step, -20);
      // |step * sum| and |offset| stay below 64, the factors below 2.
      const double tolerance = 64 * 4 * 0x1.0p-24;
      std::vector<double> sorted = values;
      std::sort(sorted.begin(), sorted.end());
      std::vector<float> thresholds = {-kInfinity, kInfinity};
      // Between two values no rounding can cross.
      for (std::size_t i = 1; i < count; i += 9) {
        if (sorted[i] - sorted[i - 1] > 4 * tolerance) {
          thresholds.push_back(static_cast<float>((sorted[i] + sorted[i - 1]) / 2));
        }
      }
      for (const float threshold : thresholds) {
        const auto hits = children.scan(kernels(), step, -20, threshold);
        std::size_t next = 0;
        for (std::size_t i = 0; i < count; ++i) {
          if (!(values[i] < threshold)) continue;
          ASSERT_LT(next, hits.size()) << dim << " " << count;
          EXPECT_EQ(hits[next].index, i);
          EXPECT_NEAR(hits[next].value, values[i], tolerance);
          ++next;
        }
        EXPECT_EQ(next, hits.size()) << dim << " " << count << " " << threshold;
      }
    }
  }
}

TEST_P(ScanKernels, SeveralQueriesAtOnceGiveWhatEachGivesAlone) {
  for (const std::size_t dim : kPaddedDims) {
    for (const std::size_t count : {1u, 31u, 64u, 100u}) {
      Children children(dim, count);
      children.pack();
      for (const std::size_t num_tasks : {0u, 1u, 3u, 4u, 5u, 9u}) {
        base::Random random(dim + num_tasks);
        const std::size_t room = children.num_blocks * kBlockSize + kBlockSize;
        std::vector<std::vector<std::uint8_t>> tables(num_tasks, children.table);
        std::vector<std::vector<std::uint32_t>> index(num_tasks, std::vector<std::uint32_t>(room));
        std::vector<std::vector<float>> value(num_tasks, std::vector<float>(room));
        std::vector<ScanTask> tasks;
        for (std::size_t t = 0; t < num_tasks; ++t) {
          for (auto& entry : tables[t]) entry = static_cast<std::uint8_t>(random.below(64));
          const auto offset = static_cast<float>(random.uniform()) - 8.0f;
          tasks.push_back({{tables[t].data(), 1 / static_cast<float>(dim), offset},
                           static_cast<float>(t),
                           t % 3 == 2 ? kInfinity : static_cast<float>(t) + 0.1f,
                           index[t].data(),
                           value[t].data(),
                           77});
        }
        kernels().scan_blocks_many(children.data(), count, dim, 1000, children.data(), tasks.data(),
                                   num_tasks);
        for (const ScanTask& task : tasks) {
          std::vector<std::uint32_t> expected_index(room);
          std::vector<float> expected_value(room);
          const std::size_t found = kernels().scan_blocks(
              children.data(), count, task.query, dim, task.base, task.threshold, 1000, nullptr,
              expected_index.data(), expected_value.data());
          ASSERT_EQ(task.found, found) << dim << " " << count << " " << num_tasks;
          for (std::size_t i = 0; i < found; ++i) {
            EXPECT_EQ(task.out_index[i], expected_index[i]);
            EXPECT_EQ(task.out_value[i], expected_value[i]);
          }
        }
      }
    }
  }
}

TEST_P(ScanKernels, ThresholdIsExclusive) {
  Children children(128, 100);
  std::fill(children.f_add.begin(), children.f_add.end(), 0.0f);
  std::fill(children.f_scale.begin(), children.f_scale.end(), 1.0f);
  std::fill(children.table.begin(), children.table.end(), std::uint8_t{3});
  children.pack();
  EXPECT_TRUE(children.scan(kernels(), 1, 0, 96).empty());
  EXPECT_EQ(children.scan(kernels(), 1, 0, std::nextafter(96.0f, 100.0f)).size(), 100u);
}

TEST_P(ScanKernels, NeverReportsNan) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  Children children(128, 40);
  children.f_add[3] = nan;
  children.f_scale[35] = nan;
  children.pack();
  const auto hits = children.scan(kernels(), 1, 0, kInfinity);
  EXPECT_EQ(hits.size(), 38u);
  for (const Hit& hit : hits) {
    EXPECT_NE(hit.index, 3u);
    EXPECT_NE(hit.index, 35u);
  }
  EXPECT_TRUE(children.scan(kernels(), nan, 0, kInfinity).empty());
  EXPECT_TRUE(children.scan(kernels(), 1, 0, nan).empty());
}

TEST_P(ScanKernels, AddsBaseAndFirst) {
  Children children(128, 70);
  children.pack();
  const ScanQuery query{children.table.data(), 0.01f, -20};
  std::vector<std::uint32_t> index(128);
  std::vector<float> value(128);
  const std::size_t found = kernels().scan_blocks(children.data(), 70, query, 128, 1000, kInfinity,
                                                  500, nullptr, index.data(), value.data());
  ASSERT_EQ(found, 70u);
  for (std::size_t i = 0; i < found; ++i) {
    EXPECT_EQ(index[i], 500 + i);
    EXPECT_NEAR(value[i], 1000 + children.value(i, 0.01, -20), 1e-3);
  }
}

}  // namespace
}  // namespace cairn::kernels

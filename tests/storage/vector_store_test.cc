#include "cairn/vector_store.h"

#include <algorithm>
#include <array>

#include <gtest/gtest.h>

namespace cairn {
namespace {

// The least that a store of a user's own must have.
class ConstantStore final : public VectorStore {
 public:
  std::size_t rows() const noexcept override { return 3; }
  std::size_t dim() const noexcept override { return 2; }
  void read(std::span<const std::uint32_t> rows, float* out) const override {
    std::fill_n(out, 2 * rows.size(), 4.0f);
  }
  StoreStats stats() const override { return {}; }
};

TEST(VectorStore, HasDefaultsForWhatIsOptional) {
  const ConstantStore store;
  const VectorStore& base = store;
  const std::array<std::uint32_t, 2> rows = {0, 2};
  base.prefetch(rows);
  base.prefetch({});
  EXPECT_EQ(base.contiguous(), nullptr);
  EXPECT_EQ(base.stats().kind, StorageKind::custom);
}

}  // namespace
}  // namespace cairn

// A storage backend of one's own: vectors of whole numbers 0 to 255, as pixels are, kept as one
// byte a value instead of four, with the same results to the last bit.

#include <algorithm>
#include <cstdint>
#include <iostream>
#include <memory>
#include <random>
#include <vector>

#include <cairn/cairn.h>

namespace {

// Rows as bytes. Const calls may run concurrently.
class ByteVectorStore final : public cairn::VectorStore {
 public:
  explicit ByteVectorStore(const cairn::ClusteredIndex& index)
      : rows_(index.size()), dim_(index.dim()), bytes_(rows_ * dim_) {
    constexpr std::size_t kRowsAtOnce = 256;
    std::vector<float> buffer(kRowsAtOnce * dim_);
    for (std::size_t first = 0; first < rows_; first += kRowsAtOnce) {
      const std::size_t count = std::min(kRowsAtOnce, rows_ - first);
      index.read_rows(first, count, buffer.data());
      for (std::size_t i = 0; i < count * dim_; ++i) {
        bytes_[first * dim_ + i] = static_cast<std::uint8_t>(buffer[i]);
      }
    }
  }

  std::size_t rows() const noexcept override { return rows_; }
  std::size_t dim() const noexcept override { return dim_; }

  void read(std::span<const std::uint32_t> rows, float* out) const override {
    for (const std::uint32_t row : rows) {
      if (row >= rows_) throw cairn::Error(cairn::ErrorCode::invalid_argument, "no such row");
      const std::uint8_t* first = bytes_.data() + row * dim_;
      out = std::copy(first, first + dim_, out);
    }
  }

  cairn::StoreStats stats() const override {
    return {.kind = cairn::StorageKind::custom, .ram_bytes = bytes_.size(), .disk_bytes = 0};
  }

 private:
  std::size_t rows_;
  std::size_t dim_;
  std::vector<std::uint8_t> bytes_;
};

}  // namespace

int main() {
  constexpr std::size_t kRows = 20'000;
  constexpr std::size_t kDim = 64;
  std::mt19937 random(1);
  std::vector<float> pixels(kRows * kDim);
  for (float& pixel : pixels) pixel = static_cast<float>(random() % 256);

  auto index = cairn::ClusteredIndex::build({pixels.data(), kRows, kDim});
  const cairn::MatrixView queries{pixels.data(), 200, kDim};
  const cairn::BatchResult before = index.search_batch(queries);
  const std::size_t bytes_before = index.memory_usage_bytes();

  index.use_storage(std::make_unique<ByteVectorStore>(index));
  const cairn::BatchResult after = index.search_batch(queries);

  const bool is_same = before.ids == after.ids && before.distances == after.distances;
  std::cout << "storage: " << cairn::to_string(index.storage_kind()) << '\n'
            << "RAM: " << bytes_before << " -> " << index.memory_usage_bytes() << " bytes\n"
            << "results: " << (is_same ? "identical" : "DIFFERENT") << '\n';
  return is_same ? 0 : 1;
}

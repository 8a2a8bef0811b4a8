#include <algorithm>
#include <chrono>
#include <cstring>
#include <mutex>
#include <numeric>
#include <utility>
#include <vector>

#include "cairn/vector_store.h"

#include "storage/coded_reader.h"
#include "storage/coded_vectors.h"
#include "storage/coded_writer.h"
#include "storage/container.h"
#include "storage/vector_shape.h"

namespace cairn {

struct CompressedVectorStore::Impl {
  explicit Impl(std::shared_ptr<const storage::ContainerReader> container)
      : reader(std::move(container)) {
    for (const storage::Segment& segment : reader.segments()) {
      storage::add_segment(segment, reader.dim(), statistics);
    }
    statistics.dictionary_bytes = reader.dictionary_bytes();
    statistics.stored_bytes = reader.disk_bytes();
  }

  EncodingStats& entry_of(const storage::Segment& segment) {
    return *std::find_if(
        statistics.encodings.begin(), statistics.encodings.end(), [&](const EncodingStats& entry) {
          return entry.encoding == segment.encoding && entry.uses_zstd == segment.uses_zstd;
        });
  }

  storage::CodedReader reader;
  std::mutex mutex;  // guards statistics
  CompressionStats statistics;
};

CompressedVectorStore::CompressedVectorStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

CompressedVectorStore::~CompressedVectorStore() = default;

std::unique_ptr<CompressedVectorStore> CompressedVectorStore::create(
    const std::filesystem::path& path, MatrixView vectors, const CompressionOptions& options) {
  storage::check_view(vectors);
  const auto producer = [vectors](std::size_t first, std::size_t count, float* out) {
    std::copy_n(vectors.row(first), count * vectors.dim, out);
  };
  return create(path, vectors.rows, vectors.dim, producer, options);
}

std::unique_ptr<CompressedVectorStore> CompressedVectorStore::create(
    const std::filesystem::path& path, std::size_t rows, std::size_t dim,
    const RowProducer& producer, const CompressionOptions& options) {
  storage::check_shape(rows, dim);
  storage::check_compression_options(options);
  CompressionStats written;
  {
    storage::ContainerWriter writer(path, {.kind = storage::ContainerKind::vectors,
                                           .dim = static_cast<std::uint32_t>(dim),
                                           .count = rows});
    written = storage::write_coded_vectors(writer, rows, dim, producer, options);
    writer.commit();
  }
  std::unique_ptr<CompressedVectorStore> store = open(path);
  for (std::size_t i = 0; i < written.encodings.size(); ++i) {
    store->impl_->statistics.encodings[i].encode_seconds = written.encodings[i].encode_seconds;
  }
  return store;
}

std::unique_ptr<CompressedVectorStore> CompressedVectorStore::open(
    const std::filesystem::path& path, const StoreOpenOptions& options) {
  return storage::open_coded_vectors(
      storage::ContainerReader::open(path, {}, storage::read_mode(options.safe_reads)));
}

std::unique_ptr<CompressedVectorStore> storage::open_coded_vectors(
    std::shared_ptr<const ContainerReader> reader) {
  return std::make_unique<CompressedVectorStore>(
      std::make_unique<CompressedVectorStore::Impl>(std::move(reader)));
}

const CompressedVectorStore::Impl& CompressedVectorStore::impl() const noexcept { return *impl_; }

const storage::CodedReader& storage::reader_of(const CompressedVectorStore& store) noexcept {
  return store.impl().reader;
}

std::size_t CompressedVectorStore::rows() const noexcept { return impl_->reader.rows(); }
std::size_t CompressedVectorStore::dim() const noexcept { return impl_->reader.dim(); }

void CompressedVectorStore::prefetch(std::span<const std::uint32_t> rows) const noexcept {
  impl_->reader.prefetch(rows);
}

std::uint64_t CompressedVectorStore::warm(std::uint64_t max_bytes) const {
  return impl_->reader.warm(max_bytes);
}

void CompressedVectorStore::trim() const noexcept { impl_->reader.trim(); }

void CompressedVectorStore::read(std::span<const std::uint32_t> rows, float* out) const {
  impl_->reader.read(rows, out);
}

StoreStats CompressedVectorStore::stats() const {
  return {.kind = StorageKind::compressed,
          .ram_bytes = impl_->reader.ram_bytes(),
          .disk_bytes = impl_->reader.disk_bytes()};
}

CompressionStats CompressedVectorStore::compression_stats() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->statistics;
}

// Segment by segment, in chunks that leave the decoded rows in the cache.
void CompressedVectorStore::check_all() const {
  using Clock = std::chrono::steady_clock;
  constexpr std::size_t kChunkRows = 1024;
  const std::size_t dim = this->dim();
  std::vector<float> values;
  std::vector<std::uint32_t> rows;
  std::vector<double> seconds;
  for (const storage::Segment& segment : impl_->reader.segments()) {
    double spent = 0;
    for (std::size_t done = 0; done < segment.rows; done += rows.size()) {
      rows.resize(std::min(kChunkRows, segment.rows - done));
      values.resize(rows.size() * dim);
      std::iota(rows.begin(), rows.end(), static_cast<std::uint32_t>(segment.first_row + done));
      impl_->reader.prefetch(rows);
      const Clock::time_point start = Clock::now();
      impl_->reader.read(rows, values.data());
      spent += std::chrono::duration<double>(Clock::now() - start).count();
    }
    seconds.push_back(spent);
  }
  const std::lock_guard lock(impl_->mutex);
  for (EncodingStats& entry : impl_->statistics.encodings) entry.decode_seconds = 0;
  for (std::size_t i = 0; i < seconds.size(); ++i) {
    impl_->entry_of(impl_->reader.segments()[i]).decode_seconds += seconds[i];
  }
}

const std::filesystem::path& CompressedVectorStore::path() const noexcept {
  return impl_->reader.path();
}

}  // namespace cairn

#include <algorithm>
#include <utility>
#include <vector>

#include "cairn/vector_store.h"

#include "storage/announcer.h"
#include "storage/container.h"
#include "storage/mapped_vectors.h"
#include "storage/vector_shape.h"

namespace cairn {
namespace {

constexpr unsigned kVectorsAlignmentLog2 = 12;

storage::ContainerInfo info_of(std::size_t rows, std::size_t dim) {
  return {.kind = storage::ContainerKind::vectors,
          .dim = static_cast<std::uint32_t>(dim),
          .count = rows};
}

}  // namespace

struct MmapVectorStore::Impl {
  explicit Impl(std::shared_ptr<const storage::ContainerReader> container)
      : reader(std::move(container)),
        section(reader->require(storage::SectionType::vectors,
                                std::uint64_t{reader->info().dim} * sizeof(float),
                                reader->info().count)),
        bytes(reader->bytes(section)),
        rows(section.count),
        dim(reader->info().dim),
        announcer(reader, section) {
    reader->advise_random(section);
  }

  MatrixView view() const { return {reinterpret_cast<const float*>(bytes.data()), rows, dim}; }

  std::shared_ptr<const storage::ContainerReader> reader;
  const storage::SectionInfo& section;
  std::span<const std::byte> bytes;
  std::size_t rows;
  std::size_t dim;
  storage::Announcer announcer;
};

MmapVectorStore::MmapVectorStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

MmapVectorStore::~MmapVectorStore() = default;

std::unique_ptr<MmapVectorStore> MmapVectorStore::create(const std::filesystem::path& path,
                                                         MatrixView vectors) {
  storage::check_view(vectors);
  storage::ContainerWriter writer(path, info_of(vectors.rows, vectors.dim));
  writer.begin_section(storage::SectionType::vectors, vectors.dim * sizeof(float), vectors.rows,
                       kVectorsAlignmentLog2);
  writer.append(std::as_bytes(std::span(vectors.data, vectors.rows * vectors.dim)));
  writer.commit();
  return open(path);
}

std::unique_ptr<MmapVectorStore> MmapVectorStore::create(const std::filesystem::path& path,
                                                         std::size_t rows, std::size_t dim,
                                                         const RowProducer& producer) {
  storage::check_shape(rows, dim);
  storage::ContainerWriter writer(path, info_of(rows, dim));
  writer.begin_section(storage::SectionType::vectors, dim * sizeof(float), rows,
                       kVectorsAlignmentLog2);
  const std::size_t chunk = std::min(rows, storage::rows_per_chunk(dim));
  std::vector<float> values(chunk * dim);
  for (std::size_t first = 0; first < rows; first += chunk) {
    const std::size_t count = std::min(chunk, rows - first);
    producer(first, count, values.data());
    writer.append(std::as_bytes(std::span(values.data(), count * dim)));
  }
  writer.commit();
  return open(path);
}

std::unique_ptr<MmapVectorStore> MmapVectorStore::open(const std::filesystem::path& path) {
  return storage::open_mapped_vectors(storage::ContainerReader::open(path));
}

std::unique_ptr<MmapVectorStore> storage::open_mapped_vectors(
    std::shared_ptr<const ContainerReader> reader) {
  return std::make_unique<MmapVectorStore>(
      std::make_unique<MmapVectorStore::Impl>(std::move(reader)));
}

std::size_t MmapVectorStore::rows() const noexcept { return impl_->rows; }
std::size_t MmapVectorStore::dim() const noexcept { return impl_->dim; }
const float* MmapVectorStore::contiguous() const noexcept { return impl_->view().data; }

void MmapVectorStore::prefetch(std::span<const std::uint32_t> rows) const noexcept {
  if (rows.empty() || rows.back() >= impl_->rows) return;
  const std::uint64_t row_bytes = impl_->section.element_size;
  impl_->announcer.announce(rows, [row_bytes](std::uint32_t row) {
    return storage::Announcer::Range{row * row_bytes, (row + 1) * row_bytes};
  });
}

std::uint64_t MmapVectorStore::warm(std::uint64_t max_bytes) const {
  return impl_->reader->warm(impl_->section, max_bytes);
}

void MmapVectorStore::trim() const noexcept { impl_->reader->trim(impl_->section); }

void MmapVectorStore::read(std::span<const std::uint32_t> rows, float* out) const {
  storage::copy_rows(impl_->view(), rows, out);
}

StoreStats MmapVectorStore::stats() const {
  return {.kind = StorageKind::mmap, .disk_bytes = impl_->bytes.size()};
}

std::span<const float> MmapVectorStore::get(std::size_t row) const {
  storage::check_row(row, impl_->rows);
  return {impl_->view().row(row), impl_->dim};
}

const std::filesystem::path& MmapVectorStore::path() const noexcept {
  return impl_->reader->path();
}

}  // namespace cairn

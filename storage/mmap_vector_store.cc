#include <algorithm>
#include <atomic>
#include <utility>
#include <vector>

#include "cairn/vector_store.h"

#include "storage/container.h"
#include "storage/file.h"
#include "storage/mapped_vectors.h"
#include "storage/vector_shape.h"

namespace cairn {
namespace {

constexpr unsigned kVectorsAlignmentLog2 = 12;

// This many prefetches in a row that found their sample in memory make a store count as warm.
constexpr unsigned kWarmAfter = 64;

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
        can_probe(reader->may_inspect_residency()) {
    reader->advise_random(section);
  }

  MatrixView view() const { return {reinterpret_cast<const float*>(bytes.data()), rows, dim}; }

  // Asks for the pages of sorted rows: one call for each run of rows whose pages touch.
  void fetch(std::span<const std::uint32_t> wanted) const noexcept {
    const std::size_t row_bytes = section.element_size;
    const std::size_t page = storage::page_size();
    std::size_t begin = wanted.front() * row_bytes;
    std::size_t end = begin + row_bytes;
    for (const std::uint32_t row : wanted.subspan(1)) {
      const std::size_t next = row * row_bytes;
      if (next / page > (end - 1) / page + 1) {
        storage::advise(bytes.subspan(begin, end - begin), storage::Advice::will_need);
        begin = next;
      }
      end = next + row_bytes;
    }
    storage::advise(bytes.subspan(begin, end - begin), storage::Advice::will_need);
  }

  std::shared_ptr<const storage::ContainerReader> reader;
  const storage::SectionInfo& section;
  std::span<const std::byte> bytes;
  std::size_t rows;
  std::size_t dim;
  bool can_probe;
  mutable std::atomic<unsigned> warm_streak{0};
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

// Over cold pages the calls pay many times over: the device serves all of them at once, where page
// faults would come one after the other. Over warm pages they are pure cost, so a sample decides:
// one row of each call is looked up in the page cache. While misses are seen now and then, every
// call asks for everything, for half a file in memory is half a file to fetch. After kWarmAfter
// hits in a row so few pages can be cold that a fault now and then costs less than asking; the
// sample goes on, and its first miss ends the rest. Where the system will not tell what is in
// memory, every call asks.
void MmapVectorStore::prefetch(std::span<const std::uint32_t> rows) const noexcept {
  if (rows.empty() || rows.back() >= impl_->rows) return;
  if (impl_->can_probe) {
    const std::byte* const row =
        impl_->bytes.data() + rows[rows.size() / 2] * impl_->section.element_size;
    const unsigned streak = impl_->warm_streak.load(std::memory_order_relaxed);
    if (!storage::is_resident(row)) {
      impl_->warm_streak.store(0, std::memory_order_relaxed);
    } else if (streak >= kWarmAfter) {
      return;
    } else {
      impl_->warm_streak.store(streak + 1, std::memory_order_relaxed);
    }
  }
  impl_->fetch(rows);
}

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

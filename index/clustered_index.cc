#include "cairn/clustered_index.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

#include "cairn/error.h"

#include "base/parallel.h"
#include "index/batch_searcher.h"
#include "index/calibration.h"
#include "index/cancellable_store.h"
#include "index/file_guard.h"
#include "index/filter_rows.h"
#include "index/index_data.h"
#include "index/index_file.h"
#include "index/leaf_budget.h"
#include "index/progress.h"
#include "index/query_progress.h"
#include "index/searcher.h"
#include "index/stream_builder.h"
#include "index/tree_builder.h"
#include "index/validate.h"
#include "quantize/kernels/kernels.h"
#include "storage/available_memory.h"
#include "storage/coded_vectors.h"
#include "storage/container.h"
#include "storage/mapped_vectors.h"
#include "storage/payload_blocks.h"
#include "storage/tiered_options.h"

namespace cairn {

namespace {

// A number that is given once in this process: no hash, which an opened file has, begins like it.
std::array<std::uint8_t, 16> new_identity() {
  static std::atomic<std::uint64_t> next{1};
  const std::uint64_t number = next.fetch_add(1, std::memory_order_relaxed);
  std::array<std::uint8_t, 16> identity{};
  std::memcpy(identity.data() + 8, &number, sizeof number);
  return identity;
}

}  // namespace

struct ClusteredIndex::Impl {
  // One of the two holds what `data` views.
  index::OwnedIndexData owned;
  index::Calibration calibration;  // of queries that the user gave
  std::shared_ptr<const storage::ContainerReader> reader;
  index::IndexData data;
  std::unique_ptr<index::FileGuard> guard;  // of the reader's file, unless all of it is checked
  std::unique_ptr<VectorStore> store;
  StorageKind kind = StorageKind::memory;
  // Owned or in the reader's file.
  storage::OwnedPayloads owned_payloads;
  std::optional<storage::PayloadReader> payloads;
  std::array<std::uint8_t, 16> identity = new_identity();
  const std::uint64_t serial = next_serial();  // tells filters prepared for this index

  // Vectors come from `replacement` from now on.
  void serve_from(std::unique_ptr<VectorStore> replacement, StorageKind replacement_kind) {
    store = std::move(replacement);
    kind = replacement_kind;
    if (guard != nullptr) guard->forget_vectors();
  }

  static std::uint64_t next_serial() {
    static std::atomic<std::uint64_t> serials{0};
    return ++serials;
  }
};

namespace {

// Scratch memory of searches on this thread, shared by all indexes.
index::Searcher& thread_searcher() {
  thread_local index::Searcher searcher;
  return searcher;
}

// Queries that one thread searches together: enough to meet often in a leaf, few enough for what
// visits need of them to stay in the second-level cache and for their candidates, some dozens for
// each result, not to fill memory; and a share for each thread.
std::size_t batch_size(const index::IndexData& data, const index::SearchRequest& request,
                       std::size_t queries, unsigned threads) {
  constexpr std::size_t kCandidateBytes = std::size_t{32} << 20;
  constexpr std::size_t kCacheBytes = std::size_t{1} << 20;
  const std::size_t query_bytes = data.padded_dim() * 6;  // the table and the integers
  const std::size_t most = std::clamp<std::size_t>(kCacheBytes / query_bytes, 64, 1024);
  const std::size_t candidates = 32 * std::max(request.k, request.rerank);
  const std::size_t fitting = kCandidateBytes / (candidates * 3 * sizeof(float));
  const std::size_t share = (queries + threads - 1) / threads;
  return std::max<std::size_t>(1, std::min({most, fitting, share}));
}

template <typename Take>
void search_chunk(const index::IndexData& data, const VectorStore& store, MatrixView queries,
                  const index::SearchRequest& request, const Take& take) {
  thread_local index::BatchSearcher searcher;
  if (queries.rows > 1 && index::BatchSearcher::serves(data, request)) {
    searcher.search(data, store, queries, request,
                    [&](std::size_t q, std::span<const index::RowDistance> found) {
                      take(q, found, StopReason::budget);
                    });
    return;
  }
  SearchStats stats;
  for (std::size_t q = 0; q < queries.rows; ++q) {
    const auto found = thread_searcher().search(data, store, queries.row(q), request, stats);
    take(q, found, stats.stop_reason);
  }
}

// The sections that every search runs through, if they lie in a file.
template <typename Use>
void for_each_mapped_section(const ClusteredIndex::Impl& impl, const Use& use) {
  if (impl.reader == nullptr) return;
  for (const storage::SectionInfo& section : impl.reader->sections()) {
    if (index::is_searched(section)) use(section);
  }
}

[[noreturn]] void refuse(const std::string& message) {
  throw Error(ErrorCode::invalid_argument, message);
}

void check_search_options(const SearchOptions& options) {
  if (options.k == 0) refuse("k: expected at least 1, found 0");
  if (!(options.rerank_factor >= 0)) {
    refuse("rerank_factor: expected 0 or more, found " + std::to_string(options.rerank_factor));
  }
  if (options.probes == 0 && !(options.target_recall > 0 && options.target_recall <= 1)) {
    refuse("target_recall: expected above 0 and at most 1, found " +
           std::to_string(options.target_recall));
  }
  if (std::isnan(options.max_distance)) refuse("max_distance: expected a number, found nan");
}

void check_queries(const index::IndexData& data, MatrixView queries, unsigned threads) {
  if (queries.rows != 0 && queries.dim != data.dim()) {
    refuse("queries: expected dimension " + std::to_string(data.dim()) + ", found " +
           std::to_string(queries.dim));
  }
  index::validate_rows({queries.data, queries.rows, data.dim()}, data.metric(), "queries", threads);
}

index::SearchRequest resolve(const index::IndexData& data, const SearchOptions& options) {
  index::SearchRequest request;
  request.k = std::min(options.k, data.rows());
  if (options.probes != 0) {
    request.probes = std::min(options.probes, data.num_leaves());
  } else {
    request.deviations = index::deviations_for(options.target_recall);
    // With a filter AllowedRows settles how many leaves to begin with.
    if (options.filter == nullptr && options.prepared_filter == nullptr) {
      const index::CalibratedStop stop = index::stop_for(data, options.target_recall, request.k);
      request.stop = stop.rule;
      request.probes = stop.first_leaves;
    }
  }
  if (options.rerank_factor > 0) {
    const double wanted =
        std::ceil(static_cast<double>(options.rerank_factor) * static_cast<double>(request.k));
    request.rerank = static_cast<std::size_t>(
        std::clamp(wanted, static_cast<double>(request.k), static_cast<double>(data.rows())));
  }
  // Nothing may be lost where everything is looked at.
  request.is_certain =
      options.probes != 0 ? options.probes >= data.num_leaves() : options.target_recall >= 1;
  request.threads = base::resolve_threads(options.threads);
  request.max_distance = options.max_distance;
  // The k-th upper bound, which bounds are measured against elsewhere, leaves room that a distance
  // asked for does not.
  constexpr float kRoom = 0.8f;
  if (std::isfinite(options.max_distance)) {
    request.deviations = std::min(request.deviations + kRoom, 3.0f);
  }
  request.max_microseconds = options.max_microseconds;
  request.is_calibrated = options.probes == 0;
  request.target_recall = options.target_recall;
  return request;
}

// Full vectors must not take the place of the file that the index was opened from, nor of what it
// was saved to there since.
void check_vectors_file(const ClusteredIndex::Impl& impl, const std::filesystem::path& path) {
  if (impl.reader == nullptr) return;
  std::error_code ignored;
  if (impl.reader->file().is_at(path) ||
      std::filesystem::equivalent(impl.reader->path(), path, ignored)) {
    refuse(path.string() + ": is the file of the index, which its vectors would replace");
  }
}

// A typed view as float32: as it lies there if it is that already, else converted.
class FloatRows {
 public:
  explicit FloatRows(const TypedMatrixView& rows) {
    const float* const data = TypedVectorSource(rows).contiguous();
    if (data == nullptr) converted_ = to_float(rows);
    view_ = {data != nullptr ? data : converted_.values.data(), rows.rows, rows.dim};
  }
  MatrixView view() const { return view_; }

 private:
  Matrix<float> converted_;
  MatrixView view_;
};

// What a search asks for on behalf of range_search(): vectors in range are sought among all of
// them, of which the farthest are the hardest to find.
SearchOptions to_search_options(const RangeOptions& options, float max_distance, std::size_t rows) {
  constexpr float kMissingShare = 0.25f;
  return {.k = options.limit != 0 ? options.limit : std::max<std::size_t>(rows, 1),
          .target_recall = 1 - kMissingShare * (1 - options.target_recall),
          .threads = options.threads,
          .filter = options.filter,
          .prepared_filter = options.prepared_filter,
          .max_distance = max_distance,
          .max_microseconds = options.max_microseconds};
}

// The rows that a search is restricted to, looked up for the call if they have not been before.
class AllowedRows {
 public:
  AllowedRows(const index::IndexData& data, std::uint64_t serial, const SearchOptions& options) {
    if (options.filter != nullptr && options.prepared_filter != nullptr) {
      refuse("filter: expected either filter or prepared_filter, found both");
    }
    if (options.prepared_filter != nullptr) {
      if (options.prepared_filter->impl().index_serial != serial) {
        refuse("prepared_filter: expected one prepared by this index, found another index's");
      }
      rows_ = &options.prepared_filter->impl().rows;
    } else if (options.filter != nullptr) {
      rows_ = &found_.emplace(index::find_rows(data, *options.filter));
    }
  }

  bool are_none() const noexcept { return rows_ != nullptr && rows_->rows() == 0; }
  void apply_to(const index::IndexData& data, index::SearchRequest& request) const {
    if (rows_ == nullptr) return;
    request.filter = rows_;
    request.k = std::min(request.k, rows_->rows());
    if (request.rerank != 0) request.rerank = std::min(request.rerank, rows_->rows());
    // Few rows are read whatever the number of leaves.
    if (!request.is_calibrated || index::is_exact_cheaper(data, request)) return;
    request.probes = index::first_leaves(data, request);
  }

 private:
  std::optional<index::RowFilter> found_;
  const index::RowFilter* rows_ = nullptr;
};

}  // namespace

ClusteredIndex::ClusteredIndex(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ClusteredIndex::ClusteredIndex(ClusteredIndex&&) noexcept = default;
ClusteredIndex& ClusteredIndex::operator=(ClusteredIndex&&) noexcept = default;
ClusteredIndex::~ClusteredIndex() = default;

ClusteredIndex ClusteredIndex::build(MatrixView vectors, const BuildOptions& options,
                                     std::span<const VectorId> ids) {
  index::Progress progress(options.on_progress);
  index::BuiltIndex built = index::build_tree(vectors, options, ids, progress);
  auto impl = std::make_unique<Impl>();
  impl->owned = std::move(built.data);
  impl->store = std::move(built.store);
  if (built.payloads) {
    impl->owned_payloads = *std::move(built.payloads);
    impl->payloads.emplace(impl->owned_payloads.stored, impl->owned_payloads.blocks, vectors.rows,
                           "index in memory");
  }
  progress.start_phase("calibrate", 1);
  const index::CancellableStore store({impl->store->contiguous(), vectors.rows, vectors.dim},
                                      progress);
  impl->owned.calibration = index::calibrate(impl->owned.view(), store, options.threads);
  impl->data = impl->owned.view();
  return ClusteredIndex(std::move(impl));
}

ClusteredIndex ClusteredIndex::build(const TypedMatrixView& vectors, const BuildOptions& options,
                                     std::span<const VectorId> ids) {
  const FloatRows rows(vectors);
  return build(rows.view(), options, ids);
}

ClusteredIndex ClusteredIndex::build_file(const std::filesystem::path& path, VectorSource& source,
                                          const BuildOptions& options,
                                          std::span<const VectorId> ids, const SaveOptions& save) {
  {
    index::Progress progress(options.on_progress);
    index::build_index_file(path, source, options, ids, save, progress);
  }
  return open(path);
}

ClusteredIndex ClusteredIndex::open(const std::filesystem::path& path, const OpenOptions& options) {
  auto impl = std::make_unique<Impl>();
  impl->reader = storage::ContainerReader::open(path, storage::ContainerKind::index,
                                                storage::read_mode(options.safe_reads));
  if (options.verify) impl->reader->verify();
  impl->data = index::load_index(*impl->reader);
  if (!options.verify && !options.safe_reads && options.check_on_first_use) {
    impl->guard = std::make_unique<index::FileGuard>(impl->reader, impl->data);
    impl->data.guard = impl->guard.get();
  }
  impl->payloads = storage::open_payloads(*impl->reader);
  impl->identity = impl->reader->uuid();
  if (options.safe_reads || impl->reader->find(storage::SectionType::coded_vectors) != nullptr) {
    impl->store = storage::open_coded_vectors(impl->reader);
    impl->kind = StorageKind::compressed;
  } else {
    impl->store = storage::open_mapped_vectors(impl->reader);
    impl->kind = StorageKind::mmap;
  }
  return ClusteredIndex(std::move(impl));
}

void ClusteredIndex::save(const std::filesystem::path& path, const SaveOptions& options) const {
  index::PayloadWriter write_payloads;
  if (impl_->payloads) {
    write_payloads = [this](storage::ContainerWriter& writer) {
      storage::copy_payloads(writer, *impl_->payloads);
    };
  }
  // Damage must not get right checksums.
  if (impl_->guard != nullptr) {
    impl_->guard->touch_all();
    impl_->guard->touch_vectors(0, size());
  }
  index::save_index(path, impl_->data, *impl_->store, options, write_payloads);
}

std::vector<Neighbor> ClusteredIndex::search(std::span<const float> query,
                                             const SearchOptions& options) const {
  std::vector<Neighbor> out(std::min(options.k, size()));
  out.resize(search(query, options, out));
  return out;
}

std::size_t ClusteredIndex::search(std::span<const float> query, const SearchOptions& options,
                                   std::span<Neighbor> out, SearchStats* stats) const {
  const index::IndexData& data = impl_->data;
  check_search_options(options);
  index::validate_query(query, data.dim(), data.metric());
  SearchStats local;
  SearchStats& counters = stats != nullptr ? *stats : local;
  counters = {};
  const AllowedRows allowed(data, impl_->serial, options);
  if (data.rows() != 0) counters.stop_reason = StopReason::exhausted;
  if (data.rows() == 0 || allowed.are_none()) return 0;
  index::SearchRequest request = resolve(data, options);
  allowed.apply_to(data, request);
  if (out.size() < request.k) {
    refuse("out: expected room for " + std::to_string(request.k) + " results, found " +
           std::to_string(out.size()));
  }
  const std::span<const index::RowDistance> found =
      thread_searcher().search(data, *impl_->store, query.data(), request, counters);
  if (stats != nullptr) {
    counters.estimated_recall = index::estimated_recall(data, thread_searcher().state());
    counters.is_unusual = index::is_unusual(data, thread_searcher().state());
  }
  for (std::size_t i = 0; i < found.size(); ++i) out[i] = {found[i].id, found[i].distance};
  return found.size();
}

std::vector<Neighbor> ClusteredIndex::range_search(std::span<const float> query, float max_distance,
                                                   const RangeOptions& options,
                                                   SearchStats* stats) const {
  const index::IndexData& data = impl_->data;
  const SearchOptions search = to_search_options(options, max_distance, data.rows());
  check_search_options(search);
  index::validate_query(query, data.dim(), data.metric());
  SearchStats local;
  SearchStats& counters = stats != nullptr ? *stats : local;
  counters = {};
  const AllowedRows allowed(data, impl_->serial, search);
  if (data.rows() != 0) counters.stop_reason = StopReason::exhausted;
  if (data.rows() == 0 || allowed.are_none()) return {};
  index::SearchRequest request = resolve(data, search);
  request.is_range = true;
  request.probes = index::first_leaves(data, request);
  allowed.apply_to(data, request);
  std::vector<Neighbor> results;
  for (const index::RowDistance& found :
       thread_searcher().search(data, *impl_->store, query.data(), request, counters)) {
    results.push_back({found.id, found.distance});
  }
  return results;
}

PreparedFilter ClusteredIndex::prepare(const Filter& filter) const {
  return PreparedFilter(std::make_unique<PreparedFilter::Impl>(
      PreparedFilter::Impl{index::find_rows(impl_->data, filter), impl_->serial}));
}

BatchResult ClusteredIndex::search_batch(MatrixView queries, const SearchOptions& options,
                                         const std::function<bool(std::size_t)>& on_query) const {
  check_search_options(options);
  check_queries(impl_->data, queries, options.threads);
  index::check_result_size(queries.rows, options.k);
  BatchResult result;
  result.queries = queries.rows;
  result.k = options.k;
  result.ids.assign(queries.rows * options.k, kNoId);
  result.distances.assign(queries.rows * options.k, std::numeric_limits<float>::infinity());
  if (options.max_microseconds != 0) result.is_cut_short.assign(queries.rows, 0);
  const index::IndexData& data = impl_->data;
  const AllowedRows allowed(data, impl_->serial, options);
  if (queries.rows == 0 || size() == 0 || allowed.are_none()) return result;
  index::SearchRequest request = resolve(data, options);
  allowed.apply_to(data, request);
  index::QueryProgress progress("search", queries.rows, static_cast<double>(queries.rows),
                                on_query);
  const unsigned threads = request.threads;
  request.threads = 1;
  base::parallel_chunks(
      queries.rows, batch_size(data, request, queries.rows, threads), threads,
      [&](std::size_t begin, std::size_t end, unsigned) {
        const auto take = [&](std::size_t q, std::span<const index::RowDistance> found,
                              StopReason reason) {
          if (reason == StopReason::deadline) result.is_cut_short[begin + q] = 1;
          for (std::size_t i = 0; i < found.size(); ++i) {
            result.ids[(begin + q) * options.k + i] = found[i].id;
            result.distances[(begin + q) * options.k + i] = found[i].distance;
          }
        };
        search_chunk(data, *impl_->store, {queries.row(begin), end - begin, queries.dim}, request,
                     take);
        progress.advance(end - begin);
      });
  progress.finish();
  return result;
}

BatchResult ClusteredIndex::search_batch(const TypedMatrixView& queries,
                                         const SearchOptions& options,
                                         const std::function<bool(std::size_t)>& on_query) const {
  const FloatRows rows(queries);
  return search_batch(rows.view(), options, on_query);
}

void ClusteredIndex::use_memory_storage() {
  if (impl_->kind == StorageKind::memory) return;
  const VectorStore& from = *impl_->store;
  auto store = std::make_unique<MemoryVectorStore>(
      from.rows(), from.dim(),
      [this](std::size_t first, std::size_t count, float* out) { read_rows(first, count, out); });
  impl_->serve_from(std::move(store), StorageKind::memory);
}

void ClusteredIndex::use_mmap_storage(const std::filesystem::path& vectors_file) {
  if (is_using_mmap()) refuse("use_mmap_storage: vectors are already served from a mapped file");
  check_vectors_file(*impl_, vectors_file);
  auto store = MmapVectorStore::create(
      vectors_file, size(), dim(),
      [this](std::size_t first, std::size_t count, float* out) { read_rows(first, count, out); });
  impl_->serve_from(std::move(store), StorageKind::mmap);
}

void ClusteredIndex::use_compressed_storage(const std::filesystem::path& vectors_file,
                                            const CompressionOptions& options) {
  check_vectors_file(*impl_, vectors_file);
  auto store = CompressedVectorStore::create(
      vectors_file, size(), dim(),
      [this](std::size_t first, std::size_t count, float* out) { read_rows(first, count, out); },
      options);
  impl_->serve_from(std::move(store), StorageKind::compressed);
  if (options.encoding == VectorEncoding::delta16) impl_->identity = new_identity();
}

void ClusteredIndex::use_tiered_storage(const TieredOptions& options) {
  storage::check_tiered_options(options, dim());
  if (!options.vectors_file.empty()) {
    check_vectors_file(*impl_, options.vectors_file);
    std::unique_ptr<VectorStore> cold = CompressedVectorStore::create(
        options.vectors_file, size(), dim(),
        [this](std::size_t first, std::size_t count, float* out) { read_rows(first, count, out); },
        options.compression);
    impl_->serve_from(std::make_unique<TieredVectorStore>(std::move(cold), options),
                      StorageKind::tiered);
  } else {
    if (impl_->kind == StorageKind::memory || impl_->kind == StorageKind::tiered) {
      refuse(std::string("use_tiered_storage: vectors are in ") + to_string(impl_->kind) +
             " storage, expected a store on disk, or a vectors_file to write them to");
    }
    impl_->store = std::make_unique<TieredVectorStore>(std::move(impl_->store), options);
  }
  impl_->kind = StorageKind::tiered;
}

void ClusteredIndex::use_storage(std::unique_ptr<VectorStore> store) {
  if (store == nullptr) refuse("use_storage: expected a store, found null");
  if (store->rows() != size() || store->dim() != dim()) {
    refuse("use_storage: expected " + std::to_string(size()) + " rows of dimension " +
           std::to_string(dim()) + ", found " + std::to_string(store->rows()) + " of " +
           std::to_string(store->dim()));
  }
  const StorageKind kind = store->stats().kind;
  impl_->serve_from(std::move(store), kind);
  impl_->identity = new_identity();
}

// Codes come before vectors: page cache that was read and not used yet counts as available, so
// those in memory already are taken off before vectors could push them out.
std::uint64_t ClusteredIndex::warm(const WarmOptions& options) const {
  std::uint64_t budget = storage::available_memory();
  if (options.max_bytes != 0) budget = std::min(budget, options.max_bytes);
  std::uint64_t done = 0;
  for_each_mapped_section(*impl_, [&](const storage::SectionInfo& section) {
    if (options.part != IndexPart::vectors) {
      done += impl_->reader->warm(section, budget - done);
    } else if (options.max_bytes == 0) {
      budget -= std::min(budget, impl_->reader->resident_bytes(section));
    }
  });
  if (options.lock_codes) {
    for_each_mapped_section(
        *impl_, [&](const storage::SectionInfo& section) { impl_->reader->lock(section); });
  }
  if (options.part != IndexPart::codes) done += impl_->store->warm(budget - done);
  return done;
}

void ClusteredIndex::trim(IndexPart part) const noexcept {
  if (part != IndexPart::vectors) {
    for_each_mapped_section(
        *impl_, [&](const storage::SectionInfo& section) { impl_->reader->trim(section); });
  }
  if (part != IndexPart::codes) impl_->store->trim();
}

bool ClusteredIndex::is_using_mmap() const noexcept { return impl_->kind == StorageKind::mmap; }
StorageKind ClusteredIndex::storage_kind() const noexcept { return impl_->kind; }
Metric ClusteredIndex::metric() const noexcept { return impl_->data.metric(); }
std::size_t ClusteredIndex::size() const noexcept { return impl_->data.rows(); }
std::size_t ClusteredIndex::dim() const noexcept { return impl_->data.dim(); }

IndexStats ClusteredIndex::stats() const {
  const index::IndexData& data = impl_->data;
  IndexStats stats;
  stats.metric = data.metric();
  stats.rows = data.rows();
  stats.dim = data.dim();
  stats.code_dim = data.padded_dim();
  stats.refine_bits = data.parameters.refine_bits;
  stats.levels = data.parameters.levels;
  stats.lists = data.lists.size();
  stats.leaves = data.num_leaves();
  stats.leaf_size_max = data.max_leaf_size();
  stats.leaf_size_target = data.parameters.leaf_target;
  stats.leaf_size_mean = static_cast<double>(stats.rows) / static_cast<double>(stats.leaves);
  double variance = 0;
  for (const index::ListEntry& list : data.lists) {
    if (list.level != 0) continue;
    const double deviation = static_cast<double>(list.num_children) - stats.leaf_size_mean;
    variance += deviation * deviation;
  }
  stats.leaf_size_stddev = std::sqrt(variance / static_cast<double>(stats.leaves));
  stats.code_bytes = data.blocks.size_bytes();
  stats.centroid_bytes = data.centroids.size_bytes() + data.centroid_scales.size_bytes() +
                         data.lists.size_bytes() + data.mean.size_bytes() +
                         data.rotation_signs.size_bytes() + data.calibration.size_bytes();
  stats.refine_bytes = data.refine_codes.size_bytes();
  stats.id_bytes = data.row_ids.size_bytes() + data.ids.size_bytes() + data.id_order.size_bytes();
  const StoreStats store = impl_->store->stats();
  stats.vector_ram_bytes = store.ram_bytes;
  stats.vector_disk_bytes = store.disk_bytes;
  if (impl_->payloads) {
    stats.payload_raw_bytes = impl_->payloads->plain_bytes();
    (impl_->reader != nullptr ? stats.payload_disk_bytes : stats.payload_ram_bytes) =
        impl_->payloads->stored_bytes();
  }
  stats.index_is_mapped = impl_->reader != nullptr && impl_->reader->is_mapped();
  return stats;
}

std::optional<TieredStats> ClusteredIndex::tier_stats() const {
  const auto* const tiered = dynamic_cast<const TieredVectorStore*>(impl_->store.get());
  if (tiered == nullptr) return std::nullopt;
  return tiered->tier_stats();
}

std::size_t ClusteredIndex::memory_usage_bytes() const {
  const IndexStats stats = this->stats();
  return stats.code_bytes + stats.centroid_bytes + stats.refine_bytes + stats.id_bytes +
         stats.vector_ram_bytes + stats.payload_ram_bytes;
}

std::size_t ClusteredIndex::calibrated_probes(float target_recall, std::size_t k) const {
  check_search_options({.k = k, .target_recall = target_recall});
  const std::size_t most = std::max<std::size_t>(size(), 1);
  const float leaves = index::stop_for(impl_->data, target_recall, std::min(k, most)).mean_leaves;
  return static_cast<std::size_t>(std::ceil(leaves));
}

void ClusteredIndex::calibrate(MatrixView queries, unsigned threads) {
  if (queries.rows == 0) refuse("queries: expected at least 1, found 0");
  check_queries(impl_->data, queries, threads);
  index::Calibration calibration = index::calibrate(impl_->data, *impl_->store, queries, threads);
  if (calibration.stops.empty()) return;  // fewer than two rows: nothing to choose
  impl_->calibration = std::move(calibration);
  impl_->data.use(impl_->calibration);
  impl_->identity = new_identity();  // results of searches for a recall differ
}

std::optional<std::vector<float>> ClusteredIndex::vector(VectorId id) const {
  const std::optional<std::uint32_t> row = row_of(id);
  if (!row) return std::nullopt;
  std::vector<float> values(dim());
  read_rows(*row, 1, values.data());
  return values;
}

bool ClusteredIndex::contains(VectorId id) const { return row_of(id).has_value(); }

std::vector<VectorId> ClusteredIndex::ids() const {
  const index::IndexData& data = impl_->data;
  data.touch_all_ids();
  if (data.parameters.ids_are_rows != 0) return {data.row_ids.begin(), data.row_ids.end()};
  return {data.ids.begin(), data.ids.end()};
}

bool ClusteredIndex::has_payloads() const noexcept { return impl_->payloads.has_value(); }

std::optional<std::string> ClusteredIndex::payload(VectorId id) const {
  const std::optional<std::uint32_t> row = row_of(id);
  if (!row || !impl_->payloads) return std::nullopt;
  return impl_->payloads->read(*row);
}

std::vector<std::optional<std::string>> ClusteredIndex::payloads(
    std::span<const VectorId> ids) const {
  std::vector<std::optional<std::string>> result(ids.size());
  if (!impl_->payloads) return result;
  std::vector<std::uint32_t> rows;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const std::optional<std::uint32_t> row = row_of(ids[i]);
    if (!row) continue;
    rows.push_back(*row);
    places.push_back(i);
  }
  std::vector<std::string> found = impl_->payloads->read(rows);
  for (std::size_t i = 0; i < found.size(); ++i) result[places[i]] = std::move(found[i]);
  return result;
}

std::array<std::uint8_t, 16> ClusteredIndex::identity() const noexcept { return impl_->identity; }

std::optional<std::uint32_t> ClusteredIndex::row_of(VectorId id) const {
  const std::size_t row = impl_->data.row_of(id);
  if (row == size()) return std::nullopt;
  return static_cast<std::uint32_t>(row);
}

VectorId ClusteredIndex::id_of(std::uint32_t row) const {
  if (row >= size()) {
    refuse("row: expected below " + std::to_string(size()) + ", found " + std::to_string(row));
  }
  if (impl_->guard != nullptr) impl_->guard->touch_ids(row, 1);
  return impl_->data.id_of(row);
}

void ClusteredIndex::read_rows(std::size_t first, std::size_t count, float* out) const {
  if (first > size() || count > size() - first) {
    refuse("rows: expected within 0 to " + std::to_string(size()) + ", found " +
           std::to_string(first) + " to " + std::to_string(first + count));
  }
  if (impl_->guard != nullptr) impl_->guard->touch_vectors(first, count);
  std::vector<std::uint32_t> rows(std::min<std::size_t>(count, 4096));
  for (std::size_t done = 0; done < count; done += rows.size()) {
    rows.resize(std::min(rows.size(), count - done));
    for (std::size_t i = 0; i < rows.size(); ++i) {
      rows[i] = static_cast<std::uint32_t>(first + done + i);
    }
    impl_->store->prefetch(rows);
    impl_->store->read(rows, out + done * dim());
  }
}

const char* active_isa() { return kernels::active().isa; }

const char* version() noexcept { return CAIRN_VERSION; }

}  // namespace cairn

#include "index/stream_builder.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "cairn/error.h"

#include "base/parallel.h"
#include "index/calibration.h"
#include "index/cancellable_store.h"
#include "index/index_file.h"
#include "index/lifted_rows.h"
#include "index/list_encoder.h"
#include "index/payload_puller.h"
#include "index/tree_plan.h"
#include "index/validate.h"
#include "storage/atomic_file.h"
#include "storage/coded_writer.h"
#include "storage/payload_blocks.h"
#include "storage/row_sorter.h"

namespace cairn::index {
namespace {

constexpr std::uint64_t kMostBufferBytes = std::uint64_t{64} << 20;
// What a build takes whatever the number of rows: blocks of rows, matrix products, threads.
constexpr std::uint64_t kFixedBytes = std::uint64_t{160} << 20;
// And for each row: which leaf it goes to, its place, its id, twice while these are put in order.
constexpr std::uint64_t kBytesPerRow = 24;
// With payloads the order of rows is kept to the end.
constexpr std::uint64_t kBytesPerPayload = 4;

void check_memory_limit(std::uint64_t limit, std::size_t rows, bool has_payloads) {
  const std::uint64_t least =
      kFixedBytes + (kBytesPerRow + (has_payloads ? kBytesPerPayload : 0)) * rows;
  if (limit >= least) return;
  throw Error(ErrorCode::invalid_argument,
              "memory_limit_bytes: expected at least " + std::to_string(least) + " for " +
                  std::to_string(rows) + " rows, found " + std::to_string(limit));
}

// Leaves that are encoded together: those of bucket b are lists [lists[b], lists[b + 1]).
struct Buckets {
  std::vector<std::size_t> lists;
  std::vector<std::uint32_t> row_ends;
};

// At least one leaf each, and otherwise no more than `most_rows` rows.
Buckets cut_into_buckets(const std::vector<ListEntry>& lists, std::size_t most_rows) {
  Buckets buckets;
  std::size_t rows = 0;
  for (std::size_t i = 0; i < lists.size(); ++i) {
    if (lists[i].level != 0) continue;
    const std::size_t size = lists[i].num_children;
    if (buckets.lists.empty() || rows + size > most_rows) {
      buckets.lists.push_back(i);
      buckets.row_ends.push_back(lists[i].first_child);
      rows = 0;
    }
    rows += size;
    buckets.row_ends.back() = static_cast<std::uint32_t>(lists[i].first_child + size);
  }
  buckets.lists.push_back(lists.size());
  return buckets;
}

// The pass that sorts: every row to its place.
void sort_rows(VectorSource& source, std::vector<std::uint32_t> rows_in_order,
               storage::RowSorter& sorter, Progress& progress) {
  std::vector<std::uint32_t> place_of(rows_in_order.size());
  for (std::uint32_t place = 0; place < place_of.size(); ++place) {
    place_of[rows_in_order[place]] = place;
  }
  rows_in_order = {};
  progress.start_phase("sort", source.rows());
  for_each_block(source, [&](std::size_t first, MatrixView rows) {
    for (std::size_t i = 0; i < rows.rows; ++i) {
      sorter.put(place_of[first + i], std::as_bytes(std::span(rows.row(i), rows.dim)));
    }
    progress.advance(rows.rows);
  });
}

std::uint64_t block_end(const OwnedIndexData& data, std::size_t list) {
  return list == data.lists.size() ? data.parameters.blocks : data.lists[list].first_block;
}

// Codes and vectors of all rows to the file.
void encode_buckets(const Buckets& buckets, storage::RowSorter& sorter, unsigned threads,
                    Progress& progress, OwnedIndexData& data, IndexFileWriter& writer) {
  const std::size_t dim = data.parameters.dim;
  const std::size_t block_bytes = kernels::block_bytes(data.parameters.padded_dim);
  std::vector<float> rows;
  std::vector<std::uint8_t> blocks;
  std::vector<std::uint8_t> refine_codes;
  const auto encode = [&](ListRange range, std::size_t first_row) {
    const std::uint64_t first_block = data.lists[range.begin].first_block;
    blocks.assign((block_end(data, range.end) - first_block) * block_bytes, 0);
    refine_codes.assign(rows.size() / dim * refine_row_bytes(data), 0);
    encode_lists(
        data, range, [&](std::size_t row) { return rows.data() + (row - first_row) * dim; },
        {.blocks = blocks.data(), .refine_codes = refine_codes.data()}, threads, progress);
    writer.append_blocks(blocks);
    writer.append_refine_codes(refine_codes);
    writer.append_vectors(rows);
  };
  progress.start_phase("encode", data.parameters.rows);
  if (buckets.lists.front() != 0) encode({0, buckets.lists.front()}, 0);  // inner nodes
  for (std::size_t bucket = 0; bucket < sorter.buckets(); ++bucket) {
    rows.resize(std::size_t{sorter.end(bucket) - sorter.begin(bucket)} * dim);
    sorter.read_bucket(bucket, reinterpret_cast<std::byte*>(rows.data()));
    progress.advance(0);
    encode({buckets.lists[bucket], buckets.lists[bucket + 1]}, sorter.begin(bucket));
  }
}

// What would fail after the work fails before it.
void check_output(const std::filesystem::path& path, const VectorSource& source,
                  const PayloadSource* payloads) {
  if (source.reads_from(path) || (payloads != nullptr && payloads->reads_from(path))) {
    throw Error(ErrorCode::invalid_argument,
                path.string() + ": the index would replace a file that it is built from");
  }
  const storage::AtomicFile attempt(path);
}

}  // namespace

void build_index_file(const std::filesystem::path& path, VectorSource& source,
                      const BuildOptions& options, std::span<const VectorId> ids,
                      const SaveOptions& save, Progress& progress) {
  const unsigned threads = base::resolve_threads(options.threads);
  const std::size_t dim = source.dim();
  validate_shape(source.rows(), dim, "vectors");
  if (save.compression) storage::check_compression_options(*save.compression);
  const std::uint64_t limit = memory_limit(options, source.rows(), dim);
  check_memory_limit(limit, source.rows(), options.payloads != nullptr);
  check_output(path, source, options.payloads);
  const std::filesystem::path target = storage::resolve_target(path);
  const std::filesystem::path directory = target.has_parent_path() ? target.parent_path() : ".";
  TreePlan plan = plan_tree(source, options, ids, progress);
  OwnedIndexData& data = plan.data;

  IndexFileWriter writer(path, data.parameters);
  const bool is_calibrated = source.rows() >= 2;
  writer.declare(data.view(), is_calibrated ? kCalibrationEntries : 0,
                 is_calibrated ? kCalibrationEntries : 0);
  {
    const Buckets buckets =
        cut_into_buckets(data.lists, std::max<std::uint64_t>(1, limit / 4 / (dim * sizeof(float))));
    storage::RowSorter sorter(directory, dim * sizeof(float), buckets.row_ends,
                              std::min(limit / 16, kMostBufferBytes));
    sort_rows(source,
              options.payloads != nullptr ? plan.rows_in_order : std::move(plan.rows_in_order),
              sorter, progress);
    encode_buckets(buckets, sorter, threads, progress, data, writer);
  }

  progress.start_phase("calibrate", 1);
  const IndexFileWriter::MappedRows mapped = writer.map();
  IndexData view = data.view();
  view.blocks = mapped.blocks;
  view.refine_codes = mapped.refine_codes;
  const CancellableStore store({mapped.vectors.data(), source.rows(), dim}, progress);
  data.calibration = calibrate(view, store, threads);
  view.use(data.calibration);
  PayloadWriter write_payloads;
  if (options.payloads != nullptr) {
    write_payloads = [&](storage::ContainerWriter& container) {
      storage::write_payloads(container, source.rows(),
                              payload_puller(*options.payloads, plan.rows_in_order, progress));
    };
  }
  progress.start_phase("write", 1);
  if (!save.compression && is_calibrated == !data.calibration.stops.empty()) {
    writer.write_tables(view);
    if (write_payloads) write_payloads(writer.container());
    writer.container().commit();
  } else {
    save_index(path, view, store, save, write_payloads);
  }
}

}  // namespace cairn::index

#include "index/tree_builder.h"

#include <algorithm>

#include "base/parallel.h"
#include "index/list_encoder.h"
#include "index/payload_puller.h"
#include "index/tree_plan.h"
#include "index/validate.h"

namespace cairn::index {
namespace {
constexpr std::size_t kCopiedRows = 256;  // at once by one thread
}

BuiltIndex build_tree(MatrixView vectors, const BuildOptions& options,
                      std::span<const VectorId> ids, Progress& progress) {
  const unsigned threads = base::resolve_threads(options.threads);
  validate_data(vectors, "vectors");
  MatrixVectorSource source(vectors);
  TreePlan plan = plan_tree(source, options, ids, progress);
  BuiltIndex built;
  built.data = std::move(plan.data);
  OwnedIndexData& data = built.data;
  data.blocks = base::AlignedArray<std::uint8_t>(data.parameters.blocks *
                                                 kernels::block_bytes(data.parameters.padded_dim));
  data.refine_codes = base::AlignedArray<std::uint8_t>(vectors.rows * refine_row_bytes(data));
  progress.start_phase("encode", vectors.rows);
  encode_lists(
      data, {.begin = 0, .end = data.lists.size()},
      [&](std::size_t row) { return vectors.row(plan.rows_in_order[row]); },
      {.blocks = data.blocks.data(), .refine_codes = data.refine_codes.data()}, threads, progress);

  progress.start_phase("arrange", vectors.rows);
  built.store = std::make_unique<MemoryVectorStore>(
      vectors.rows, vectors.dim, [&](std::size_t first, std::size_t count, float* out) {
        base::parallel_chunks(count, kCopiedRows, threads,
                              [&](std::size_t begin, std::size_t end, unsigned) {
                                for (std::size_t i = begin; i < end; ++i) {
                                  std::copy_n(vectors.row(plan.rows_in_order[first + i]),
                                              vectors.dim, out + i * vectors.dim);
                                }
                              });
        progress.advance(count);
      });
  if (options.payloads != nullptr) {
    built.payloads = storage::encode_payloads(
        vectors.rows, payload_puller(*options.payloads, plan.rows_in_order, progress));
  }
  return built;
}

}  // namespace cairn::index

#include "index/tree_plan.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>

#include "cairn/error.h"
#include "cairn/payload.h"

#include "base/parallel.h"
#include "index/dense_points.h"
#include "index/lifted_rows.h"
#include "index/list_encoder.h"
#include "index/partition.h"
#include "index/row_scan.h"
#include "quantize/kernels/kernels.h"
#include "quantize/rotation.h"

namespace cairn::index {
namespace {

// A root with up to this many children is scanned whole: its codes take a few microseconds, and
// nothing can be missed on the way.
constexpr std::size_t kFlatFanout = 4096;
constexpr std::size_t kDefaultFanout = 128;
constexpr std::size_t kMostIterations = 10000;
constexpr std::uint64_t kLeastDefaultLimit = std::uint64_t{1} << 30;

[[noreturn]] void refuse(const std::string& message) {
  throw Error(ErrorCode::invalid_argument, message);
}

void check_options(const BuildOptions& options) {
  if (options.metric > Metric::cosine) {
    refuse("metric: expected l2, inner_product or cosine, found value " +
           std::to_string(static_cast<int>(options.metric)));
  }
  if (options.refine_bits > 8) {
    refuse("refine_bits: expected 0 to 8, found " + std::to_string(options.refine_bits));
  }
  if (options.max_iterations > kMostIterations) {
    refuse("max_iterations: expected at most " + std::to_string(kMostIterations) + ", found " +
           std::to_string(options.max_iterations));
  }
  if (options.branching_factor == 1 || options.branching_factor > 65536) {
    refuse("branching_factor: expected 0 or 2 to 65536, found " +
           std::to_string(options.branching_factor));
  }
}

// Rows by ascending id; refuses duplicates and kNoId.
std::vector<std::uint32_t> order_by_id(std::span<const VectorId> ids) {
  std::vector<std::uint32_t> order(ids.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return ids[a] != ids[b] ? ids[a] < ids[b] : a < b;
  });
  for (std::size_t i = 1; i < order.size(); ++i) {
    if (ids[order[i]] == ids[order[i - 1]]) {
      refuse("ids: expected unique ids, found " + std::to_string(ids[order[i]]) + " at rows " +
             std::to_string(order[i - 1]) + " and " + std::to_string(order[i]));
    }
  }
  if (!order.empty() && ids[order.back()] == kNoId) {
    refuse("ids: row " + std::to_string(order.back()) + " has the reserved id " +
           std::to_string(kNoId));
  }
  return order;
}

// The square root balances the cost of centroids, which are ranked for each query, against that of
// codes. Codes are cheap to scan and leaves dear to enter, so leaves are large (docs/design.md).
// Of wide vectors the share of a leaf's centroid and of its half-empty last block would pass what
// a code costs: leaves are at least as large as keeps everything but refine codes within dim / 8 +
// 32 bytes a row, if there are rows enough for that many leaves.
std::size_t default_leaf_target(std::size_t rows, std::size_t dim) {
  const double root = std::sqrt(static_cast<double>(rows));
  double target = std::clamp(0.8 * root, 64.0, 512.0);
  constexpr double kRowBytes = 2 * sizeof(float) + 2 * sizeof(std::uint32_t);  // factors, ids
  constexpr double kListBytes = sizeof(ListEntry) + sizeof(float);
  const double code_bytes = static_cast<double>((dim + 63) / 64 * 8);
  const double leaf_bytes = 16 * code_bytes + code_bytes + kListBytes + 16 * (code_bytes + 8);
  const double room = static_cast<double>(dim) / 8 + 32 - code_bytes - kRowBytes;
  if (dim >= 256 && room > 0) {
    // A quarter more, for leaves smaller than their target.
    const double least = std::min(1.25 * leaf_bytes / room, 512.0);
    if (static_cast<double>(rows) >= 64 * least) target = std::max(target, least);
  }
  return static_cast<std::size_t>(target);
}

std::size_t leaf_target(const BuildOptions& options, std::size_t rows, std::size_t dim) {
  if (options.max_leaf_size == 0) return default_leaf_target(rows, dim);
  return std::max<std::size_t>(1, options.max_leaf_size / 2 + options.max_leaf_size % 2);
}

PartitionOptions leaf_options(const BuildOptions& options, const PointSource& rows,
                              std::uint64_t memory_limit, unsigned threads, Progress& progress) {
  PartitionOptions result;
  result.target_size = leaf_target(options, rows.rows(), rows.dim());
  result.max_size = options.max_leaf_size != 0 ? options.max_leaf_size : 2 * result.target_size;
  result.iterations = options.max_iterations;
  result.seed = options.seed;
  result.max_sample_rows = memory_limit / 2 / (rows.dim() * sizeof(float));
  result.threads = threads;
  result.progress = &progress;
  return result;
}

// Runs of `size` neighbours: what is left where clustering does not make points fewer.
Partition cut_in_order(MatrixView points, std::size_t size) {
  Partition result;
  std::vector<std::uint32_t> assignment(points.rows);
  for (std::size_t i = 0; i < points.rows; ++i) {
    assignment[i] = static_cast<std::uint32_t>(i / size);
  }
  result.parts = group_by(assignment, (points.rows + size - 1) / size);
  for (std::size_t p = 0; p < result.size(); ++p) {
    for (std::size_t j = 0; j < points.dim; ++j) {
      double sum = 0;
      for (const std::uint32_t row : result.part(p)) sum += static_cast<double>(points.row(row)[j]);
      result.centroids.push_back(
          static_cast<float>(sum / static_cast<double>(result.part(p).size())));
    }
  }
  return result;
}

// levels[0] groups rows into leaves; levels[h] groups the parts of levels[h - 1] into inner nodes.
// The root holds the parts of the last one (or is the only leaf).
std::vector<Partition> partition_levels(const PointSource& rows, const BuildOptions& options,
                                        std::uint64_t memory_limit, unsigned threads,
                                        Progress& progress) {
  const Checkpoint checkpoint = [&progress] { progress.advance(0); };
  std::vector<Partition> levels;
  levels.push_back(partition_points(
      rows, leaf_options(options, rows, memory_limit, threads, progress), checkpoint));
  const std::size_t root_fanout =
      options.branching_factor != 0 ? options.branching_factor : kFlatFanout;
  const std::size_t fanout =
      options.branching_factor != 0 ? options.branching_factor : kDefaultFanout;
  while (levels.back().size() > root_fanout) {
    const Partition& below = levels.back();
    const MatrixView view{below.centroids.data(), below.size(), rows.dim()};
    const DensePoints centroids(view);
    const PartitionOptions inner{.target_size = std::max<std::size_t>(2, fanout * 2 / 3),
                                 .max_size = fanout,
                                 .iterations = options.max_iterations,
                                 .seed = options.seed,
                                 .threads = threads};
    Partition above = partition_points(centroids, inner, checkpoint);
    if (4 * above.size() > 3 * below.size()) above = cut_in_order(view, fanout);
    levels.push_back(std::move(above));
  }
  return levels;
}

// The tree's shape: lists with first_child, num_children, level and first_block set, and for each
// list the level and part it came from.
struct Shape {
  std::vector<ListEntry> lists;
  std::vector<std::uint32_t> part_of;  // [lists]: part within levels[list.level]; root: unused
  std::vector<std::uint32_t> rows_in_order;  // row in leaf order -> the caller's row
  std::uint64_t blocks = 0;
};

Shape shape_of(const std::vector<Partition>& levels, std::size_t rows) {
  Shape shape;
  const auto append = [&](std::uint32_t level, std::size_t children, std::uint32_t part) {
    ListEntry list;
    list.level = level;
    list.num_children = static_cast<std::uint32_t>(children);
    list.first_block = shape.blocks;
    shape.blocks += (children + kernels::kBlockSize - 1) / kernels::kBlockSize;
    shape.lists.push_back(list);
    shape.part_of.push_back(part);
  };
  const std::size_t top = levels.size() - 1;
  std::vector<std::uint32_t> order(levels[top].size());
  std::iota(order.begin(), order.end(), 0u);
  if (levels[top].size() <= 1 && top == 0) {  // a single leaf is the root
    append(0, rows, 0);
    shape.rows_in_order.assign(levels[0].parts.members.begin(), levels[0].parts.members.end());
    return shape;
  }
  append(static_cast<std::uint32_t>(top + 1), order.size(), 0);
  shape.lists[0].first_child = 1;
  for (std::size_t level = top + 1; level-- > 0;) {
    std::vector<std::uint32_t> below;
    auto next = static_cast<std::uint32_t>(level == 0 ? 0 : shape.lists.size() + order.size());
    for (const std::uint32_t part : order) {
      const std::span<const std::uint32_t> members = levels[level].part(part);
      append(static_cast<std::uint32_t>(level), members.size(), part);
      shape.lists.back().first_child = next;
      next += static_cast<std::uint32_t>(members.size());
      below.insert(below.end(), members.begin(), members.end());
    }
    order = std::move(below);
  }
  shape.rows_in_order = std::move(order);
  return shape;
}

// The rotated centroid of a list as scaled halves, and with lows if there is room for them.
void encode_centroid(const std::vector<float>& rotated, std::size_t place, OwnedIndexData& data) {
  const kernels::Kernels& k = kernels::active();
  const std::size_t padded_dim = rotated.size();
  float largest = 0;
  for (const float value : rotated) largest = std::max(largest, std::abs(value));
  // Halves reach to 65,504 with 11 significant bits; 2,048 leaves room for rounding.
  const float scale = largest / 2048.0f;
  constexpr float kLeast = 1e-30f;  // reciprocals of what is smaller overflow
  const float inverse = largest > kLeast ? 2048.0f / largest : 0.0f;
  data.centroid_scales[place] = scale;
  std::uint16_t* const halves = data.centroids.data() + place * padded_dim;
  k.encode_half(rotated.data(), inverse, padded_dim, halves);
  if (data.centroid_lows.size() == 0) return;
  std::vector<float> rest(padded_dim);
  k.decode_half(halves, scale, padded_dim, rest.data());
  for (std::size_t i = 0; i < padded_dim; ++i) rest[i] = rotated[i] - rest[i];
  k.encode_half(rest.data(), inverse * kLowUnits, padded_dim,
                data.centroid_lows.data() + place * padded_dim);
}

// Rotates the centroids of all lists but the root and encodes them.
void encode_centroids(const std::vector<Partition>& levels, const Shape& shape,
                      const quantize::Frame& frame, unsigned threads, OwnedIndexData& data) {
  const std::size_t padded_dim = frame.padded_dim();
  const std::size_t count = shape.lists.size() - 1;
  if (data.centroids.size() == 0)
    data.centroids = base::AlignedArray<std::uint16_t>(count * padded_dim);
  data.centroid_scales.assign(count, 0.0f);
  base::parallel_chunks(count, 64, threads, [&](std::size_t begin, std::size_t end, unsigned) {
    std::vector<float> rotated(padded_dim);
    for (std::size_t i = begin; i < end; ++i) {
      const ListEntry& list = shape.lists[i + 1];
      const std::vector<float>& centroids = levels[list.level].centroids;
      frame.rotate(centroids.data() + shape.part_of[i + 1] * frame.lifted_dim(), rotated.data());
      encode_centroid(rotated, i, data);
    }
  });
}

// Whether halves of centroids are too coarse beside the distances of rows to them: codes would then
// describe what rounding did to the centre, and leaves could not be told apart. Asks a sample of
// rows.
bool needs_lows(const PointSource& rows, const Partition& leaves) {
  constexpr std::size_t kSample = 1024;
  constexpr double kMostShare = 1e-4;                    // of squared distances
  constexpr double kHalfRounding = 0x1p-12 / 1.7320508;  // of the largest value, root mean square
  if (leaves.size() <= 1) return false;
  const std::size_t dim = rows.dim();
  std::vector<float> point(dim);
  double rounding = 0;
  double spread = 0;
  std::size_t coarse = 0;
  std::size_t seen = 0;
  const std::size_t stride = (leaves.size() + kSample - 1) / kSample;
  for (std::size_t part = 0; part < leaves.size(); part += stride) {
    if (leaves.part(part).size() < 2) continue;
    const std::uint32_t row = leaves.part(part)[0];
    rows.load({&row, 1}, point.data());
    rounding = 0;
    spread = 0;
    for (std::size_t j = 0; j < dim; ++j) {
      const auto c = static_cast<double>(leaves.centroids[part * dim + j]);
      const double r = static_cast<double>(point[j]) - c;
      rounding += c * c;
      spread += r * r;
    }
    // A rotated centroid's largest value is some three times the root mean square of all.
    rounding *= 9 * kHalfRounding * kHalfRounding;
    if (spread == 0) continue;  // equal rows are at any centre as far from one another
    ++seen;
    coarse += rounding > kMostShare * spread ? 1 : 0;
  }
  return 200 * coarse > seen;
}

void set_ids(std::span<const VectorId> ids, const std::vector<std::uint32_t>& rows_in_order,
             const std::vector<std::uint32_t>& id_order, OwnedIndexData& data) {
  const std::size_t rows = rows_in_order.size();
  std::vector<std::uint32_t> row_of(rows);  // the caller's row -> row in leaf order
  for (std::uint32_t row = 0; row < rows; ++row) row_of[rows_in_order[row]] = row;
  if (ids.empty()) {
    data.parameters.ids_are_rows = 1;
    data.row_ids = rows_in_order;
    data.id_order = std::move(row_of);
    return;
  }
  data.ids.resize(rows);
  data.id_order.resize(rows);
  for (std::size_t row = 0; row < rows; ++row) data.ids[row] = ids[rows_in_order[row]];
  for (std::size_t i = 0; i < rows; ++i) data.id_order[i] = row_of[id_order[i]];
}

}  // namespace

std::uint64_t memory_limit(const BuildOptions& options, std::size_t rows, std::size_t dim) {
  if (options.memory_limit_bytes != 0) return options.memory_limit_bytes;
  return std::max(kLeastDefaultLimit, std::uint64_t{rows} * dim * sizeof(float) / 4);
}

TreePlan plan_tree(VectorSource& source, const BuildOptions& options, std::span<const VectorId> ids,
                   Progress& progress) {
  const unsigned threads = base::resolve_threads(options.threads);
  check_options(options);
  if (!ids.empty() && ids.size() != source.rows()) {
    refuse("ids: expected one per row, " + std::to_string(source.rows()) + ", found " +
           std::to_string(ids.size()));
  }
  if (options.payloads != nullptr && options.payloads->rows() != source.rows()) {
    refuse("payloads: expected one per row, " + std::to_string(source.rows()) + ", found " +
           std::to_string(options.payloads->rows()));
  }
  const RowScan scan = scan_rows(source, options.metric, threads, progress);
  const std::vector<std::uint32_t> id_order = order_by_id(ids);

  TreePlan plan;
  OwnedIndexData& data = plan.data;
  const std::size_t padded_dim = quantize::Frame::padded_dim(options.metric, source.dim());
  data.parameters.metric = static_cast<std::uint32_t>(options.metric);
  data.parameters.dim = static_cast<std::uint32_t>(source.dim());
  data.parameters.padded_dim = static_cast<std::uint32_t>(padded_dim);
  data.parameters.refine_bits = options.refine_bits;
  data.parameters.rows = source.rows();
  data.parameters.seed = options.seed;
  data.parameters.leaf_target = static_cast<std::uint32_t>(
      std::min(leaf_target(options, source.rows(),
                           quantize::Frame::lifted_dim(options.metric, source.dim())),
               kMaxRows));
  data.parameters.max_norm = scan.max_norm;
  data.mean = scan.mean;
  if (scan.scale != 1) data.frame_scale.push_back(scan.scale);
  data.rotation_signs.resize(quantize::Rotation::sign_bytes(padded_dim));
  quantize::Rotation::draw_signs(options.seed, data.rotation_signs);
  const quantize::Frame frame = frame_of(data);

  Shape shape;
  {
    const LiftedRows rows(source, frame);
    const std::vector<Partition> levels = partition_levels(
        rows, options, memory_limit(options, source.rows(), source.dim()), threads, progress);
    shape = shape_of(levels, source.rows());
    encode_centroids(levels, shape, frame, threads, data);
    if (needs_lows(rows, levels[0])) {
      data.centroid_lows = base::AlignedArray<std::uint16_t>(data.centroids.size());
      encode_centroids(levels, shape, frame, threads, data);
    }
  }
  data.parameters.lists = static_cast<std::uint32_t>(shape.lists.size());
  data.parameters.levels = shape.lists[0].level + 1;
  data.parameters.blocks = shape.blocks;
  data.lists = std::move(shape.lists);
  set_ids(ids, shape.rows_in_order, id_order, data);
  plan.rows_in_order = std::move(shape.rows_in_order);
  return plan;
}

}  // namespace cairn::index

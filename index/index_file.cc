#include "index/index_file.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "cairn/error.h"

#include "quantize/rotation.h"
#include "storage/coded_writer.h"

namespace cairn::index {
namespace {

using storage::SectionType;

constexpr unsigned kPageAlignment = 12;

[[noreturn]] void corrupt(const storage::ContainerReader& reader, const std::string& message) {
  throw Error(ErrorCode::corrupt, reader.path().string() + ": " + message);
}

void expect(const storage::ContainerReader& reader, const char* what, std::uint64_t expected,
            std::uint64_t found) {
  if (expected == found) return;
  corrupt(reader, std::string(what) + ": expected " + std::to_string(expected) + ", found " +
                      std::to_string(found));
}

void check_parameters(const storage::ContainerReader& reader, const IndexParameters& parameters) {
  const storage::ContainerInfo& info = reader.info();
  if (parameters.metric > static_cast<std::uint32_t>(Metric::cosine)) {
    corrupt(reader, "metric: unknown value " + std::to_string(parameters.metric));
  }
  expect(reader, "metric", info.metric, parameters.metric);
  expect(reader, "dim", info.dim, parameters.dim);
  expect(reader, "rows", info.count, parameters.rows);
  if (parameters.dim == 0 || parameters.dim > kMaxDim || parameters.rows > kMaxRows) {
    corrupt(reader, "dim or rows out of range");
  }
  expect(reader, "padded dim",
         quantize::Frame::padded_dim(static_cast<Metric>(parameters.metric), parameters.dim),
         parameters.padded_dim);
  if (parameters.refine_bits > 8) {
    corrupt(reader,
            "refine bits: expected 0 to 8, found " + std::to_string(parameters.refine_bits));
  }
  if (parameters.lists == 0) corrupt(reader, "lists: expected at least 1, found 0");
  if (!std::isfinite(parameters.max_norm) || parameters.max_norm < 0) {
    corrupt(reader, "largest norm is not a finite number");
  }
}

// Every list's children are the next lists of the level below, or the next rows, so that all are
// covered once; blocks likewise.
void check_lists(const storage::ContainerReader& reader, const IndexData& data) {
  std::uint64_t next_list = 1;
  std::uint64_t next_row = 0;
  std::uint64_t next_block = 0;
  expect(reader, "list 0: level", std::uint64_t{data.parameters.levels} - 1, data.lists[0].level);
  for (std::size_t i = 0; i < data.lists.size(); ++i) {
    const ListEntry& list = data.lists[i];
    const std::string name = "list " + std::to_string(i);
    expect(reader, (name + ": first block").c_str(), next_block, list.first_block);
    if (!(list.scan_sigma >= 0) || !std::isfinite(list.scan_sigma) || !(list.refine_sigma >= 0) ||
        !std::isfinite(list.refine_sigma)) {
      corrupt(reader, name + ": error scale is not a finite number >= 0");
    }
    next_block +=
        (std::uint64_t{list.num_children} + kernels::kBlockSize - 1) / kernels::kBlockSize;
    if (list.level == 0) {
      expect(reader, (name + ": first row").c_str(), next_row, list.first_child);
      next_row += list.num_children;
      if (next_row > data.rows()) corrupt(reader, name + ": more rows than the index has");
      continue;
    }
    expect(reader, (name + ": first child").c_str(), next_list, list.first_child);
    if (list.num_children == 0) corrupt(reader, name + ": an inner node without children");
    if (list.num_children > data.lists.size() - next_list) {
      corrupt(reader, name + ": more children than there are lists");
    }
    for (std::size_t c = next_list; c < next_list + list.num_children; ++c) {
      expect(reader, ("list " + std::to_string(c) + ": level").c_str(), list.level - 1,
             data.lists[c].level);
    }
    next_list += list.num_children;
  }
  expect(reader, "lists reached from the root", data.lists.size(), next_list);
  expect(reader, "rows in leaves", data.rows(), next_row);
  expect(reader, "blocks", data.parameters.blocks, next_block);
}

void check_finite(const storage::ContainerReader& reader, const char* what,
                  std::span<const float> values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      corrupt(reader, std::string(what) + " " + std::to_string(i) + " is not finite");
    }
  }
}

void check_calibration(const storage::ContainerReader& reader,
                       std::span<const CalibrationEntry> entries) {
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const CalibrationEntry& entry = entries[i];
    if (entry.k == 0 || !(entry.recall > 0 && entry.recall < 1) || !(entry.probes > 0) ||
        !std::isfinite(entry.probes)) {
      corrupt(reader, "calibration entry " + std::to_string(i) + " is out of range");
    }
    const bool rises = i == 0 || entry.k > entries[i - 1].k ||
                       (entry.k == entries[i - 1].k && entry.recall > entries[i - 1].recall);
    if (!rises) corrupt(reader, "calibration entries are out of order");
  }
}

std::span<const std::uint8_t> refine_section(const storage::ContainerReader& reader,
                                             std::size_t row_bytes, std::size_t rows) {
  const storage::SectionInfo& section = reader.require(SectionType::refine_codes, row_bytes, rows);
  const std::span<const std::byte> bytes = reader.bytes(section);
  return {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
}

void read_range(const VectorStore& store, std::size_t first, std::size_t count, float* out) {
  std::vector<std::uint32_t> rows(count);
  std::iota(rows.begin(), rows.end(), static_cast<std::uint32_t>(first));
  store.prefetch(rows);
  store.read(rows, out);
}

void write_vectors(storage::ContainerWriter& writer, const VectorStore& store) {
  const std::size_t dim = store.dim();
  const std::size_t batch =
      std::max<std::size_t>(1, (std::size_t{4} << 20) / (dim * sizeof(float)));
  writer.begin_section(SectionType::vectors, dim * sizeof(float), store.rows(), kPageAlignment);
  std::vector<float> values;
  for (std::size_t first = 0; first < store.rows(); first += batch) {
    const std::size_t count = std::min(batch, store.rows() - first);
    values.resize(count * dim);
    read_range(store, first, count, values.data());
    writer.append(std::as_bytes(std::span<const float>(values)));
  }
}

}  // namespace

void save_index(const std::filesystem::path& path, const IndexData& data, const VectorStore& store,
                const SaveOptions& options) {
  if (options.compression) storage::check_compression_options(*options.compression);
  storage::ContainerWriter writer(path, {.kind = storage::ContainerKind::index,
                                         .dim = data.parameters.dim,
                                         .count = data.parameters.rows,
                                         .metric = data.parameters.metric});
  writer.write_section(SectionType::index_parameters,
                       std::span<const IndexParameters>(&data.parameters, 1));
  writer.write_section(SectionType::rotation, data.rotation_signs);
  writer.write_section(SectionType::mean, data.mean);
  writer.write_section(SectionType::lists, data.lists);
  writer.write_section(SectionType::centroid_scales, data.centroid_scales);
  writer.write_section(SectionType::calibration, data.calibration);
  writer.write_section(SectionType::blocks, data.blocks, kPageAlignment);
  writer.write_section(SectionType::centroids, data.centroids, kPageAlignment);
  if (data.refine_code_bits() != 0) {
    writer.begin_section(SectionType::refine_codes, data.refine_row_bytes(), data.rows(),
                         kPageAlignment);
    writer.append(std::as_bytes(data.refine_codes));
  }
  if (data.parameters.ids_are_rows != 0) {
    writer.write_section(SectionType::ids, data.row_ids, kPageAlignment);
  } else {
    writer.write_section(SectionType::ids, data.ids, kPageAlignment);
  }
  writer.write_section(SectionType::id_order, data.id_order, kPageAlignment);
  if (options.compression) {
    storage::write_coded_vectors(
        writer, store.rows(), store.dim(),
        [&store](std::size_t first, std::size_t count, float* out) {
          read_range(store, first, count, out);
        },
        *options.compression);
  } else {
    write_vectors(writer, store);
  }
  writer.commit();
}

IndexData load_index(const storage::ContainerReader& reader) {
  IndexData data;
  data.parameters =
      reader.elements<IndexParameters>(SectionType::index_parameters, std::uint64_t{1})[0];
  check_parameters(reader, data.parameters);
  const std::size_t rows = data.rows();
  const std::size_t padded_dim = data.padded_dim();
  const std::size_t lists = data.parameters.lists;
  data.rotation_signs = reader.elements<std::uint8_t>(SectionType::rotation,
                                                      quantize::Rotation::sign_bytes(padded_dim));
  data.mean = reader.elements<float>(SectionType::mean,
                                     quantize::Frame::lifted_dim(data.metric(), data.dim()));
  data.lists = reader.elements<ListEntry>(SectionType::lists, lists);
  data.centroid_scales = reader.elements<float>(SectionType::centroid_scales, lists - 1);
  data.calibration = reader.elements<CalibrationEntry>(SectionType::calibration);
  check_lists(reader, data);
  check_finite(reader, "mean: value", data.mean);
  check_finite(reader, "centroid scale", data.centroid_scales);
  check_calibration(reader, data.calibration);

  // check_lists bounds blocks by the lists, which are in the file: no product below can overflow.
  data.blocks = reader.elements<std::uint8_t>(
      SectionType::blocks, data.parameters.blocks * kernels::block_bytes(padded_dim));
  data.centroids = reader.elements<std::uint16_t>(SectionType::centroids, (lists - 1) * padded_dim);
  if (data.refine_code_bits() != 0) {
    data.refine_codes = refine_section(reader, data.refine_row_bytes(), rows);
  }
  if (data.parameters.ids_are_rows != 0) {
    data.row_ids = reader.elements<std::uint32_t>(SectionType::ids, rows);
  } else {
    data.ids = reader.elements<std::uint64_t>(SectionType::ids, rows);
  }
  data.id_order = reader.elements<std::uint32_t>(SectionType::id_order, rows);
  data.attach();
  return data;
}

}  // namespace cairn::index

#include "index/index_file.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "cairn/error.h"

#include "index/calibration.h"
#include "index/validate.h"
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
    if (!(list.refine_limit >= 0) || !std::isfinite(list.refine_limit)) {
      corrupt(reader, name + ": largest error scale is not a finite number >= 0");
    }
    if (list.num_children == 0 && data.rows() != 0) corrupt(reader, name + ": no children");
    next_block +=
        (std::uint64_t{list.num_children} + kernels::kBlockSize - 1) / kernels::kBlockSize;
    if (list.level == 0) {
      expect(reader, (name + ": first row").c_str(), next_row, list.first_child);
      next_row += list.num_children;
      if (next_row > data.rows()) corrupt(reader, name + ": more rows than the index has");
      continue;
    }
    expect(reader, (name + ": first child").c_str(), next_list, list.first_child);
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

// Rows within the limits have a mean, and inner-product rows a lift, within them too.
void check_mean(const storage::ContainerReader& reader, const IndexData& data) {
  double norm2 = 0;
  for (const float value : data.mean) {
    norm2 += static_cast<double>(value) * static_cast<double>(value);
  }
  const auto radius = static_cast<double>(data.parameters.max_norm);
  constexpr double kMost = 2.0 * static_cast<double>(kMaxSquaredNorm);
  if (norm2 > kMost || radius * radius > kMost) {
    corrupt(reader, "mean or largest norm is beyond what rows can have");
  }
}

void check_frame_scale(const storage::ContainerReader& reader, float scale) {
  int exponent = 0;
  if (std::isfinite(scale) && scale >= std::numeric_limits<float>::min() &&
      std::frexp(scale, &exponent) == 0.5f) {
    return;
  }
  corrupt(reader, "frame scale is " + std::to_string(scale) + "; expected a power of two");
}

void check_calibration(const storage::ContainerReader& reader,
                       std::span<const CalibrationEntry> entries, std::size_t lists) {
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const CalibrationEntry& entry = entries[i];
    if (entry.k == 0 || !(entry.recall > 0 && entry.recall < 1) || !(entry.probes > 0) ||
        !(entry.probes <= static_cast<float>(lists))) {
      corrupt(reader, "calibration entry " + std::to_string(i) + " is out of range");
    }
    const bool rises = i == 0 || entry.k > entries[i - 1].k ||
                       (entry.k == entries[i - 1].k && entry.recall > entries[i - 1].recall);
    if (!rises) corrupt(reader, "calibration entries are out of order");
  }
}

void check_stops(const storage::ContainerReader& reader, const IndexData& data) {
  expect(reader, "query profiles", data.stops.empty() ? 0 : 1, data.profile.size());
  for (std::size_t i = 0; i < data.stops.size(); ++i) {
    const StopEntry& entry = data.stops[i];
    const std::string name = "stop rule " + std::to_string(i);
    if (entry.k == 0 || !(entry.recall > 0 && entry.recall < 1) || !std::isfinite(entry.limit) ||
        !(entry.weight >= 0) || !std::isfinite(entry.weight) || !(entry.mean_leaves >= 1) ||
        !(entry.mean_leaves <= static_cast<float>(data.lists.size()))) {
      corrupt(reader, name + " is out of range");
    }
    if (i == 0) continue;
    const StopEntry& before = data.stops[i - 1];
    const bool rises = entry.k > before.k || (entry.k == before.k && entry.recall > before.recall &&
                                              entry.limit >= before.limit);
    if (!rises) corrupt(reader, name + " is out of order");
  }
  for (const QueryProfile& profile : data.profile) {
    const float values[] = {profile.least_centroid_distance, profile.greatest_centroid_distance,
                            profile.least_norm, profile.greatest_norm};
    check_finite(reader, "query profile: value", values);
    if (profile.navigation_width > kMostNavigationWidth) {
      corrupt(reader, "query profile: navigation width is " +
                          std::to_string(profile.navigation_width) + "; expected at most " +
                          std::to_string(kMostNavigationWidth));
    }
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

// All rows to the section that was declared for them.
void append_rows(const VectorStore& store, IndexFileWriter& writer) {
  const std::size_t dim = store.dim();
  const std::size_t batch =
      std::max<std::size_t>(1, (std::size_t{4} << 20) / (dim * sizeof(float)));
  std::vector<float> values;
  for (std::size_t first = 0; first < store.rows(); first += batch) {
    const std::size_t count = std::min(batch, store.rows() - first);
    values.resize(count * dim);
    read_range(store, first, count, values.data());
    writer.append_vectors(values);
  }
}

storage::ContainerInfo info_of(const IndexParameters& parameters) {
  return {.kind = storage::ContainerKind::index,
          .dim = parameters.dim,
          .count = parameters.rows,
          .metric = parameters.metric};
}

}  // namespace

IndexFileWriter::IndexFileWriter(const std::filesystem::path& path,
                                 const IndexParameters& parameters)
    : writer_(path, info_of(parameters)) {}

void IndexFileWriter::declare(const IndexData& data, std::size_t calibration_entries,
                              std::size_t stop_entries, bool has_vectors) {
  const auto add = [&]<typename T>(SectionType type, std::span<const T> elements,
                                   unsigned alignment = 6) {
    return writer_.add_section(type, sizeof(T), elements.size(), alignment);
  };
  const std::size_t rows = data.rows();
  parameters_ = writer_.add_section(SectionType::index_parameters, sizeof(IndexParameters), 1);
  rotation_ = add(SectionType::rotation, data.rotation_signs);
  mean_ = add(SectionType::mean, data.mean);
  if (!data.frame_scale.empty()) frame_scale_ = add(SectionType::frame_scale, data.frame_scale);
  lists_ = add(SectionType::lists, data.lists);
  centroid_scales_ = add(SectionType::centroid_scales, data.centroid_scales);
  calibration_ =
      writer_.add_section(SectionType::calibration, sizeof(CalibrationEntry), calibration_entries);
  // Files of older versions have none.
  if (stop_entries != 0) {
    stops_ = writer_.add_section(SectionType::stop_rules, sizeof(StopEntry), stop_entries);
    profile_ = writer_.add_section(SectionType::query_profile, sizeof(QueryProfile), 1);
  }
  blocks_ = writer_.add_section(SectionType::blocks, 1,
                                data.parameters.blocks * kernels::block_bytes(data.padded_dim()),
                                kPageAlignment);
  centroids_ = add(SectionType::centroids, data.centroids, kPageAlignment);
  if (!data.centroid_lows.empty()) {
    centroid_lows_ = add(SectionType::centroid_lows, data.centroid_lows, kPageAlignment);
  }
  if (data.refine_code_bits() != 0) {
    refine_codes_ = writer_.add_section(SectionType::refine_codes, data.refine_row_bytes(), rows,
                                        kPageAlignment);
  }
  ids_ = data.parameters.ids_are_rows != 0 ? add(SectionType::ids, data.row_ids, kPageAlignment)
                                           : add(SectionType::ids, data.ids, kPageAlignment);
  id_order_ = add(SectionType::id_order, data.id_order, kPageAlignment);
  if (!has_vectors) return;
  vectors_ =
      writer_.add_section(SectionType::vectors, data.dim() * sizeof(float), rows, kPageAlignment);
}

void IndexFileWriter::append_blocks(std::span<const std::uint8_t> blocks) {
  writer_.append_to(blocks_, std::as_bytes(blocks));
}

void IndexFileWriter::append_refine_codes(std::span<const std::uint8_t> rows) {
  if (!rows.empty()) writer_.append_to(refine_codes_, std::as_bytes(rows));
}

void IndexFileWriter::append_vectors(std::span<const float> rows) {
  writer_.append_to(vectors_, std::as_bytes(rows));
}

IndexFileWriter::MappedRows IndexFileWriter::map() {
  const auto bytes_of = [&](std::size_t section) {
    const std::span<const std::byte> bytes = writer_.map(section);
    return std::span(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  };
  const std::span<const std::byte> vectors = writer_.map(vectors_);
  return {
      .blocks = bytes_of(blocks_),
      .refine_codes =
          refine_codes_ == 0 ? std::span<const std::uint8_t>() : bytes_of(refine_codes_),
      .vectors = {reinterpret_cast<const float*>(vectors.data()), vectors.size() / sizeof(float)}};
}

void IndexFileWriter::write_tables(const IndexData& data) {
  const auto write = [&]<typename T>(std::size_t section, std::span<const T> elements) {
    writer_.append_to(section, std::as_bytes(elements));
  };
  write(parameters_, std::span<const IndexParameters>(&data.parameters, 1));
  write(rotation_, data.rotation_signs);
  write(mean_, data.mean);
  if (!data.frame_scale.empty()) write(frame_scale_, data.frame_scale);
  write(lists_, data.lists);
  write(centroid_scales_, data.centroid_scales);
  write(calibration_, data.calibration);
  if (!data.stops.empty()) {
    write(stops_, data.stops);
    write(profile_, data.profile);
  }
  write(centroids_, data.centroids);
  if (!data.centroid_lows.empty()) write(centroid_lows_, data.centroid_lows);
  if (data.parameters.ids_are_rows != 0) {
    write(ids_, data.row_ids);
  } else {
    write(ids_, data.ids);
  }
  write(id_order_, data.id_order);
}

void save_index(const std::filesystem::path& path, const IndexData& data, const VectorStore& store,
                const SaveOptions& options, const PayloadWriter& write_payloads) {
  if (options.compression) storage::check_compression_options(*options.compression);
  IndexFileWriter writer(path, data.parameters);
  writer.declare(data, data.calibration.size(), data.stops.size(), !options.compression);
  writer.append_blocks(data.blocks);
  writer.append_refine_codes(data.refine_codes);
  writer.write_tables(data);
  if (options.compression) {
    storage::write_coded_vectors(
        writer.container(), store.rows(), store.dim(),
        [&store](std::size_t first, std::size_t count, float* out) {
          read_range(store, first, count, out);
        },
        *options.compression);
  } else {
    append_rows(store, writer);
  }
  if (write_payloads) write_payloads(writer.container());
  writer.container().commit();
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
  if (reader.find(SectionType::frame_scale) != nullptr) {
    data.frame_scale = reader.elements<float>(SectionType::frame_scale, std::uint64_t{1});
    check_frame_scale(reader, data.frame_scale[0]);
  }
  data.lists = reader.elements<ListEntry>(SectionType::lists, lists);
  data.centroid_scales = reader.elements<float>(SectionType::centroid_scales, lists - 1);
  data.calibration = reader.elements<CalibrationEntry>(SectionType::calibration);
  check_lists(reader, data);
  check_finite(reader, "mean: value", data.mean);
  check_mean(reader, data);
  check_finite(reader, "centroid scale", data.centroid_scales);
  check_calibration(reader, data.calibration, lists);
  if (reader.find(SectionType::stop_rules) != nullptr) {
    data.use(data.calibration, reader.elements<StopEntry>(SectionType::stop_rules),
             reader.elements<QueryProfile>(SectionType::query_profile));
    check_stops(reader, data);
  }

  // check_lists bounds blocks by the lists, which are in the file: no product below can overflow.
  data.blocks = reader.elements<std::uint8_t>(
      SectionType::blocks, data.parameters.blocks * kernels::block_bytes(padded_dim));
  data.centroids = reader.elements<std::uint16_t>(SectionType::centroids, (lists - 1) * padded_dim);
  if (reader.find(SectionType::centroid_lows) != nullptr) {
    data.centroid_lows =
        reader.elements<std::uint16_t>(SectionType::centroid_lows, (lists - 1) * padded_dim);
  }
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

bool is_searched(const storage::SectionInfo& section) noexcept {
  return section.type == SectionType::centroid_lows ||
         (section.type >= SectionType::index_parameters && section.type != SectionType::vectors &&
          section.type < SectionType::coded_vectors);
}

}  // namespace cairn::index

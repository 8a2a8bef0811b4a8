#include "storage/row_sorter.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

namespace cairn::storage {
namespace {

constexpr std::size_t kReadBytes = std::size_t{1} << 20;

}  // namespace

RowSorter::RowSorter(const std::filesystem::path& directory, std::size_t row_bytes,
                     std::vector<std::uint32_t> ends, std::size_t buffer_bytes)
    : row_bytes_(row_bytes),
      record_bytes_(sizeof(std::uint32_t) + row_bytes),
      buffer_capacity_(
          std::max(record_bytes_, buffer_bytes / std::max<std::size_t>(1, ends.size()))),
      ends_(std::move(ends)),
      open_(ends_.size()),
      file_(File::create_temporary(directory)) {
  if (!ends_.empty()) file_.reserve(0, std::uint64_t{ends_.back()} * record_bytes_);
}

void RowSorter::put(std::uint32_t place, std::span<const std::byte> row) {
  assert(row.size() == row_bytes_ && place < ends_.back());
  const auto bucket =
      static_cast<std::size_t>(std::upper_bound(ends_.begin(), ends_.end(), place) - ends_.begin());
  std::vector<std::byte>& buffer = open_[bucket].buffer;
  if (buffer.size() + record_bytes_ > buffer_capacity_) flush(bucket);
  if (buffer.empty()) buffer.reserve(buffer_capacity_);
  const auto* const place_bytes = reinterpret_cast<const std::byte*>(&place);
  buffer.insert(buffer.end(), place_bytes, place_bytes + sizeof place);
  buffer.insert(buffer.end(), row.begin(), row.end());
}

void RowSorter::flush(std::size_t bucket) {
  Bucket& to = open_[bucket];
  file_.write_at(std::uint64_t{begin(bucket)} * record_bytes_ + to.written, to.buffer);
  to.written += to.buffer.size();
  to.buffer.clear();
}

void RowSorter::read_bucket(std::size_t bucket, std::byte* rows) {
  flush(bucket);
  open_[bucket].buffer = {};
  const std::uint64_t bytes = open_[bucket].written;
  assert(bytes == std::uint64_t{end(bucket) - begin(bucket)} * record_bytes_);
  const std::size_t chunk = std::max<std::size_t>(1, kReadBytes / record_bytes_) * record_bytes_;
  std::vector<std::byte> records(std::min<std::uint64_t>(chunk, bytes));
  const std::uint64_t offset = std::uint64_t{begin(bucket)} * record_bytes_;
  for (std::uint64_t done = 0; done < bytes; done += records.size()) {
    records.resize(std::min<std::uint64_t>(chunk, bytes - done));
    file_.read_at(offset + done, records);
    for (std::size_t at = 0; at < records.size(); at += record_bytes_) {
      std::uint32_t place;
      std::memcpy(&place, records.data() + at, sizeof place);
      std::memcpy(rows + (place - begin(bucket)) * row_bytes_, records.data() + at + sizeof place,
                  row_bytes_);
    }
  }
}

}  // namespace cairn::storage

#include <algorithm>
#include <cstring>
#include <vector>

#include "cairn/error.h"
#include "cairn/payload.h"

#include "storage/file.h"

namespace cairn {
namespace {

constexpr std::size_t kReadBytes = std::size_t{1} << 20;

// Where each line ends: behind its last byte, at its newline or at the end of the file.
std::vector<std::uint64_t> find_line_ends(const storage::File& file) {
  std::vector<std::uint64_t> ends;
  const std::uint64_t size = file.size();
  std::vector<std::byte> bytes;
  std::uint64_t line = 0;  // where the line that is open begins
  for (std::uint64_t at = 0; at < size; at += bytes.size()) {
    bytes.resize(std::min<std::uint64_t>(kReadBytes, size - at));
    file.read_at(at, bytes);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      const void* const found = std::memchr(bytes.data() + i, '\n', bytes.size() - i);
      if (found == nullptr) break;
      i = static_cast<std::size_t>(static_cast<const std::byte*>(found) - bytes.data());
      ends.push_back(at + i);
      line = at + i + 1;
    }
  }
  if (line < size) ends.push_back(size);
  return ends;
}

}  // namespace

std::size_t MemoryPayloadSource::rows() const noexcept { return payloads_.size(); }

void MemoryPayloadSource::read(std::size_t row, std::string& out) { out = payloads_[row]; }

struct LinePayloadSource::Impl {
  storage::File file;
  std::vector<std::uint64_t> ends;
};

LinePayloadSource::LinePayloadSource(const std::filesystem::path& path)
    : impl_(std::make_unique<Impl>(Impl{storage::File::open_for_reading(path), {}})) {
  impl_->ends = find_line_ends(impl_->file);
}

LinePayloadSource::~LinePayloadSource() = default;

std::size_t LinePayloadSource::rows() const noexcept { return impl_->ends.size(); }

void LinePayloadSource::read(std::size_t row, std::string& out) {
  const std::uint64_t begin = row == 0 ? 0 : impl_->ends[row - 1] + 1;
  const std::uint64_t bytes = impl_->ends[row] - begin;
  if (bytes > kMaxPayloadBytes) {
    throw Error(ErrorCode::invalid_argument,
                impl_->file.path().string() + ": line " + std::to_string(row + 1) + " has " +
                    std::to_string(bytes) + " bytes, expected at most " +
                    std::to_string(kMaxPayloadBytes));
  }
  out.resize(bytes);
  if (bytes > 0) impl_->file.read_at(begin, std::as_writable_bytes(std::span(out)));
}

bool LinePayloadSource::reads_from(const std::filesystem::path& path) const {
  return impl_->file.is_at(path);
}

}  // namespace cairn

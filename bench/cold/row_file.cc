#include "bench/cold/row_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace cold {
namespace {

constexpr std::size_t kPage = 4096;

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

void write_all(int descriptor, const std::vector<std::byte>& bytes) {
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t written = ::write(descriptor, bytes.data() + done, bytes.size() - done);
    if (written <= 0) fail("cannot write rows");
    done += static_cast<std::size_t>(written);
  }
}

}  // namespace

RowFile::RowFile(std::filesystem::path path, const cairn::ClusteredIndex& index, bool packs_pages)
    : path_(std::move(path)), rows_(index.size()), dim_(index.dim()) {
  if (packs_pages && row_bytes() < kPage) rows_per_page_ = kPage / row_bytes();
  bytes_ =
      (offset_of(static_cast<std::uint32_t>(rows_ - 1)) + row_bytes() + kPage - 1) / kPage * kPage;
  const int out = ::open(path_.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  if (out < 0) fail("cannot create " + path_.string());
  const std::size_t step = 1024 * std::max<std::size_t>(rows_per_page_, 4);
  std::vector<float> values;
  std::vector<std::byte> buffer;
  std::uint64_t at = 0;
  for (std::size_t first = 0; first < rows_; first += step) {
    const std::size_t count = std::min(step, rows_ - first);
    const std::uint64_t end =
        first + count == rows_ ? bytes_ : offset_of(static_cast<std::uint32_t>(first + count));
    values.resize(count * dim_);
    index.read_rows(first, count, values.data());
    buffer.assign(end - at, std::byte{0});
    for (std::size_t i = 0; i < count; ++i) {
      std::memcpy(buffer.data() + offset_of(static_cast<std::uint32_t>(first + i)) - at,
                  values.data() + i * dim_, row_bytes());
    }
    write_all(out, buffer);
    at = end;
  }
  if (::fsync(out) != 0) fail("cannot sync " + path_.string());
  ::close(out);

  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0) fail("cannot open " + path_.string());
  posix_fadvise(descriptor_, 0, 0, POSIX_FADV_RANDOM);
  direct_descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
  void* const address = ::mmap(nullptr, bytes_, PROT_READ, MAP_SHARED, descriptor_, 0);
  if (address == MAP_FAILED) fail("cannot map " + path_.string());
  ::madvise(address, bytes_, MADV_RANDOM);
  mapped_ = static_cast<std::byte*>(address);
}

RowFile::~RowFile() {
  ::munmap(mapped_, bytes_);
  ::close(descriptor_);
  if (direct_descriptor_ >= 0) ::close(direct_descriptor_);
  ::unlink(path_.c_str());
}

std::uint64_t RowFile::offset_of(std::uint32_t row) const noexcept {
  if (rows_per_page_ == 0) return std::uint64_t{row} * row_bytes();
  return std::uint64_t{row / rows_per_page_} * kPage + row % rows_per_page_ * row_bytes();
}

bool RowFile::drop_pages() const {
  ::madvise(mapped_, bytes_, MADV_DONTNEED);
  posix_fadvise(descriptor_, 0, 0, POSIX_FADV_DONTNEED);
  unsigned char state = 0;
  ::mincore(mapped_ + bytes_ / 2 / kPage * kPage, 1, &state);
  return (state & 1) == 0;
}

}  // namespace cold

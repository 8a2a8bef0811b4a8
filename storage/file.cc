#include "storage/file.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cairn/error.h"

#include "storage/system_calls.h"

namespace cairn::storage {
namespace {

int system_advice(Advice advice) noexcept {
  switch (advice) {
    case Advice::normal:
      return MADV_NORMAL;
    case Advice::random:
      return MADV_RANDOM;
    case Advice::will_need:
      return MADV_WILLNEED;
    case Advice::not_needed:
      return MADV_DONTNEED;
  }
  return MADV_NORMAL;
}

int system_file_advice(Advice advice) noexcept {
  switch (advice) {
    case Advice::normal:
      return POSIX_FADV_NORMAL;
    case Advice::random:
      return POSIX_FADV_RANDOM;
    case Advice::will_need:
      return POSIX_FADV_WILLNEED;
    case Advice::not_needed:
      return POSIX_FADV_DONTNEED;
  }
  return POSIX_FADV_NORMAL;
}

}  // namespace

File::File(int descriptor, std::filesystem::path path)
    : descriptor_(descriptor), path_(std::move(path)) {}

File::File(File&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), path_(std::move(other.path_)) {}

File& File::operator=(File&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(path_, other.path_);
  return *this;
}

File::~File() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

File File::open_for_reading(const std::filesystem::path& path) {
  // O_NONBLOCK: opening a pipe by mistake must fail below, not wait for a writer.
  const int descriptor =
      retry([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); });
  if (descriptor < 0) {
    const int error = errno;
    fail(error == ENOENT ? ErrorCode::not_found : ErrorCode::io, "cannot open", path, error);
  }
  File file(descriptor, path);
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) fail_io("cannot inspect", path, errno);
  if (!S_ISREG(status.st_mode)) {
    throw Error(ErrorCode::io, "cannot open " + path.string() + ": not a regular file");
  }
  return file;
}

File File::create_temporary(const std::filesystem::path& directory) {
  int descriptor =
      retry([&] { return ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600); });
  if (descriptor < 0) {  // no such thing here: a name, for a moment
    std::filesystem::path path;
    with_unused_name([&](const std::string& candidate) {
      path = directory / candidate;
      return descriptor = ::open(path.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    });
    if (descriptor < 0) fail_io("cannot create a temporary file in", directory, errno);
    ::unlink(path.c_str());
  }
  return {descriptor, directory / "(temporary file)"};
}

File File::create_in_memory() {
  const int descriptor = ::memfd_create("cairn", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (descriptor < 0) fail_io("cannot create a file in", "memory", errno);
  return {descriptor, "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(descriptor)};
}

void File::seal() {
  constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
  if (::fcntl(descriptor_, F_ADD_SEALS, kSeals) != 0) fail_io("cannot seal", path_, errno);
}

std::uint64_t File::size() const {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) fail_io("cannot inspect", path_, errno);
  return static_cast<std::uint64_t>(status.st_size);
}

bool File::is_at(const std::filesystem::path& path) const noexcept {
  struct stat named {};
  struct stat opened {};
  return ::stat(path.c_str(), &named) == 0 && ::fstat(descriptor_, &opened) == 0 &&
         named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

FileStamp File::stamp() const {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) fail_io("cannot inspect", path_, errno);
  return {static_cast<std::uint64_t>(status.st_size),
          std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec};
}

void File::read_at(std::uint64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t count = retry([&] {
      return ::pread(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    });
    if (count < 0) fail_io("cannot read", path_, errno);
    if (count == 0) {
      throw Error(ErrorCode::io, "cannot read " + path_.string() + ": it ends at byte " +
                                     std::to_string(offset) + ", expected " +
                                     std::to_string(bytes.size()) + " more");
    }
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
}

void File::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = retry([&] {
      return ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    });
    // A regular file that takes no byte and gives no reason will take none the next time either.
    if (written <= 0) fail_io("cannot write", path_, written < 0 ? errno : ENOSPC);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    offset += static_cast<std::uint64_t>(written);
  }
}

void File::reserve(std::uint64_t offset, std::uint64_t bytes) {
  if (bytes == 0) return;
  // Not posix_fallocate: the C library imitates it by writing to every block where the file system
  // has no support, which costs more than it tells.
  const int result = retry([&] {
    return ::fallocate(descriptor_, 0, static_cast<off_t>(offset), static_cast<off_t>(bytes));
  });
  if (result != 0 && errno != EOPNOTSUPP && errno != EINVAL && errno != ENOSYS) {
    fail_io("cannot reserve " + std::to_string(bytes) + " bytes for", path_, errno);
  }
}

void File::sync() {
  // Never repeated after a failure: the kernel may have dropped the pages it could not write, and
  // a second call would then report success.
  if (::fsync(descriptor_) != 0) fail_io("cannot sync", path_, errno);
}

void File::close() {
  const int descriptor = std::exchange(descriptor_, -1);
  // After EINTR the descriptor is gone all the same.
  if (descriptor >= 0 && ::close(descriptor) != 0 && errno != EINTR) {
    fail_io("cannot close", path_, errno);
  }
}

bool File::may_inspect_residency() const noexcept {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) return false;
  return status.st_uid == ::geteuid() ||
         ::faccessat(AT_FDCWD, path_.c_str(), W_OK, AT_EACCESS) == 0;
}

void File::advise(std::uint64_t offset, std::uint64_t bytes, Advice advice) const noexcept {
  ::posix_fadvise(descriptor_, static_cast<off_t>(offset), static_cast<off_t>(bytes),
                  system_file_advice(advice));
}

Mapping::Mapping(const File& file, std::uint64_t bytes) : bytes_(bytes) {
  void* const address = ::mmap(nullptr, bytes_, PROT_READ, MAP_SHARED, file.descriptor(), 0);
  if (address == MAP_FAILED) {
    fail_io("cannot map " + std::to_string(bytes) + " bytes of", file.path(), errno);
  }
  ::madvise(address, bytes_, MADV_RANDOM);
  data_ = static_cast<const std::byte*>(address);
}

Mapping::Mapping(Mapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Mapping::~Mapping() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), bytes_);
}

std::size_t page_size() noexcept {
  static const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

void advise(std::span<const std::byte> range, Advice advice) noexcept {
  const std::size_t mask = page_size() - 1;
  const auto first = reinterpret_cast<std::uintptr_t>(range.data());
  const std::uintptr_t last = first + range.size();
  const bool is_inner = advice == Advice::random;
  const std::uintptr_t begin = (is_inner ? first + mask : first) & ~mask;
  const std::uintptr_t end = (is_inner ? last : last + mask) & ~mask;
  if (begin >= end) return;
  ::madvise(reinterpret_cast<void*>(begin), end - begin, system_advice(advice));
}

bool is_resident(const std::byte* address) noexcept {
  const auto page = reinterpret_cast<std::uintptr_t>(address) & ~(page_size() - 1);
  unsigned char state = 0;
  return ::mincore(reinterpret_cast<void*>(page), 1, &state) != 0 || (state & 1) != 0;
}

std::size_t resident_bytes(std::span<const std::byte> range) {
  const std::size_t page = page_size();
  const auto first = reinterpret_cast<std::uintptr_t>(range.data());
  const std::uintptr_t begin = first & ~(page - 1);
  std::vector<unsigned char> states((first + range.size() - begin + page - 1) / page, 1);
  ::mincore(reinterpret_cast<void*>(begin), first + range.size() - begin, states.data());
  const auto pages = std::count_if(states.begin(), states.end(),
                                   [](unsigned char state) { return (state & 1) != 0; });
  return std::min(range.size(), static_cast<std::size_t>(pages) * page);
}

void lock_in_memory(std::span<const std::byte> range, const std::filesystem::path& path) {
  if (::mlock(range.data(), range.size()) == 0) return;
  fail_io("cannot lock in memory " + std::to_string(range.size()) + " bytes of", path, errno);
}

void unlock(std::span<const std::byte> range) noexcept { ::munlock(range.data(), range.size()); }

}  // namespace cairn::storage

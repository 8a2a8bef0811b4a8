#include "storage/file.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cairn/error.h"

namespace cairn::storage {
namespace {

[[noreturn]] void fail(ErrorCode code, const std::string& what, const std::filesystem::path& path,
                       int error) {
  throw Error(code, what + " " + path.string() + ": " + std::generic_category().message(error));
}

[[noreturn]] void fail_io(const std::string& what, const std::filesystem::path& path, int error) {
  fail(ErrorCode::io, what, path, error);
}

// Repeats a system call that a signal interrupted.
template <typename Call>
auto retry(Call&& call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

std::string random_name() {
  std::uint64_t bits = 0;
  if (retry([&] { return getrandom(&bits, sizeof bits, 0); }) != sizeof bits) {
    throw Error(ErrorCode::io, "no random numbers for a temporary file name: " +
                                   std::generic_category().message(errno));
  }
  char name[32];
  std::snprintf(name, sizeof name, ".cairn-%016llx.tmp", static_cast<unsigned long long>(bits));
  return name;
}

// The /proc name through which a file without a name can be given one.
std::string proc_path(int descriptor) { return "/proc/self/fd/" + std::to_string(descriptor); }

// Calls `use` with fresh temporary names until one is not taken.
template <typename Use>
std::string with_unused_name(Use&& use) {
  for (;;) {
    std::string name = random_name();
    if (use(name) >= 0 || errno != EEXIST) return name;
  }
}

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

AtomicFile::AtomicFile(const std::filesystem::path& target, bool may_be_nameless)
    : target_(target) {
  std::error_code ignored;
  if (!target.has_filename() || std::filesystem::is_directory(target, ignored)) {
    throw Error(ErrorCode::io, "cannot create '" + target.string() + "': not the name of a file");
  }
  const std::filesystem::path parent = target.has_parent_path() ? target.parent_path() : ".";
  const int directory =
      retry([&] { return ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (directory < 0) {
    fail_io("cannot create " + target.string() + ": cannot open directory", parent, errno);
  }
  directory_ = File(directory, parent);
  if (!may_be_nameless || !open_without_name()) open_with_temporary_name();
}

bool AtomicFile::open_without_name() {
  const int descriptor =
      ::openat(directory_.descriptor(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
  if (descriptor < 0) return false;
  file_ = File(descriptor, target_);
  // commit() will need /proc, which some containers go without.
  return ::access(proc_path(descriptor).c_str(), F_OK) == 0;
}

void AtomicFile::open_with_temporary_name() {
  int descriptor = -1;
  std::string name = with_unused_name([&](const std::string& candidate) {
    const int flags = O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC;
    return descriptor = ::openat(directory_.descriptor(), candidate.c_str(), flags, 0666);
  });
  if (descriptor < 0) {
    fail_io("cannot create " + target_.string() + " in", directory_.path(), errno);
  }
  file_ = File(descriptor, target_);
  temporary_name_ = std::move(name);
}

AtomicFile::~AtomicFile() { remove_temporary_name(); }

void AtomicFile::commit() {
  file_.sync();
  if (temporary_name_.empty()) link_temporary_name();
  file_.close();
  if (::renameat(directory_.descriptor(), temporary_name_.c_str(), directory_.descriptor(),
                 target_.filename().c_str()) != 0) {
    const int error = errno;
    remove_temporary_name();
    fail_io("cannot rename a temporary file to", target_, error);
  }
  temporary_name_.clear();
  // EINVAL: a file system on which directories cannot be synced.
  if (::fsync(directory_.descriptor()) != 0 && errno != EINVAL) {
    fail_io(target_.string() + " is written, but may not survive a power cut: cannot sync",
            directory_.path(), errno);
  }
}

void AtomicFile::link_temporary_name() {
  const std::string source = proc_path(file_.descriptor());
  int result = -1;
  std::string name = with_unused_name([&](const std::string& candidate) {
    return result = ::linkat(AT_FDCWD, source.c_str(), directory_.descriptor(), candidate.c_str(),
                             AT_SYMLINK_FOLLOW);
  });
  if (result != 0) fail_io("cannot name the temporary file for", target_, errno);
  temporary_name_ = std::move(name);
}

void AtomicFile::remove_temporary_name() noexcept {
  if (temporary_name_.empty()) return;
  ::unlinkat(directory_.descriptor(), temporary_name_.c_str(), 0);
  temporary_name_.clear();
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

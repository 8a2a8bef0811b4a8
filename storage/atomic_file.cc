#include "storage/atomic_file.h"

#include <cerrno>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cairn/error.h"

#include "storage/system_calls.h"

namespace cairn::storage {
namespace {

// The /proc name through which a file without a name can be given one.
std::string proc_path(int descriptor) { return "/proc/self/fd/" + std::to_string(descriptor); }

}  // namespace

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

}  // namespace cairn::storage

#include "storage/atomic_file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cairn/error.h"

#include "storage/system_calls.h"

namespace cairn::storage {
namespace {

namespace fs = std::filesystem;

constexpr mode_t kPermissions = 0777;

[[noreturn]] void refuse(const fs::path& target, const std::string& reason) {
  throw Error(ErrorCode::io, "cannot write '" + target.string() + "': " + reason);
}

const char* kind_name(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISBLK(mode) || S_ISCHR(mode)) return "a device";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return S_ISLNK(mode) ? "a symbolic link by now" : "something unknown";
}

void require_regular(const fs::path& target, mode_t mode) {
  if (S_ISREG(mode)) return;
  refuse(target, std::string("it is ") + kind_name(mode) + ", expected a regular file or none");
}

// The /proc name through which a file without a name can be given one.
std::string proc_path(int descriptor) { return "/proc/self/fd/" + std::to_string(descriptor); }

fs::path parent_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

// On what else, such as a file system shared with other machines, a lock says little.
bool has_sure_locks(int directory) {
  constexpr std::array<unsigned long, 7> kLocal = {
      0xEF53,      // ext2, 3, 4
      0x58465342,  // xfs
      0x9123683E,  // btrfs
      0xF2F52010,  // f2fs
      0x2FC12FC1,  // zfs
      0x01021994,  // tmpfs
      0x794C7630,  // overlayfs
  };
  struct statfs status {};
  return ::fstatfs(directory, &status) == 0 &&
         std::find(kLocal.begin(), kLocal.end(), static_cast<unsigned long>(status.f_type)) !=
             kLocal.end();
}

bool give_to(int descriptor, uid_t user, gid_t group) {
  return ::fchown(descriptor, user, group) == 0;
}

bool lock(int descriptor) {
  return retry([&] { return ::flock(descriptor, LOCK_EX | LOCK_NB); }) == 0;
}

// Removes a temporary file of this user's unless its writer lives, who holds the lock.
void remove_if_stale(int directory, const char* name) {
  const File file(::openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), name);
  if (file.descriptor() < 0) return;
  struct stat opened {};
  struct stat named {};
  if (::fstat(file.descriptor(), &opened) != 0 || !S_ISREG(opened.st_mode) ||
      opened.st_uid != ::geteuid() || !lock(file.descriptor())) {
    return;
  }
  const bool is_still_there = ::fstatat(directory, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
                              named.st_ino == opened.st_ino && named.st_dev == opened.st_dev;
  if (is_still_there) ::unlinkat(directory, name, 0);
}

// A failure leaves something behind once more, and is no reason not to write.
void remove_stale_files(const File& directory) {
  if (!has_sure_locks(directory.descriptor())) return;
  std::error_code error;
  for (fs::directory_iterator entry(directory.path(), error);
       !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (is_random_name(name)) remove_if_stale(directory.descriptor(), name.c_str());
  }
}

}  // namespace

fs::path resolve_target(const fs::path& target) {
  constexpr int kMostLinks = 40;
  struct stat status {};
  const bool exists = ::stat(target.c_str(), &status) == 0;
  if (exists) require_regular(target, status.st_mode);
  std::error_code ignored;
  fs::path path = target;
  for (int links = 0; fs::is_symlink(fs::symlink_status(path, ignored)); ++links) {
    if (links == kMostLinks) refuse(target, "too many symbolic links");
    std::error_code error;
    const fs::path next = fs::read_symlink(path, error);
    if (error) refuse(target, error.message());
    path = parent_of(path) / next;
  }
  const std::string name = path.filename().string();
  if (name.empty() || name == "." || name == "..") refuse(target, "not the name of a file");
  // A link of /proc to a file that has no name any more.
  if (exists && !fs::equivalent(target, path, ignored)) {
    refuse(target, "it leads to a file without a name");
  }
  return path;
}

AtomicFile::AtomicFile(const fs::path& target, bool may_be_nameless)
    : target_(resolve_target(target)) {
  const fs::path parent = parent_of(target_);
  const int directory =
      retry([&] { return ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (directory < 0) {
    fail_io("cannot create " + target_.string() + ": cannot open directory", parent, errno);
  }
  directory_ = File(directory, parent);
  remove_stale_files(directory_);
  // What replaces a private file is nobody else's business before it gets the same permissions.
  std::error_code ignored;
  const unsigned mode = fs::exists(target_, ignored) ? 0600 : 0666;
  if (!may_be_nameless || !open_without_name(mode)) open_with_temporary_name(mode);
}

bool AtomicFile::open_without_name(unsigned mode) {
  const int descriptor =
      ::openat(directory_.descriptor(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
  if (descriptor < 0) return false;
  file_ = File(descriptor, target_);
  lock(descriptor);
  // commit() will need /proc, which some containers go without.
  return ::access(proc_path(descriptor).c_str(), F_OK) == 0;
}

void AtomicFile::open_with_temporary_name(unsigned mode) {
  for (;;) {
    int descriptor = -1;
    std::string name = with_unused_name([&](const std::string& candidate) {
      const int flags = O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC;
      return descriptor = ::openat(directory_.descriptor(), candidate.c_str(), flags, mode);
    });
    if (descriptor < 0) {
      fail_io("cannot create " + target_.string() + " in", directory_.path(), errno);
    }
    file_ = File(descriptor, target_);
    temporary_name_ = std::move(name);
    // Between creation and lock another process may have taken the file for a stale one.
    const bool is_taken = !lock(descriptor) && errno == EWOULDBLOCK;
    struct stat status {};
    if (!is_taken && ::fstat(descriptor, &status) == 0 && status.st_nlink > 0) return;
  }
}

AtomicFile::~AtomicFile() {
  remove_temporary_name();
  forget_replaced_file();
}

void AtomicFile::commit() {
  prepare();
  rename(false);
  sync_directory();
}

void commit_both(AtomicFile& first, AtomicFile& second) {
  first.prepare();
  second.prepare();
  first.rename(true);
  try {
    second.rename(false);
  } catch (...) {
    first.give_back();
    throw;
  }
  first.forget_replaced_file();
  first.sync_directory();
  second.sync_directory();
}

void AtomicFile::prepare() {
  inherit_permissions();
  file_.sync();
  if (temporary_name_.empty()) link_temporary_name();
}

// The descriptor, and the lock with it, outlives the rename, until which the name is a temporary
// one. An exchange leaves the old file under the temporary name.
void AtomicFile::rename(bool keeps_old) {
  const int directory = directory_.descriptor();
  const std::string name = target_.filename().string();
  struct stat status {};
  is_new_ = ::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0;
  if (!is_new_ && !S_ISREG(status.st_mode)) remove_temporary_name();
  if (!is_new_) require_regular(target_, status.st_mode);
  const char* const from = temporary_name_.c_str();
  if (keeps_old && !is_new_ &&
      ::renameat2(directory, from, directory, name.c_str(), RENAME_EXCHANGE) == 0) {
    replaced_name_ = temporary_name_;
  } else if (::renameat(directory, from, directory, name.c_str()) != 0) {
    const int error = errno;
    remove_temporary_name();
    fail_io("cannot rename a temporary file to", target_, error);
  }
  temporary_name_.clear();
  file_.close();
}

void AtomicFile::sync_directory() {
  // EINVAL: a file system on which directories cannot be synced.
  if (::fsync(directory_.descriptor()) != 0 && errno != EINVAL) {
    fail_io(target_.string() + " is written, but may not survive a power cut: cannot sync",
            directory_.path(), errno);
  }
}

// Who may not keep the group gives its members no more than everybody has.
void AtomicFile::inherit_permissions() {
  struct stat old {};
  struct stat own {};
  if (::fstatat(directory_.descriptor(), target_.filename().c_str(), &old, 0) != 0 ||
      ::fstat(file_.descriptor(), &own) != 0) {
    return;
  }
  mode_t mode = old.st_mode & kPermissions;
  constexpr auto kSameUser = static_cast<uid_t>(-1);
  const int descriptor = file_.descriptor();
  const bool keeps_group = old.st_gid == own.st_gid || give_to(descriptor, kSameUser, old.st_gid);
  if (!keeps_group) mode &= 0707u | (mode & 07u) << 3;
  if (old.st_uid != own.st_uid && keeps_group) give_to(descriptor, old.st_uid, old.st_gid);
  if (::fchmod(file_.descriptor(), mode) != 0) {
    fail_io("cannot keep the permissions of", target_, errno);
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

void AtomicFile::give_back() noexcept {
  const int directory = directory_.descriptor();
  const std::string name = target_.filename().string();
  if (is_new_) {
    ::unlinkat(directory, name.c_str(), 0);
  } else if (!replaced_name_.empty() &&
             ::renameat(directory, replaced_name_.c_str(), directory, name.c_str()) == 0) {
    replaced_name_.clear();
  }
}

void AtomicFile::forget_replaced_file() noexcept {
  if (replaced_name_.empty()) return;
  ::unlinkat(directory_.descriptor(), replaced_name_.c_str(), 0);
  replaced_name_.clear();
}

}  // namespace cairn::storage

#pragma once

#include <filesystem>
#include <string>

#include "storage/file.h"

namespace cairn::storage {

// The path that a file written as `target` takes: `target` itself, or what its symbolic links lead
// to, which need not exist. Throws io, naming what is there, if that is something else than a
// regular file (a directory, a device, a pipe, a socket).
std::filesystem::path resolve_target(const std::filesystem::path& target);

// A file that takes the place of `target` at commit(), complete and durable, or leaves no trace.
//
// Until then it has no name at all where the file system offers that (O_TMPFILE), so not even a
// killed process leaves anything but, if it dies between the last two system calls of commit(), one
// complete file named .cairn-*.tmp. Elsewhere it has such a name from the beginning. Either is
// locked while its process lives, so that the next AtomicFile in the directory can tell what was
// left behind, and removes it.
//
// Symbolic links are followed: the file that they lead to is replaced, or created. A replaced file
// hands on its permission bits and, as far as the system allows, its owner and group. One thread.
class AtomicFile {
 public:
  // Throws io if the directory does not exist or nothing can be created in it, and as
  // resolve_target() does.
  explicit AtomicFile(const std::filesystem::path& target, bool may_be_nameless = true);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  File& file() noexcept { return file_; }

  // fsync, rename over the target, fsync of the directory. If it throws, the target is as it was,
  // unless only the last fsync failed: then the new file is in place but may not survive a power
  // cut, and the message says so.
  void commit();

  // Both or none: if the second cannot take its place, the first gives its own back (unless it has
  // replaced a file on a file system that cannot exchange two names).
  friend void commit_both(AtomicFile& first, AtomicFile& second);

 private:
  bool open_without_name(unsigned mode);
  void open_with_temporary_name(unsigned mode);
  void inherit_permissions();
  void link_temporary_name();
  void remove_temporary_name() noexcept;
  void prepare();
  void rename(bool keeps_old);
  void sync_directory();
  void give_back() noexcept;
  void forget_replaced_file() noexcept;

  std::filesystem::path target_;
  File directory_;
  File file_;
  std::string temporary_name_;  // empty while the file has no name
  std::string replaced_name_;   // of the old file, while it may have to come back
  bool is_new_ = false;         // there was no old file
};

}  // namespace cairn::storage

#pragma once

#include <filesystem>
#include <string>

#include "storage/file.h"

namespace cairn::storage {

// A file that takes the place of `target` at commit(), complete and durable, or leaves no trace.
//
// Until then it has no name at all where the file system offers that (O_TMPFILE), so not even a
// killed process leaves anything but, if it dies between the last two system calls of commit(), one
// complete file named .cairn-*.tmp. Elsewhere it has such a name from the beginning. A symbolic
// link at `target` is replaced, not followed. One thread.
class AtomicFile {
 public:
  // Throws io if the directory does not exist or nothing can be created in it, or if `target` is a
  // directory or names no file.
  explicit AtomicFile(const std::filesystem::path& target, bool may_be_nameless = true);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  File& file() noexcept { return file_; }

  // fsync, rename over the target, fsync of the directory. If it throws, the target is as it was,
  // unless only the last fsync failed: then the new file is in place but may not survive a power
  // cut, and the message says so.
  void commit();

 private:
  bool open_without_name();
  void open_with_temporary_name();
  void link_temporary_name();
  void remove_temporary_name() noexcept;

  std::filesystem::path target_;
  File directory_;
  File file_;
  std::string temporary_name_;  // empty while the file has no name
};

}  // namespace cairn::storage

#pragma once

// Index files in RAM that several processes use at once. Processes that open the same file on disk
// share its pages as it is; this is for those who want it to stay in memory, whatever happens to
// the file and whoever else needs the page cache.

#include <cstdint>
#include <filesystem>
#include <memory>

#include "cairn/export.h"

namespace cairn {

/// A copy of a Cairn file in RAM, without a name in any directory and sealed: nobody can write,
/// truncate or replace it, so that a mapping of it never raises SIGBUS.
///
/// Any process of the same user can open path() with ClusteredIndex::open() or a vector store's
/// open() while this object lives; all of them map the same memory. It is given back when this
/// object and everything that was opened from it are gone, at the latest with the last process.
/// Move-only. Const calls may run concurrently.
class CAIRN_EXPORT SharedFile {
 public:
  SharedFile(SharedFile&&) noexcept;
  SharedFile& operator=(SharedFile&&) noexcept;
  ~SharedFile();

  /// "/proc/<process>/fd/<descriptor>": names the file for as long as this object lives in this
  /// process.
  const std::filesystem::path& path() const noexcept;
  /// For a process that shall outlive this one: hand it over a Unix socket, or clear its close-on-
  /// exec flag before exec; "/proc/self/fd/<descriptor>" is the path there. Owned by this object.
  int descriptor() const noexcept;
  std::uint64_t bytes() const noexcept;

  struct Impl;  ///< internal
  explicit SharedFile(std::unique_ptr<Impl> impl);

 private:
  std::unique_ptr<Impl> impl_;
};

/// Copies the index or vectors file at `path` to RAM to be shared.
/// @throws Error not_found, io (among others, if less memory is available than the file takes, by
///   /proc/meminfo and this process's cgroup), corrupt, version_unsupported.
/// Cost: reads the file once.
CAIRN_EXPORT SharedFile share(const std::filesystem::path& path);

}  // namespace cairn

#pragma once

// The only POSIX calls of this room: files, atomic replacement, mappings. Every failure is an
// Error(io), or Error(not_found) for a missing file to read, that names the operation, the path and
// the system's own reason.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace cairn::storage {

// What changes when somebody writes or truncates a file in place.
struct FileStamp {
  std::uint64_t bytes = 0;
  std::int64_t modified_ns = 0;

  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};

enum class Advice { normal, random, will_need, not_needed };

// An open file descriptor. Move-only. One thread, but reading and asking may be done by several.
class File {
 public:
  File() = default;
  // Takes over `descriptor`; `path` is for messages.
  File(int descriptor, std::filesystem::path path);
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();

  // Throws not_found if there is no such file, io if it cannot be opened or is not a regular file.
  static File open_for_reading(const std::filesystem::path& path);

  // An empty file to read and write that has no name, so that nothing is left of it whatever ends
  // the process. Throws io if nothing can be created in `directory`.
  static File create_temporary(const std::filesystem::path& directory);

  // An empty file in RAM to read and write, whose path() is its name under /proc while it is open
  // in this process. Throws io.
  static File create_in_memory();
  // Ends all writing to a file in RAM, by anybody and for good. Throws io.
  void seal();

  std::uint64_t size() const;
  // Does `path`, by whatever links, name this very file?
  bool is_at(const std::filesystem::path& path) const noexcept;
  FileStamp stamp() const;
  // Fills `bytes` from `offset` on; a file that ends before is Error(io).
  void read_at(std::uint64_t offset, std::span<std::byte> bytes) const;
  // Writes all of `bytes` at `offset`, however often the system stops short or is interrupted.
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);
  // Reserves disk space for [offset, offset + bytes), so that a full disk is noticed now and not
  // after gigabytes of work. Does nothing where the file system knows no such thing.
  void reserve(std::uint64_t offset, std::uint64_t bytes);
  void sync();
  // Reports what a destructor would have to swallow.
  void close();

  // May this process write the file, or does it own it? What mincore() asks before it tells the
  // truth about pages.
  bool may_inspect_residency() const noexcept;

  // A hint about how [offset, offset + bytes) will be read; ignored where it is not understood.
  // `not_needed` drops pages from memory that no process has mapped.
  void advise(std::uint64_t offset, std::uint64_t bytes, Advice advice) const noexcept;

  int descriptor() const noexcept { return descriptor_; }
  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  int descriptor_ = -1;
  std::filesystem::path path_;
};

// A whole file mapped read-only and shared, advised as `random` to begin with, since read-ahead
// around a header and a trailer would read megabytes that nobody asked for. Move-only. Const calls
// may run concurrently.
class Mapping {
 public:
  Mapping() = default;
  // `bytes` > 0, at most the file's size. The file may be closed afterwards.
  Mapping(const File& file, std::uint64_t bytes);
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping();

  std::span<const std::byte> bytes() const noexcept { return {data_, bytes_}; }

 private:
  const std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

std::size_t page_size() noexcept;

// Hints about mapped memory; failures are ignored, as hints may be. `random` (no read-ahead) takes
// the pages that lie wholly inside `range`, since their neighbours are somebody else's; the others
// take every page it touches. `not_needed` takes them out of this mapping only.
void advise(std::span<const std::byte> range, Advice advice) noexcept;

// Is the page that holds `address`, inside a mapping, in memory? True if the system will not say.
bool is_resident(const std::byte* address) noexcept;
// How many bytes of `range`, inside a mapping, are on pages in memory.
std::size_t resident_bytes(std::span<const std::byte> range);

// Keeps the pages of `range`, inside a mapping of `path`, in memory. Throws io if the system allows
// less (RLIMIT_MEMLOCK).
void lock_in_memory(std::span<const std::byte> range, const std::filesystem::path& path);
void unlock(std::span<const std::byte> range) noexcept;

}  // namespace cairn::storage

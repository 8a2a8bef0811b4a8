#pragma once

#include <cstdint>
#include <filesystem>

namespace cairn::storage {

// How many more bytes of memory this process can fill before the system, or the control group
// (container) it runs in, has to take something away that is in use: the least of MemAvailable and,
// for its memory cgroup (v1 or v2) and each above, limit - usage + inactive page cache. What cannot
// be read puts no limit; if nothing can, the result is the largest number.
//
// `root` is the file system's, for tests. Costs some reads of /proc and /sys: not for hot paths.
std::uint64_t available_memory(const std::filesystem::path& root = "/");

}  // namespace cairn::storage

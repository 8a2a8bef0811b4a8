#include "storage/available_memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace cairn::storage {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

// What the two versions of cgroups call their files.
struct GroupFiles {
  const char* limit;
  const char* usage;
  const char* inactive;
};
constexpr GroupFiles kVersion1 = {"memory.limit_in_bytes", "memory.usage_in_bytes",
                                  "total_inactive_file"};
constexpr GroupFiles kVersion2 = {"memory.max", "memory.current", "inactive_file"};

// The number that a file consists of; empty if there is none ("max").
std::optional<std::uint64_t> read_number(const fs::path& path) {
  std::ifstream file(path);
  std::uint64_t value = 0;
  if (!(file >> value)) return std::nullopt;
  return value;
}

// The number behind `name` in a file of lines "name number".
std::optional<std::uint64_t> read_entry(const fs::path& path, std::string_view name) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    if (!line.starts_with(name) || line[name.size()] != ' ') continue;
    const std::size_t digits = line.find_first_of("0123456789", name.size());
    if (digits != std::string::npos) return std::stoull(line.substr(digits, 19));
  }
  return std::nullopt;
}

std::uint64_t available_in_system(const fs::path& root) {
  const auto kib = read_entry(root / "proc/meminfo", "MemAvailable:");
  return kib ? *kib * 1024 : kNoLimit;
}

std::uint64_t available_in_group(const fs::path& group, const GroupFiles& files) {
  const auto limit = read_number(group / files.limit);
  const auto usage = read_number(group / files.usage);
  if (!limit || !usage) return kNoLimit;
  const std::uint64_t inactive = read_entry(group / "memory.stat", files.inactive).value_or(0);
  const std::uint64_t in_use = *usage - std::min(*usage, inactive);
  return *limit - std::min(*limit, in_use);
}

// The group at `path` below `mount` and all above. Inside a container the path may be the host's,
// which does not exist here; then the mount is the container's own group.
std::uint64_t available_in_groups(const fs::path& mount, fs::path path, const GroupFiles& files) {
  std::uint64_t least = kNoLimit;
  for (; path.has_relative_path(); path = path.parent_path()) {
    least = std::min(least, available_in_group(mount / path.relative_path(), files));
  }
  return std::min(least, available_in_group(mount, files));
}

// Is `name` one of the names between commas?
bool lists(std::string_view names, std::string_view name) {
  for (std::size_t begin = 0; begin <= names.size();) {
    const std::size_t end = std::min(names.find(',', begin), names.size());
    if (names.substr(begin, end - begin) == name) return true;
    begin = end + 1;
  }
  return false;
}

}  // namespace

// Lines of /proc/self/cgroup: "number:controllers:path", of version 2 "0::path".
std::uint64_t available_memory(const fs::path& root) {
  std::uint64_t least = available_in_system(root);
  const fs::path mounts = root / "sys/fs/cgroup";
  std::ifstream groups(root / "proc/self/cgroup");
  std::string line;
  while (std::getline(groups, line)) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string_view controllers =
        std::string_view(line).substr(first + 1, second - first - 1);
    const fs::path path = line.substr(second + 1);
    if (controllers.empty()) {
      least = std::min({least, available_in_groups(mounts, path, kVersion2),
                        available_in_groups(mounts / "unified", path, kVersion2)});
    } else if (lists(controllers, "memory")) {
      least = std::min(least, available_in_groups(mounts / "memory", path, kVersion1));
    }
  }
  return least;
}

}  // namespace cairn::storage

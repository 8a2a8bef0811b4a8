#include <array>
#include <cctype>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <system_error>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cairn/clustered_index.h>
#include <cairn/error.h>
#include <cairn/vector_store.h>

#include "cli/commands.h"
#include "cli/file_arguments.h"
#include "cli/interruption.h"

namespace cairn::cli {
namespace {

namespace fs = std::filesystem;

// Is it a file of Cairn's, index or vectors? As docs/format.md has it.
bool is_container(const fs::path& path) {
  constexpr std::array<char, 8> kMagic{'\x89', 'C', 'R', 'N', '\r', '\n', '\x1A', '\n'};
  std::array<char, kMagic.size()> start{};
  std::ifstream in(path, std::ios::binary);
  return in.read(start.data(), start.size()) && start == kMagic;
}

// .cairn-*.tmp with 16 hexadecimal digits: what docs/files.md says of it.
bool is_temporary(const std::string& name) {
  constexpr std::string_view kPrefix = ".cairn-";
  constexpr std::string_view kSuffix = ".tmp";
  constexpr std::size_t kDigits = 16;
  if (name.size() != kPrefix.size() + kDigits + kSuffix.size()) return false;
  const std::string_view digits = std::string_view(name).substr(kPrefix.size(), kDigits);
  for (const char digit : digits) {
    if (std::isxdigit(static_cast<unsigned char>(digit)) == 0) return false;
  }
  return name.starts_with(kPrefix) && name.ends_with(kSuffix);
}

// Does a process hold the lock that writers hold?
bool is_being_written(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (descriptor < 0) return false;
  const bool is_locked = ::flock(descriptor, LOCK_SH | LOCK_NB) != 0;
  ::close(descriptor);
  return is_locked;
}

// The error of a file of vectors is told by the store, that of everything else by the index.
void verify_any(const fs::path& path) {
  try {
    ClusteredIndex::open(path, {.verify = true});
    return;
  } catch (const Error& error) {
    if (std::strstr(error.what(), "is a vectors file") == nullptr) throw;
  }
  CompressedVectorStore::open(path)->check_all();
}

// Returns whether it is as it should be, which is printed.
bool verify_and_print(const fs::path& path) {
  try {
    verify_any(path);
    std::printf("%s: ok\n", path.string().c_str());
    return true;
  } catch (const Error& error) {
    std::printf("%s\n", error.what());
    return false;
  }
}

void verify_directory(const fs::path& directory) {
  std::set<fs::path> files;
  std::error_code ignored;  // of links that go in circles
  for (const fs::directory_entry& entry : fs::directory_iterator(directory)) {
    if (entry.is_regular_file(ignored)) files.insert(entry.path());
  }
  std::size_t checked = 0;
  std::size_t damaged = 0;
  for (const fs::path& path : files) {
    stop_if_interrupted();
    if (is_temporary(path.filename().string())) {
      std::printf("%s: %s\n", path.string().c_str(),
                  is_being_written(path)
                      ? "temporary, being written"
                      : "temporary, left by a process that was killed; may be deleted");
    } else if (is_container(path)) {
      ++checked;
      if (!verify_and_print(path)) ++damaged;
    }
  }
  if (damaged > 0) {
    throw Error(ErrorCode::corrupt, directory.string() + ": " + std::to_string(damaged) + " of " +
                                        std::to_string(checked) + " files failed");
  }
  std::printf("%zu files ok\n", checked);
}

}  // namespace

void add_verify_command(CLI::App& app) {
  CLI::App& command = *app.add_subcommand(
      "verify", "Check every checksum of an index file, or of all files of a directory");
  const auto path = std::make_shared<fs::path>();
  CLI::Option* const index = command.add_option(
      "--index", *path,
      "index file; or a directory, whose index and vectors files are checked and whose temporary "
      "files of killed processes are named");
  add_file_arguments(command, "INDEX", {{index}}, [path] {
    std::error_code ignored;
    if (fs::is_directory(*path, ignored)) {
      verify_directory(*path);
    } else {
      verify_any(*path);
      std::puts("ok");
    }
  });
}

}  // namespace cairn::cli

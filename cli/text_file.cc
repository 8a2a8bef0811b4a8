#include "cli/text_file.h"

#include <cerrno>
#include <fstream>
#include <iterator>
#include <system_error>

#include <unistd.h>

#include <cairn/error.h>

namespace cairn::cli {
namespace {

namespace fs = std::filesystem;

std::string reason(int error) { return std::generic_category().message(error); }

}  // namespace

void require_writable(const fs::path& path) {
  const std::string what = "cannot write " + path.string() + ": ";
  std::error_code ignored;
  if (!path.has_filename() || fs::is_directory(path, ignored)) {
    throw Error(ErrorCode::io, what + "it is a directory");
  }
  const fs::path directory = path.has_parent_path() ? path.parent_path() : fs::path(".");
  if (!fs::is_directory(directory, ignored)) {
    throw Error(ErrorCode::not_found, what + "no such directory " + directory.string());
  }
  if (::access(directory.c_str(), W_OK | X_OK) != 0) {
    throw Error(ErrorCode::io, what + "directory " + directory.string() + ": " + reason(errno));
  }
}

void write_text_file(const fs::path& path, const std::string& text) {
  fs::path temporary = path;
  temporary += "." + std::to_string(::getpid()) + ".tmp";
  std::error_code error;
  {
    std::ofstream out(temporary, std::ios::binary);
    out << text;
    out.close();
    if (!out) error = std::error_code(errno, std::generic_category());
  }
  if (!error) fs::rename(temporary, path, error);
  if (error) {
    std::error_code ignored;
    fs::remove(temporary, ignored);
    throw Error(ErrorCode::io, "cannot write " + path.string() + ": " + error.message());
  }
}

std::string read_text_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    const int error = errno;
    throw Error(error == ENOENT ? ErrorCode::not_found : ErrorCode::io,
                "cannot open " + path.string() + ": " + reason(error));
  }
  std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  if (in.bad()) {
    throw Error(ErrorCode::io, "cannot read " + path.string() + ": " + reason(errno));
  }
  return text;
}

}  // namespace cairn::cli

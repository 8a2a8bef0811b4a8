#include "cli/text_file.h"

#include <cerrno>
#include <fstream>
#include <iterator>
#include <system_error>

#include <cairn/error.h>

namespace cairn::cli {
namespace {

namespace fs = std::filesystem;

std::string reason(int error) { return std::generic_category().message(error); }

}  // namespace

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

#include "cli/file_arguments.h"

#include <cerrno>
#include <memory>
#include <system_error>
#include <utility>

#include <unistd.h>

#include <cairn/error.h>

namespace cairn::cli {
namespace {

namespace fs = std::filesystem;

void fill_by_place(const std::vector<FileArgument>& arguments,
                   const std::vector<std::string>& places) {
  auto place = places.begin();
  for (const FileArgument& argument : arguments) {
    const bool is_settled = argument.option->count() > 0 ||
                            (argument.instead != nullptr && argument.instead->count() > 0);
    if (is_settled) continue;
    if (place != places.end()) {
      argument.option->add_result(*place++);
      argument.option->run_callback();
    } else if (argument.is_required) {
      throw CLI::RequiredError(argument.option->get_name() + " (a file)");
    }
  }
  if (place != places.end()) {
    throw CLI::ParseError("unexpected argument '" + *place + "'",
                          static_cast<int>(CLI::ExitCodes::ExtrasError));
  }
}

bool is_file(const fs::path& path) { return !path.empty() && path != "-"; }

fs::path parent_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

// What `path` is or, if it is a symbolic link, leads to, whether that exists or not.
fs::path resolved(const fs::path& path) {
  constexpr int kMostLinks = 40;
  fs::path result = path;
  std::error_code ignored;
  for (int i = 0; i < kMostLinks && fs::is_symlink(fs::symlink_status(result, ignored)); ++i) {
    result = parent_of(result) / fs::read_symlink(result, ignored);
  }
  return result;
}

bool are_same(const fs::path& a, const fs::path& b) {
  std::error_code error;
  if (fs::equivalent(a, b, error) && !error) return true;
  const fs::path first = resolved(a);
  const fs::path second = resolved(b);
  return first.filename() == second.filename() &&
         fs::equivalent(parent_of(first), parent_of(second), error) && !error;
}

const char* kind_name(fs::file_type type) {
  switch (type) {
    case fs::file_type::directory:
      return "a directory";
    case fs::file_type::fifo:
      return "a pipe";
    case fs::file_type::socket:
      return "a socket";
    default:
      return "a device";
  }
}

void require_writable(const NamedFile& file) {
  const std::string what = "cannot write " + file.path.string() + ": ";
  std::error_code error, ignored;
  const fs::file_status status = fs::status(file.path, error);
  // Names that are too long and links that go in circles: the same error now, not after the work.
  if (status.type() == fs::file_type::none) throw Error(ErrorCode::io, what + error.message());
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    throw Error(ErrorCode::io,
                what + "it is " + kind_name(status.type()) + ", expected a regular file or none");
  }
  const fs::path path = resolved(file.path);
  if (!path.has_filename()) throw Error(ErrorCode::io, what + "not the name of a file");
  const fs::path directory = parent_of(path);
  if (!fs::is_directory(directory, ignored)) {
    throw Error(ErrorCode::not_found, what + "no such directory " + directory.string());
  }
  if (::access(directory.c_str(), W_OK | X_OK) != 0) {
    throw Error(ErrorCode::io, what + "directory " + directory.string() + ": " +
                                   std::generic_category().message(errno));
  }
}

void require_no_stdout(const NamedFile& output) {
  if (output.path != "-" || output.takes_stdout) return;
  throw Error(ErrorCode::invalid_argument,
              output.option +
                  " -: not written to standard output; expected the name of a file (./- "
                  "is one)");
}

void refuse_same(const NamedFile& output, const NamedFile& other) {
  if (!is_file(other.path) || !are_same(output.path, other.path)) return;
  throw Error(ErrorCode::invalid_argument, output.option + " " + output.path.string() +
                                               " would overwrite " + other.option + " " +
                                               other.path.string());
}

}  // namespace

void add_file_arguments(CLI::App& command, const std::string& names,
                        std::vector<FileArgument> arguments, std::function<void()> run) {
  const auto places = std::make_shared<std::vector<std::string>>();
  command
      .add_option("files", *places, names + ", in this order: may be named without their options")
      ->type_name("");
  command.callback([places, arguments = std::move(arguments), run = std::move(run)] {
    fill_by_place(arguments, *places);
    run();
  });
}

void check_files(const std::vector<NamedFile>& inputs, const std::vector<NamedFile>& outputs) {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    require_no_stdout(outputs[i]);
    if (!is_file(outputs[i].path)) continue;
    require_writable(outputs[i]);
    for (const NamedFile& input : inputs) refuse_same(outputs[i], input);
    for (std::size_t j = 0; j < i; ++j) refuse_same(outputs[i], outputs[j]);
  }
}

}  // namespace cairn::cli

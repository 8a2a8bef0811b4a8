#pragma once

// Files on the command line: by option or by place, and what may be written over what.

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace cairn::cli {

// The option of a file that may also be named by its place.
struct FileArgument {
  CLI::Option* option;
  CLI::Option* instead = nullptr;  // given, this one is neither needed nor filled
  bool is_required = true;
};

// Lets files be named without their options, in the order given: `cairn search a.cairn q.npy` is
// `cairn search --index a.cairn --queries q.npy`. Those named by their options are left out of the
// order. Makes `run`, for when all are there, the command's callback; `names` is for --help.
void add_file_arguments(CLI::App& command, const std::string& names,
                        std::vector<FileArgument> arguments, std::function<void()> run);

// A file and the option that names it, for messages. An empty path is none, "-" a standard stream.
struct NamedFile {
  std::string option;
  std::filesystem::path path;
  bool takes_stdout = false;  // of an output: "-" is standard output, otherwise it is refused
};

// Refuses, before hours of work, outputs that could not be written after them, or that are one of
// the inputs or each other, by whatever links. Throws Error: not_found if a directory is missing,
// io if something cannot be written or is no regular file, invalid_argument.
void check_files(const std::vector<NamedFile>& inputs, const std::vector<NamedFile>& outputs);

}  // namespace cairn::cli

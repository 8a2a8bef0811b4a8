#pragma once

// Runs the real `cairn` command.

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cairn/io.h"

#include "tests/util/random_vectors.h"

namespace cairn::test {

struct CommandResult {
  int exit_code = -1;  // minus the signal's number if one ended it
  std::string out;
  std::string err;
};

// A running command whose output goes to files in `directory`, which must outlive it. It must be
// waited for.
class RunningCommand {
 public:
  RunningCommand(const std::filesystem::path& directory, std::vector<std::string> arguments,
                 const std::filesystem::path& input = "/dev/null")
      : out_(directory / "stdout.txt"), err_(directory / "stderr.txt") {
    arguments.insert(arguments.begin(), CAIRN_COMMAND);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ < 0) throw std::runtime_error("cannot fork");
    if (pid_ == 0) {
      read_from(input.c_str());
      redirect(STDOUT_FILENO, out_.c_str());
      redirect(STDERR_FILENO, err_.c_str());
      execv(argv[0], argv.data());
      _exit(127);
    }
  }

  pid_t pid() const { return pid_; }

  CommandResult wait() {
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    const CommandResult result{WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status),
                               text_of(out_), text_of(err_)};
    std::filesystem::remove(out_);
    std::filesystem::remove(err_);
    return result;
  }

 private:
  static void redirect(int descriptor, const char* path) {
    const int file = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    if (file < 0 || dup2(file, descriptor) < 0) _exit(127);
    close(file);
  }

  static void read_from(const char* path) {
    const int file = open(path, O_RDONLY);
    if (file < 0 || dup2(file, STDIN_FILENO) < 0) _exit(127);
    close(file);
  }

  static std::string text_of(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  std::filesystem::path out_;
  std::filesystem::path err_;
  pid_t pid_ = -1;
};

inline CommandResult run_command(const std::filesystem::path& directory,
                                 const std::vector<std::string>& arguments,
                                 const std::filesystem::path& input = "/dev/null") {
  return RunningCommand(directory, arguments, input).wait();
}

// Writes clustered vectors as `path`.
inline Vectors write_sample(const std::filesystem::path& path, std::size_t rows, std::size_t dim,
                            std::uint64_t seed) {
  Vectors vectors = clustered_vectors(rows, dim, 20, seed);
  write_vectors(path, vectors.view());
  return vectors;
}

}  // namespace cairn::test

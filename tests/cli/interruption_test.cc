#include <chrono>
#include <csignal>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/cli/command_runner.h"
#include "tests/util/temp_dir.h"

namespace cairn::test {
namespace {

// Does the process catch this signal by now?
bool is_caught(pid_t pid, int signal) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("SigCgt:", 0) == 0) {
      return (std::stoull(line.substr(7), nullptr, 16) >> (signal - 1) & 1) != 0;
    }
  }
  return false;
}

// Ends a command by a signal while it works.
CommandResult interrupt(const TempDir& directory, const std::vector<std::string>& arguments,
                        int signal) {
  RunningCommand command(directory.path(), arguments);
  for (int i = 0; i < 1000 && !is_caught(command.pid(), signal); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  kill(command.pid(), signal);
  return command.wait();
}

TEST(Interruption, OfABuildLeavesNoFile) {
  const TempDir directory;
  write_sample(directory / "base.fbin", 60000, 64, 1);
  for (const int signal : {SIGINT, SIGTERM}) {
    const CommandResult result =
        interrupt(directory,
                  {"build", "--input", (directory / "base.fbin").string(), "--output",
                   (directory / "base.cairn").string(), "--iterations", "500", "--threads", "1"},
                  signal);
    EXPECT_EQ(result.exit_code, 128 + signal);
    EXPECT_EQ(result.err, "cairn: cancelled\n");
    EXPECT_EQ(directory.names(), (std::set<std::string>{"base.fbin"}));
  }
}

TEST(Interruption, OfATruthLeavesNoFile) {
  const TempDir directory;
  write_sample(directory / "base.fbin", 60000, 64, 1);
  const std::string base = (directory / "base.fbin").string();
  const CommandResult result = interrupt(directory,
                                         {"truth", "--input", base, "--queries", base, "--output",
                                          (directory / "gt.ibin").string(), "--threads", "1"},
                                         SIGINT);
  EXPECT_EQ(result.exit_code, 130);
  EXPECT_EQ(result.err, "cairn: cancelled\n");
  EXPECT_EQ(directory.names(), (std::set<std::string>{"base.fbin"}));
}

}  // namespace
}  // namespace cairn::test

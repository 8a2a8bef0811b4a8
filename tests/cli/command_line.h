#pragma once

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cairn/io.h"

#include "tests/cli/command_runner.h"
#include "tests/util/temp_dir.h"

namespace cairn::test {

inline constexpr std::size_t kRows = 3000;
inline constexpr std::size_t kDim = 24;
inline constexpr std::size_t kQueries = 50;

// A base, queries from the same clusters, and an index, made once for all tests.
class CommandLine : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    data_ = new TempDir;
    Vectors all = write_sample(*data_ / "all.fbin", kRows + kQueries, kDim, 1);
    write_vectors(*data_ / "base.fbin", {all.row(0), kRows, kDim});
    write_vectors(*data_ / "query.fbin", {all.row(kRows), kQueries, kDim});
    const CommandResult built = run_command(
        data_->path(),
        {"build", "--input", data("base.fbin"), "--output", data("base.cairn"), "--threads", "1"});
    ASSERT_EQ(built.exit_code, 0) << built.err;
  }
  static void TearDownTestSuite() {
    delete data_;
    data_ = nullptr;
  }

  static std::string data(const std::string& name) { return (*data_ / name).string(); }
  std::string path(const std::string& name) const { return (scratch_ / name).string(); }

  CommandResult run(const std::vector<std::string>& arguments) const {
    return run_command(scratch_.path(), arguments);
  }

  std::string succeed(const std::vector<std::string>& arguments) const {
    const CommandResult result = run(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.err, "");
    return result.out;
  }

  // One line on stderr, nothing on stdout, and no new file.
  std::string fail(int exit_code, const std::vector<std::string>& arguments) const {
    const auto before = scratch_.names();
    const CommandResult result = run(arguments);
    EXPECT_EQ(result.exit_code, exit_code) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.err, testing::StartsWith("cairn: "));
    EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << result.err;
    EXPECT_EQ(scratch_.names(), before);
    return result.err;
  }

  TempDir scratch_;

 private:
  static inline TempDir* data_ = nullptr;
};

}  // namespace cairn::test

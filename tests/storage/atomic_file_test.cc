#include "storage/atomic_file.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/util/expect_error.h"
#include "tests/util/sample_container.h"
#include "tests/util/temp_dir.h"

namespace cairn::storage {
namespace {

using cairn::test::expect_error;
using cairn::test::random_bytes;
using cairn::test::read_file;
using cairn::test::TempDir;
using cairn::test::write_file;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// With and without a name while it is written.
class AtomicFileTest : public ::testing::TestWithParam<bool> {
 protected:
  TempDir dir_;
};

INSTANTIATE_TEST_SUITE_P(Naming, AtomicFileTest, ::testing::Bool(), [](const auto& param) {
  return param.param ? "Nameless" : "TemporaryName";
});

TEST_P(AtomicFileTest, AppearsAtCommit) {
  const auto bytes = random_bytes(100'000, 1);
  AtomicFile atomic(dir_ / "a", GetParam());
  atomic.file().write_at(0, bytes);
  EXPECT_FALSE(std::filesystem::exists(dir_ / "a"));
  atomic.commit();
  EXPECT_EQ(read_file(dir_ / "a"), bytes);
  EXPECT_THAT(dir_.names(), ElementsAre("a"));
}

TEST_P(AtomicFileTest, ReplacesAnOldFileWithoutTouchingWhoReadsIt) {
  const auto old_bytes = random_bytes(5000, 1);
  const auto new_bytes = random_bytes(100, 2);
  write_file(dir_ / "a", old_bytes);
  const File reader = File::open_for_reading(dir_ / "a");
  const Mapping mapping(reader, reader.size());
  AtomicFile atomic(dir_ / "a", GetParam());
  atomic.file().write_at(0, new_bytes);
  EXPECT_EQ(read_file(dir_ / "a"), old_bytes);
  atomic.commit();
  EXPECT_EQ(read_file(dir_ / "a"), new_bytes);
  EXPECT_TRUE(std::ranges::equal(mapping.bytes(), old_bytes));
  EXPECT_THAT(dir_.names(), ElementsAre("a"));
}

TEST_P(AtomicFileTest, LeavesNothingWithoutCommit) {
  {
    AtomicFile atomic(dir_ / "a", GetParam());
    atomic.file().write_at(0, random_bytes(100, 1));
  }
  EXPECT_THAT(dir_.names(), IsEmpty());
}

TEST_P(AtomicFileTest, RespectsTheUmask) {
  const mode_t old_mask = umask(027);
  AtomicFile(dir_ / "a", GetParam()).commit();
  umask(old_mask);
  struct stat status {};
  ASSERT_EQ(::stat((dir_ / "a").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0640u);
}

TEST_P(AtomicFileTest, ReplacesASymbolicLinkAndNotItsTarget) {
  const auto bytes = random_bytes(10, 1);
  write_file(dir_ / "target", bytes);
  std::filesystem::create_symlink("target", dir_ / "link");
  AtomicFile(dir_ / "link", GetParam()).commit();
  EXPECT_FALSE(std::filesystem::is_symlink(dir_ / "link"));
  EXPECT_EQ(read_file(dir_ / "target"), bytes);
}

TEST_P(AtomicFileTest, FailsBeforeAnyWorkIfTheDirectoryIsMissing) {
  expect_error(ErrorCode::io, (dir_ / "missing").string(),
               [&] { AtomicFile(dir_ / "missing/a", GetParam()); });
  write_file(dir_ / "plain", {});
  expect_error(ErrorCode::io, "Not a directory", [&] { AtomicFile(dir_ / "plain/a", GetParam()); });
}

TEST_P(AtomicFileTest, RefusesADirectoryAsTarget) {
  expect_error(ErrorCode::io, "not the name of a file",
               [&] { AtomicFile(dir_.path(), GetParam()); });
  expect_error(ErrorCode::io, "not the name of a file",
               [&] { AtomicFile(dir_.path() / "", GetParam()); });
  expect_error(ErrorCode::io, "not the name of a file", [&] { AtomicFile("", GetParam()); });
}

TEST_P(AtomicFileTest, CleansUpIfTheRenameFails) {
  AtomicFile atomic(dir_ / "a", GetParam());
  std::filesystem::create_directory(dir_ / "a");
  expect_error(ErrorCode::io, "cannot rename", [&] { atomic.commit(); });
  EXPECT_THAT(dir_.names(), ElementsAre("a"));
}

TEST_P(AtomicFileTest, WorksInTheCurrentDirectory) {
  const auto previous = std::filesystem::current_path();
  std::filesystem::current_path(dir_.path());
  AtomicFile atomic("a", GetParam());
  std::filesystem::current_path(previous);
  atomic.commit();
  EXPECT_THAT(dir_.names(), ElementsAre("a"));
}

TEST(AtomicFile, LeavesNothingIfItsProcessIsKilled) {
  const TempDir dir;
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    AtomicFile atomic(dir / "a");
    const std::vector<std::byte> bytes(1 << 20);
    atomic.file().write_at(0, bytes);
    kill(getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_THAT(dir.names(), IsEmpty());
}

}  // namespace
}  // namespace cairn::storage

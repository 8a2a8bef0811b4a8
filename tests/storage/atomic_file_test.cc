#include "storage/atomic_file.h"

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
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

TEST_P(AtomicFileTest, FollowsSymbolicLinks) {
  const auto bytes = random_bytes(10, 1);
  std::filesystem::create_directory(dir_ / "deep");
  write_file(dir_ / "deep/target", random_bytes(20, 2));
  std::filesystem::create_symlink("deep/target", dir_ / "inner");
  std::filesystem::create_symlink(dir_ / "inner", dir_ / "outer");
  AtomicFile atomic(dir_ / "outer", GetParam());
  atomic.file().write_at(0, bytes);
  atomic.commit();
  EXPECT_TRUE(std::filesystem::is_symlink(dir_ / "outer"));
  EXPECT_TRUE(std::filesystem::is_symlink(dir_ / "inner"));
  EXPECT_EQ(read_file(dir_ / "deep/target"), bytes);
}

TEST_P(AtomicFileTest, CreatesWhatADanglingLinkNames) {
  std::filesystem::create_symlink("target", dir_ / "link");
  AtomicFile(dir_ / "link", GetParam()).commit();
  EXPECT_TRUE(std::filesystem::is_symlink(dir_ / "link"));
  EXPECT_THAT(dir_.names(), ElementsAre("link", "target"));
  std::filesystem::create_symlink("missing/target", dir_ / "far");
  expect_error(ErrorCode::io, "missing", [&] { AtomicFile(dir_ / "far", GetParam()); });
  std::filesystem::create_symlink("loop", dir_ / "loop");
  expect_error(ErrorCode::io, "too many symbolic links",
               [&] { AtomicFile(dir_ / "loop", GetParam()); });
}

TEST_P(AtomicFileTest, RefusesWhatIsNoRegularFile) {
  ASSERT_EQ(mkfifo((dir_ / "pipe").c_str(), 0600), 0);
  std::filesystem::create_symlink("pipe", dir_ / "link");
  std::filesystem::create_directory(dir_ / "directory");
  const auto refused = [&](const char* name, const std::string& kind) {
    const std::string path = (dir_ / name).string();
    expect_error(ErrorCode::io, "cannot write '" + path + "': it is " + kind,
                 [&] { AtomicFile(path, GetParam()); });
  };
  refused("pipe", "a pipe");
  refused("link", "a pipe");
  refused("directory", "a directory");
  sockaddr_un address{AF_UNIX, {}};
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  (dir_ / "socket").string().copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  refused("socket", "a socket");
  ::close(socket);
  if (::mknod((dir_ / "device").c_str(), S_IFCHR | 0600, makedev(1, 3)) == 0) {
    refused("device", "a device");
  }
}

TEST_P(AtomicFileTest, RefusesWhatBecameAPipeMeanwhile) {
  AtomicFile atomic(dir_ / "a", GetParam());
  ASSERT_EQ(mkfifo((dir_ / "a").c_str(), 0600), 0);
  expect_error(ErrorCode::io, "it is a pipe", [&] { atomic.commit(); });
  EXPECT_TRUE(std::filesystem::is_fifo(dir_ / "a"));
}

TEST_P(AtomicFileTest, KeepsThePermissionsOfWhatItReplaces) {
  for (const mode_t mode : {0600u, 0640u, 0755u, 0444u, 0666u}) {
    write_file(dir_ / "a", random_bytes(10, 1));
    ASSERT_EQ(::chmod((dir_ / "a").c_str(), mode), 0);
    AtomicFile(dir_ / "a", GetParam()).commit();
    struct stat status {};
    ASSERT_EQ(::stat((dir_ / "a").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, mode);
    EXPECT_EQ(status.st_size, 0);
  }
}

TEST_P(AtomicFileTest, KeepsOwnerAndGroupWhereItMay) {
  if (geteuid() != 0) GTEST_SKIP() << "takes another user's file";
  write_file(dir_ / "a", random_bytes(10, 1));
  ASSERT_EQ(::chown((dir_ / "a").c_str(), 1234, 5678), 0);
  ASSERT_EQ(::chmod((dir_ / "a").c_str(), 0640), 0);
  AtomicFile(dir_ / "a", GetParam()).commit();
  struct stat status {};
  ASSERT_EQ(::stat((dir_ / "a").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, 1234u);
  EXPECT_EQ(status.st_gid, 5678u);
  EXPECT_EQ(status.st_mode & 07777, 0640u);
}

TEST_P(AtomicFileTest, BothOfAPairOrNone) {
  const auto old_bytes = random_bytes(10, 1);
  const auto new_bytes = random_bytes(20, 2);
  const auto write = [&](AtomicFile& first, AtomicFile& second) {
    first.file().write_at(0, new_bytes);
    second.file().write_at(0, new_bytes);
    commit_both(first, second);
  };
  write_file(dir_ / "a", old_bytes);
  for (const char* name : {"a", "new"}) {
    AtomicFile first(dir_ / name, GetParam());
    AtomicFile second(dir_ / "b", GetParam());
    ASSERT_EQ(mkfifo((dir_ / "b").c_str(), 0600), 0);
    expect_error(ErrorCode::io, "it is a pipe", [&] { write(first, second); });
    std::filesystem::remove(dir_ / "b");
  }
  EXPECT_EQ(read_file(dir_ / "a"), old_bytes);
  EXPECT_THAT(dir_.names(), ElementsAre("a"));
  {
    AtomicFile first(dir_ / "a", GetParam());
    AtomicFile second(dir_ / "b", GetParam());
    write(first, second);
  }
  EXPECT_EQ(read_file(dir_ / "a"), new_bytes);
  EXPECT_EQ(read_file(dir_ / "b"), new_bytes);
  EXPECT_THAT(dir_.names(), ElementsAre("a", "b"));
}

TEST_P(AtomicFileTest, FailsBeforeAnyWorkIfTheDirectoryIsMissing) {
  expect_error(ErrorCode::io, (dir_ / "missing").string(),
               [&] { AtomicFile(dir_ / "missing/a", GetParam()); });
  write_file(dir_ / "plain", {});
  expect_error(ErrorCode::io, "Not a directory", [&] { AtomicFile(dir_ / "plain/a", GetParam()); });
}

TEST_P(AtomicFileTest, RefusesADirectoryAsTarget) {
  expect_error(ErrorCode::io, "it is a directory", [&] { AtomicFile(dir_.path(), GetParam()); });
  expect_error(ErrorCode::io, "it is a directory",
               [&] { AtomicFile(dir_.path() / "", GetParam()); });
  expect_error(ErrorCode::io, "not the name of a file", [&] { AtomicFile("", GetParam()); });
}

TEST_P(AtomicFileTest, CleansUpIfTheRenameFails) {
  AtomicFile atomic(dir_ / "a", GetParam());
  std::filesystem::create_directory(dir_ / "a");
  expect_error(ErrorCode::io, "it is a directory", [&] { atomic.commit(); });
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

// The file of a process that is killed while it has a temporary name, and of one that lives.
TEST(AtomicFile, RemovesWhatAKilledProcessLeft) {
  const TempDir dir;
  write_file(dir / ".cairn-0123456789abcdef.tmp", {});  // of somebody else's making
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    AtomicFile atomic(dir / "a", false);
    static_cast<void>(::write(ready[1], "x", 1) == 1);
    pause();
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_EQ(dir.names().size(), 2u);
  AtomicFile(dir / "b").commit();
  EXPECT_EQ(dir.names().size(), 3u) << "removed the file of a process that lives";
  kill(child, SIGKILL);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(dir.names().size(), 3u);
  AtomicFile(dir / "b").commit();
  EXPECT_THAT(dir.names(), ElementsAre(".cairn-0123456789abcdef.tmp", "b"));
}

// Many at once in one directory never take each other's temporary files for stale ones.
TEST(AtomicFile, ManyAtOnceLeaveEachOtherAlone) {
  const TempDir dir;
  const auto bytes = random_bytes(100, 1);
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 100; ++i) {
        AtomicFile atomic(dir / std::to_string(thread), i % 2 == 0);
        atomic.file().write_at(0, bytes);
        atomic.commit();
      }
    });
  }
  threads.clear();
  EXPECT_THAT(dir.names(), ElementsAre("0", "1", "2", "3"));
  for (const std::string& name : dir.names()) EXPECT_EQ(read_file(dir / name), bytes);
}

}  // namespace
}  // namespace cairn::storage

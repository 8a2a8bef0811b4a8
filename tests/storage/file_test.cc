#include "storage/file.h"

#include <algorithm>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/atomic_file.h"
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

TEST(File, SaysWhatIsMissing) {
  const TempDir dir;
  expect_error(ErrorCode::not_found, "cannot open " + (dir / "a").string() + ": No such file",
               [&] { File::open_for_reading(dir / "a"); });
}

TEST(File, OpensRegularFilesOnly) {
  const TempDir dir;
  expect_error(ErrorCode::io, "not a regular file", [&] { File::open_for_reading(dir.path()); });
  ASSERT_EQ(mkfifo((dir / "pipe").c_str(), 0600), 0);
  expect_error(ErrorCode::io, "not a regular file", [&] { File::open_for_reading(dir / "pipe"); });
}

TEST(File, WritesAtAnyOffset) {
  const TempDir dir;
  const auto bytes = random_bytes(1000, 1);
  AtomicFile atomic(dir / "a");
  atomic.file().write_at(500, std::span(bytes).subspan(500));
  atomic.file().write_at(0, std::span(bytes).first(500));
  atomic.commit();
  EXPECT_EQ(read_file(dir / "a"), bytes);
}

TEST(File, ReportsAFullDevice) {
  File full(::open("/dev/full", O_WRONLY), "/dev/full");
  ASSERT_GE(full.descriptor(), 0);
  expect_error(ErrorCode::io, "cannot write /dev/full: No space left on device",
               [&] { full.write_at(0, random_bytes(10, 1)); });
}

TEST(File, ReportsADescriptorThatIsGone) {
  const TempDir dir;
  write_file(dir / "a", {});
  File file(::open((dir / "a").c_str(), O_WRONLY), dir / "a");
  ASSERT_EQ(::close(file.descriptor()), 0);
  expect_error(ErrorCode::io, "cannot sync", [&] { file.sync(); });
  expect_error(ErrorCode::io, "cannot inspect", [&] { static_cast<void>(file.size()); });
  expect_error(ErrorCode::io, "cannot close", [&] { file.close(); });
  file.close();
}

// mincore() calls every page resident for those who can neither write nor own the file.
TEST(File, KnowsWhoMayInspectResidency) {
  if (geteuid() != 0) GTEST_SKIP() << "takes another user's file";
  const TempDir dir;
  std::filesystem::permissions(dir.path(), std::filesystem::perms::all);
  write_file(dir / "a", {});
  const File file = File::open_for_reading(dir / "a");
  EXPECT_TRUE(file.may_inspect_residency());
  constexpr uid_t kNobody = 65534;
  ASSERT_EQ(seteuid(kNobody), 0);
  const bool may_stranger = file.may_inspect_residency();
  ASSERT_EQ(seteuid(0), 0);
  EXPECT_FALSE(may_stranger);
  ASSERT_EQ(chown((dir / "a").c_str(), kNobody, kNobody), 0);
  ASSERT_EQ(seteuid(kNobody), 0);
  const bool may_owner = file.may_inspect_residency();
  ASSERT_EQ(seteuid(0), 0);
  EXPECT_TRUE(may_owner);
}

TEST(Mapping, RefusesWhatCannotBeMapped) {
  const TempDir dir;
  write_file(dir / "a", {});
  const File file = File::open_for_reading(dir / "a");
  expect_error(ErrorCode::io, "cannot map 0 bytes of", [&] { Mapping(file, 0); });
}

TEST(Mapping, OutlivesItsFile) {
  const TempDir dir;
  const auto bytes = random_bytes(9000, 3);
  write_file(dir / "a", bytes);
  Mapping mapping(File::open_for_reading(dir / "a"), bytes.size());
  std::filesystem::remove(dir / "a");
  const Mapping moved = std::move(mapping);
  EXPECT_TRUE(std::ranges::equal(moved.bytes(), bytes));
  EXPECT_TRUE(mapping.bytes().empty());
}

TEST(Advise, TakesAnyRange) {
  const TempDir dir;
  const auto bytes = random_bytes(3 * page_size() + 1, 3);
  write_file(dir / "a", bytes);
  const Mapping mapping(File::open_for_reading(dir / "a"), bytes.size());
  for (const Advice advice : {Advice::random, Advice::will_need, Advice::normal}) {
    for (const std::size_t begin : {std::size_t{0}, std::size_t{1}, page_size()}) {
      for (const std::size_t size :
           {std::size_t{0}, std::size_t{1}, page_size(), 2 * page_size()}) {
        advise(mapping.bytes().subspan(begin, size), advice);
      }
    }
  }
  EXPECT_TRUE(std::ranges::equal(mapping.bytes(), bytes));
  EXPECT_TRUE(is_resident(&mapping.bytes()[2 * page_size()]));
}

}  // namespace
}  // namespace cairn::storage

#include "storage/available_memory.h"

#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

#include <gtest/gtest.h>

#include "tests/util/temp_dir.h"

namespace cairn::storage {
namespace {

constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

// A file system of just these files.
class AvailableMemory : public ::testing::Test {
 protected:
  void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories((dir_ / path).parent_path());
    std::ofstream(dir_ / path) << text;
  }
  void write_meminfo() { write("proc/meminfo", "MemTotal:  900 kB\nMemAvailable:    700 kB\n"); }
  std::uint64_t found() const { return available_memory(dir_.path()); }

  test::TempDir dir_;
};

TEST_F(AvailableMemory, KnowsNoLimitWhereNothingTells) { EXPECT_EQ(found(), kNoLimit); }

TEST_F(AvailableMemory, IsWhatTheSystemHas) {
  write_meminfo();
  EXPECT_EQ(found(), 700u * 1024);
  write("proc/self/cgroup", "0::/\n");
  EXPECT_EQ(found(), 700u * 1024);
}

TEST_F(AvailableMemory, IsTheRestOfTheGroupVersion2) {
  write_meminfo();
  write("proc/self/cgroup", "0::/app/worker\n");
  write("sys/fs/cgroup/app/worker/memory.max", "max\n");
  write("sys/fs/cgroup/app/worker/memory.current", "300\n");
  EXPECT_EQ(found(), 700u * 1024);
  write("sys/fs/cgroup/app/worker/memory.max", "1000\n");
  EXPECT_EQ(found(), 700u);
  write("sys/fs/cgroup/app/worker/memory.stat", "anon 5\ninactive_file 200\nactive_file 7\n");
  EXPECT_EQ(found(), 900u);
  // A group above may have less.
  write("sys/fs/cgroup/app/memory.max", "500\n");
  write("sys/fs/cgroup/app/memory.current", "450\n");
  EXPECT_EQ(found(), 50u);
  write("sys/fs/cgroup/app/memory.current", "501\n");
  EXPECT_EQ(found(), 0u);
}

TEST_F(AvailableMemory, IsTheRestOfTheGroupVersion1) {
  write_meminfo();
  write("proc/self/cgroup", "7:cpu,cpuacct:/other\n4:hugetlb,memory:/job\n0::/\n");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  write("sys/fs/cgroup/memory/memory.usage_in_bytes", "4000\n");
  EXPECT_EQ(found(), 700u * 1024);
  write("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "1000\n");
  write("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "800\n");
  write("sys/fs/cgroup/memory/job/memory.stat", "inactive_file 1\ntotal_inactive_file 100\n");
  EXPECT_EQ(found(), 300u);
}

// In a container the path is often the host's, and its own group is the mount.
TEST_F(AvailableMemory, FindsTheGroupOfAContainer) {
  write("proc/self/cgroup", "0::/host/only/path\n");
  write("sys/fs/cgroup/memory.max", "1000\n");
  write("sys/fs/cgroup/memory.current", "400\n");
  EXPECT_EQ(found(), 600u);
}

TEST_F(AvailableMemory, PassesOverWhatIsNoNumber) {
  write("proc/meminfo", "MemAvailable: much\n");
  write("proc/self/cgroup", "\n::\n1:memory\nnonsense\n4:memory:/job\n");
  write("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "-\n");
  write("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "7\n");
  EXPECT_EQ(found(), kNoLimit);
}

TEST(AvailableMemoryHere, IsSomething) { EXPECT_GT(available_memory(), 0u); }

}  // namespace
}  // namespace cairn::storage

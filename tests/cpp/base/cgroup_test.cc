// Tests of CgroupHeadroomBytes(), on directory trees that imitate /proc and /sys.

#include "base/cgroup.h"

#include <chrono>
#include <fstream>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "support/scratch.h"

namespace stream_store::internal {
namespace {

class CgroupTest : public ::testing::Test {
 protected:
  void Put(const std::string& path, const std::string& text) {
    const auto file = scratch_.path() / path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }

  void PutGroup(const std::string& group, const std::string& limit, const std::string& used,
                const std::string& cache = "0") {
    Put(group + "/memory.max", limit);
    Put(group + "/memory.current", used);
    Put(group + "/memory.stat", "anon 5\ninactive_file " + cache + "\nactive_file 0\n");
  }

  std::uint64_t Headroom() const { return CgroupHeadroomBytes(scratch_.path().string()); }

  ScratchDirectory scratch_;
};

TEST_F(CgroupTest, WithoutControlGroupsThereIsNoLimit) { EXPECT_EQ(Headroom(), UINT64_MAX); }

TEST_F(CgroupTest, VersionTwoIsLimitMinusUse) {
  Put("proc/self/cgroup", "0::/job\n");
  PutGroup("sys/fs/cgroup/job", "1000", "300");
  EXPECT_EQ(Headroom(), 700U);
}

TEST_F(CgroupTest, DroppableCacheIsNotUse) {
  Put("proc/self/cgroup", "0::/job\n");
  PutGroup("sys/fs/cgroup/job", "1000", "900", "400");
  EXPECT_EQ(Headroom(), 500U);
}

TEST_F(CgroupTest, ParentWithTheSmallestHeadroomDecides) {
  Put("proc/self/cgroup", "0::/user/job\n");
  PutGroup("sys/fs/cgroup/user/job", "max", "300");
  PutGroup("sys/fs/cgroup/user", "500", "400");
  EXPECT_EQ(Headroom(), 100U);
}

TEST_F(CgroupTest, GroupNotMountedHereFallsBackToTheMountPoint) {
  Put("proc/self/cgroup", "0::/only/outside\n");
  PutGroup("sys/fs/cgroup", "500", "450");
  EXPECT_EQ(Headroom(), 50U);
}

TEST_F(CgroupTest, VersionOneIsRead) {
  Put("proc/self/cgroup", "3:cpu:/x\n4:hugetlb,memory:/job\n0::/\n");
  Put("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "1000");
  Put("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "1500");
  EXPECT_EQ(Headroom(), 0U);
  Put("sys/fs/cgroup/memory/job/memory.stat", "total_inactive_file 500\ntotal_active_file 100\n");
  EXPECT_EQ(Headroom(), 100U);
}

TEST_F(CgroupTest, MalformedFilesMeanNoLimit) {
  Put("proc/self/cgroup", "\n::\n:\n0::\nmemory\n0::/job\n");
  PutGroup("sys/fs/cgroup/job", "lots", "-");
  EXPECT_EQ(Headroom(), UINT64_MAX);
}

TEST_F(CgroupTest, ABudgetCountsWhatItGrantedBetweenReadings) {
  Put("proc/self/cgroup", "0::/job\n");
  PutGroup("sys/fs/cgroup/job", "1000", "300");
  const std::string root = scratch_.path().string();
  CgroupBudget budget;
  std::uint64_t headroom = 0;
  EXPECT_TRUE(budget.Take(600, &headroom, root));
  EXPECT_EQ(headroom, 700U);
  // Within 100 ms; a slow machine may read again, and finds less than is wanted, too.
  PutGroup("sys/fs/cgroup/job", "1000", "950");
  EXPECT_FALSE(budget.Take(200, &headroom, root));
  EXPECT_LE(headroom, 100U);
}

TEST_F(CgroupTest, ABudgetFindsFreedMemorySoonAfterARefusal) {
  Put("proc/self/cgroup", "0::/job\n");
  PutGroup("sys/fs/cgroup/job", "1000", "1000");
  const std::string root = scratch_.path().string();
  CgroupBudget budget;
  std::uint64_t headroom = 0;
  EXPECT_FALSE(budget.Take(1, &headroom, root));
  PutGroup("sys/fs/cgroup/job", "1000", "0");
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_TRUE(budget.Take(900, &headroom, root));
  EXPECT_EQ(headroom, 1000U);
}

}  // namespace
}  // namespace stream_store::internal

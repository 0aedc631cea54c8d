// Tests of byte locks: one holder across all processes, released when it ends.

#include "base/lock.h"

#include <cerrno>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/directory.h"
#include "support/scratch.h"

namespace stream_store::internal {
namespace {

class LockTest : public ::testing::Test {
 protected:
  LockTest() { directory_.CreateFile("lock"); }

  File Open(bool writable = true) const { return directory_.OpenFile("lock", writable); }

  ScratchDirectory scratch_;
  SyscallFaults faults_;
  Directory directory_ = Directory::Open(scratch_.path());
};

TEST_F(LockTest, SecondOpenInTheSameProcessIsRefused) {
  const File first = Open();
  const File second = Open();
  EXPECT_TRUE(TryLockByte(first, kWriterLockByte));
  EXPECT_FALSE(TryLockByte(second, kWriterLockByte));
  EXPECT_TRUE(TryLockByte(second, kLiveLockByte));  // another byte is another lock
}

TEST_F(LockTest, TestingALockDoesNotTakeIt) {
  const File holder = Open();
  const File looker = Open(false);
  EXPECT_FALSE(ByteLockedElsewhere(looker, kWriterLockByte));
  ASSERT_TRUE(TryLockByte(holder, kWriterLockByte));
  EXPECT_TRUE(ByteLockedElsewhere(looker, kWriterLockByte));
  EXPECT_FALSE(ByteLockedElsewhere(holder, kWriterLockByte));  // its own
  EXPECT_FALSE(ByteLockedElsewhere(looker, kLiveLockByte));
}

TEST_F(LockTest, ClosingAnUnrelatedDescriptorKeepsTheLock) {
  const File holder = Open();
  ASSERT_TRUE(TryLockByte(holder, kWriterLockByte));
  Open().Close();
  EXPECT_TRUE(ByteLockedElsewhere(Open(false), kWriterLockByte));
}

TEST_F(LockTest, EndsWithItsProcess) {
  const pid_t child = ::fork();
  if (child == 0) {
    const File held = Open();
    ::_exit(TryLockByte(held, kWriterLockByte) ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(TryLockByte(Open(), kWriterLockByte));
}

TEST_F(LockTest, FileSystemWithoutLocksIsIo) {
  sys().lock = [](int, int, struct flock*) {
    errno = ENOLCK;
    return -1;
  };
  const File file = Open();
  EXPECT_EQ(ErrorOf([&] { TryLockByte(file, kWriterLockByte); }).code(), ErrorCode::kIo);
  EXPECT_EQ(ErrorOf([&] { ByteLockedElsewhere(file, kLiveLockByte); }).code(), ErrorCode::kIo);
}

TEST_F(LockTest, HolderTextNamesThisProcess) {
  EXPECT_CONTAINS(LockHolderText(), "pid " + std::to_string(::getpid()));
}

}  // namespace
}  // namespace stream_store::internal

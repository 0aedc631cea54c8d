// Tests of File: complete reads and writes, allocation and syncs, with faults in every system call.

#include "base/file.h"

#include <algorithm>
#include <cerrno>
#include <csignal>

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/directory.h"
#include "support/scratch.h"

namespace stream_store::internal {
namespace {

int failures_left = 0;  // calls that still fail before the real call is made
int fault_errno = 0;
int calls_seen = 0;

class FileTest : public ::testing::Test {
 protected:
  FileTest() : file_(Directory::Open(scratch_.path()).CreateFile("values")) {
    failures_left = 1 << 30;
    calls_seen = 0;
  }

  std::string Content() const {
    std::vector<std::byte> bytes(file_.Size());
    EXPECT_EQ(file_.ReadAt(bytes, 0), bytes.size());
    return Text(bytes);
  }

  void Fail(int error, int times = 1 << 30) {
    fault_errno = error;
    failures_left = times;
  }

  ScratchDirectory scratch_;
  SyscallFaults faults_;
  File file_;
};

bool Fails() {
  ++calls_seen;
  if (failures_left-- <= 0) return false;
  errno = fault_errno;
  return true;
}

int FaultyFallocate(int fd, int mode, off_t offset, off_t length) {
  return Fails() ? -1 : RealSyscalls().fallocate(fd, mode, offset, length);
}

ssize_t FaultyWrite(int fd, const void* buffer, std::size_t count, off_t offset) {
  return Fails() ? -1 : RealSyscalls().pwrite(fd, buffer, count, offset);
}

ssize_t ShortWrite(int fd, const void* buffer, std::size_t count, off_t offset) {
  return RealSyscalls().pwrite(fd, buffer, std::min<std::size_t>(count, 3), offset);
}

ssize_t ShortRead(int fd, void* buffer, std::size_t count, off_t offset) {
  return Fails() ? -1 : RealSyscalls().pread(fd, buffer, std::min<std::size_t>(count, 2), offset);
}

int FaultySync(int fd) { return Fails() ? -1 : RealSyscalls().fdatasync(fd); }

TEST_F(FileTest, ReadReturnsTheWrittenBytes) {
  file_.WriteAt(Bytes("0123456789"), 0);
  file_.WriteAt(Bytes("ab"), 4);
  EXPECT_EQ(Content(), "0123ab6789");
}

TEST_F(FileTest, ReadStopsAtTheEnd) {
  file_.WriteAt(Bytes("abc"), 0);
  std::vector<std::byte> bytes(10);
  EXPECT_EQ(file_.ReadAt(bytes, 1), 2U);
  EXPECT_EQ(file_.ReadAt(bytes, 50), 0U);
}

TEST_F(FileTest, ShortAndInterruptedCallsAreContinued) {
  sys().pwrite = ShortWrite;
  file_.WriteAt(Bytes("0123456789"), 0);
  sys().pread = ShortRead;
  Fail(EINTR, 3);
  EXPECT_EQ(Content(), "0123456789");
}

TEST_F(FileTest, FullDiskIsNoSpaceAndNamesThePath) {
  sys().pwrite = FaultyWrite;
  Fail(ENOSPC);
  const Error error = ErrorOf([&] { file_.WriteAt(Bytes("abc"), 0); });
  EXPECT_EQ(error.code(), ErrorCode::kNoSpace);
  EXPECT_EQ(error.system_errno(), ENOSPC);
  EXPECT_EQ(std::string(error.what()),
            file_.path() + ": writing 3 bytes at 0: No space left on device");
}

TEST_F(FileTest, OtherErrorsAreIo) {
  sys().pwrite = FaultyWrite;
  Fail(EIO);
  EXPECT_EQ(ErrorOf([&] { file_.WriteAt(Bytes("abc"), 0); }).code(), ErrorCode::kIo);
}

TEST_F(FileTest, AllocateGivesBlocksAndZeros) {
  file_.WriteAt(Bytes("abc"), 0);
  file_.Allocate(3, 70'000);
  struct stat status{};
  ASSERT_EQ(::fstat(file_.fd(), &status), 0);
  EXPECT_EQ(status.st_size, 70'000);
  EXPECT_GE(status.st_blocks * 512, 70'000);
  EXPECT_EQ(Content(), "abc" + std::string(69'997, '\0'));
}

TEST_F(FileTest, AllocateToASmallerSizeDoesNothing) {
  file_.WriteAt(Bytes("abc"), 0);
  file_.Allocate(3, 2);
  EXPECT_EQ(Content(), "abc");
}

TEST_F(FileTest, AllocateWritesZerosWhereItIsNotSupported) {
  for (const int error : {EOPNOTSUPP, ENOSYS, EINVAL}) {
    file_.Truncate(0);
    file_.WriteAt(Bytes("abc"), 0);
    sys().fallocate = FaultyFallocate;
    Fail(error);
    file_.Allocate(3, (3U << 20) + 5);
    EXPECT_EQ(Content(), "abc" + std::string((3U << 20) + 2, '\0'));
  }
}

TEST_F(FileTest, AllocateNeverOverwritesExistingBytes) {
  file_.WriteAt(Bytes("abcdef"), 0);
  sys().fallocate = FaultyFallocate;
  Fail(EOPNOTSUPP);
  file_.Allocate(3, 10);  // an old size that the file has outgrown
  EXPECT_EQ(Content(), "abcdef" + std::string(4, '\0'));
}

TEST_F(FileTest, AllocateRepeatsAnInterruptedCall) {
  sys().fallocate = FaultyFallocate;
  Fail(EINTR, 4);
  file_.Allocate(0, 100);
  EXPECT_EQ(calls_seen, 5);
  EXPECT_EQ(file_.Size(), 100U);
}

TEST_F(FileTest, AllocateReportsAFullDisk) {
  sys().fallocate = FaultyFallocate;
  for (const int error : {ENOSPC, EDQUOT, EFBIG}) {
    Fail(error);
    EXPECT_EQ(ErrorOf([&] { file_.Allocate(0, 4096); }).code(), ErrorCode::kNoSpace);
  }
  EXPECT_EQ(file_.Size(), 0U);
}

TEST_F(FileTest, AllocateReportsADiskThatFillsWhileZerosAreWritten) {
  sys().fallocate = FaultyFallocate;
  sys().pwrite = [](int fd, const void* buffer, std::size_t count, off_t offset) -> ssize_t {
    if (offset < (1 << 20)) return RealSyscalls().pwrite(fd, buffer, count, offset);
    errno = ENOSPC;
    return -1;
  };
  Fail(EOPNOTSUPP);
  const Error error = ErrorOf([&] { file_.Allocate(0, 3U << 20); });
  EXPECT_EQ(error.code(), ErrorCode::kNoSpace);
  EXPECT_CONTAINS(error.what(), "growing to 3145728 bytes");
}

TEST_F(FileTest, GrowthBeyondTheFileSizeLimitIsRefusedBeforeASignal) {
  struct rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  struct rlimit low = old;
  low.rlim_cur = 8192;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &low), 0);
  // SIGXFSZ has its default action here, so a call that reached the kernel would kill this program.
  std::signal(SIGXFSZ, SIG_DFL);
  const Error grown = ErrorOf([&] { file_.Allocate(0, 8193); });
  const Error written = ErrorOf([&] { file_.WriteAt(Bytes("ab"), 8191); });
  const Error extended = ErrorOf([&] { file_.Truncate(10'000); });
  file_.Allocate(0, 8192);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
  EXPECT_EQ(grown.code(), ErrorCode::kNoSpace);
  EXPECT_CONTAINS(grown.what(), "RLIMIT_FSIZE is 8192");
  EXPECT_EQ(written.code(), ErrorCode::kNoSpace);
  EXPECT_EQ(extended.code(), ErrorCode::kNoSpace);
}

TEST_F(FileTest, ZeroRangeClearsOnlyItsRangeAndKeepsTheSize) {
  for (const bool supported : {true, false}) {
    file_.WriteAt(Bytes(std::string(10, 'x')), 0);
    if (!supported) {
      sys().fallocate = FaultyFallocate;
      Fail(EOPNOTSUPP);
    }
    file_.ZeroRange(2, 5);
    file_.ZeroRange(8, 100);
    EXPECT_EQ(Content(), "xx" + std::string(3, '\0') + "xxx" + std::string(2, '\0'));
  }
}

TEST_F(FileTest, FailedSyncIsIoForEveryErrno) {
  sys().fdatasync = FaultySync;
  Fail(ENOSPC);
  const Error error = ErrorOf([&] { file_.SyncData(); });
  EXPECT_EQ(error.code(), ErrorCode::kIo);
  EXPECT_EQ(error.system_errno(), ENOSPC);
  Fail(EINTR, 2);
  EXPECT_NO_THROW(file_.SyncData());
}

TEST_F(FileTest, MovingTakesTheDescriptor) {
  const int fd = file_.fd();
  File other = std::move(file_);
  EXPECT_EQ(other.fd(), fd);
  EXPECT_FALSE(file_.is_open());
  other = File();
  EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
}

TEST_F(FileTest, MemoryBackedFileSystemsAreKnownByTheirMagic) {
  for (const auto& [magic, in_memory] :
       {std::pair{0x01021994L, true}, {0x858458f6L, true}, {0xef53L, false}}) {
    static long reported = 0;
    reported = magic;
    sys().fstatfs = [](int, struct statfs* out) {
      out->f_type = reported;
      return 0;
    };
    EXPECT_EQ(file_.InMemory(), in_memory);
  }
  sys().fstatfs = [](int, struct statfs*) { return -1; };
  EXPECT_FALSE(file_.InMemory());
}

}  // namespace
}  // namespace stream_store::internal

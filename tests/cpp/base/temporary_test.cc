// Tests of CreateUnlinkedFile(): where the files are created, and that no entry remains.

#include <cerrno>

#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/stat.h>

#include "base/directory.h"
#include "base/random.h"
#include "support/scratch.h"

namespace stream_store::internal {
namespace {

namespace fs = std::filesystem;

class TemporaryTest : public ::testing::Test {
 protected:
  TemporaryTest() {
    if (const char* old = std::getenv("TMPDIR")) old_ = old;
  }

  ~TemporaryTest() override { old_ ? ::setenv("TMPDIR", old_->c_str(), 1) : ::unsetenv("TMPDIR"); }

  static bool Unlinked(const File& file) {
    struct stat status{};
    EXPECT_EQ(::fstat(file.fd(), &status), 0);
    return S_ISREG(status.st_mode) && status.st_nlink == 0 && (status.st_mode & 07777) == 0600;
  }

  ScratchDirectory scratch_;
  SyscallFaults faults_;
  std::optional<std::string> old_;
};

int OpenWithoutTmpfile(int directory_fd, const char* name, int flags, mode_t mode) {
  if ((flags & O_TMPFILE) != O_TMPFILE)
    return RealSyscalls().open_at(directory_fd, name, flags, mode);
  errno = EOPNOTSUPP;
  return -1;
}

TEST_F(TemporaryTest, FileHasNoNameButCanBeUsed) {
  const File file = CreateUnlinkedFile(scratch_.path(), "values");
  EXPECT_TRUE(Unlinked(file));
  EXPECT_TRUE(fs::is_empty(scratch_.path()));
  file.WriteAt(Bytes("abc"), 0);
  EXPECT_EQ(file.Size(), 3U);
  EXPECT_CONTAINS(file.path(), "values (unlinked)");
}

TEST_F(TemporaryTest, WorksWhereUnnamedFilesAreNotSupported) {
  sys().open_at = OpenWithoutTmpfile;
  EXPECT_TRUE(Unlinked(CreateUnlinkedFile(scratch_.path(), "values")));
  EXPECT_TRUE(fs::is_empty(scratch_.path()));
}

TEST_F(TemporaryTest, PreferredPlaceIsTheOnlyOne) {
  const Error error = ErrorOf([&] { CreateUnlinkedFile(scratch_ / "none", "values"); });
  EXPECT_EQ(error.code(), ErrorCode::kNotFound);
}

TEST_F(TemporaryTest, UsesTmpdirFirst) {
  ::setenv("TMPDIR", scratch_.path().c_str(), 1);
  EXPECT_TRUE(CreateUnlinkedFile({}, "values").path().starts_with(scratch_.path().string()));
  ::setenv("TMPDIR", (scratch_ / "none").c_str(), 1);
  EXPECT_TRUE(Unlinked(CreateUnlinkedFile({}, "values")));
}

TEST_F(TemporaryTest, PrefersDisksToMemory) {
  ::setenv("TMPDIR", scratch_.path().c_str(), 1);
  sys().fstatfs = [](int fd, struct statfs* out) {
    static int first = -1;
    if (first < 0) first = fd;
    out->f_type = fd == first ? TMPFS_MAGIC : EXT4_SUPER_MAGIC;
    return 0;
  };
  EXPECT_FALSE(CreateUnlinkedFile({}, "values").path().starts_with(scratch_.path().string()));
}

TEST_F(TemporaryTest, UsesMemoryIfNoDiskAcceptsTheFile) {
  ::setenv("TMPDIR", scratch_.path().c_str(), 1);
  sys().fstatfs = [](int, struct statfs* out) {
    out->f_type = TMPFS_MAGIC;
    return 0;
  };
  EXPECT_TRUE(CreateUnlinkedFile({}, "values").path().starts_with(scratch_.path().string()));
}

TEST_F(TemporaryTest, ErrorNamesEveryDirectoryThatFailed) {
  ::setenv("TMPDIR", scratch_.path().c_str(), 1);
  sys().open_at = [](int, const char*, int, mode_t) {
    errno = EACCES;
    return -1;
  };
  const Error error = ErrorOf([&] { CreateUnlinkedFile({}, "values"); });
  EXPECT_EQ(error.code(), ErrorCode::kIo);
  for (const std::string& place :
       {scratch_.path().string(), std::string("/var/tmp"), std::string("/tmp")}) {
    EXPECT_CONTAINS(error.what(), place);
  }
}

TEST(RandomTest, BytesDifferAndShortReadsAreContinued) {
  const SyscallFaults faults;
  EXPECT_NE(RandomBytes16(), RandomBytes16());
  sys().getrandom = [](void* buffer, std::size_t, unsigned flags) {
    return RealSyscalls().getrandom(buffer, 1, flags);
  };
  EXPECT_NE(RandomBytes16(), RandomBytes16());
  EXPECT_EQ(RandomHex().size(), 32U);
}

}  // namespace
}  // namespace stream_store::internal

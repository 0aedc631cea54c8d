// Tests of Directory: which entries can be opened inside a store, and the errors for the others.

#include "base/directory.h"

#include <cerrno>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str_cat.h"
#include "base/syscalls.h"
#include "base/temporary.h"
#include "support/scratch.h"

namespace stream_store::internal {
namespace {

namespace fs = std::filesystem;

class DirectoryTest : public ::testing::Test {
 protected:
  ErrorCode CodeOfOpening(const char* name) {
    return ErrorOf([&] { directory_.OpenFile(name, false); }).code();
  }

  ScratchDirectory scratch_;
  SyscallFaults faults_;
  Directory directory_ = Directory::Open(scratch_.path());
};

TEST_F(DirectoryTest, MissingDirectoryIsNotFound) {
  EXPECT_EQ(ErrorOf([&] { Directory::Open(scratch_ / "none"); }).code(), ErrorCode::kNotFound);
}

TEST_F(DirectoryTest, FileInPlaceOfADirectoryAlreadyExists) {
  directory_.CreateFile("plain");
  const Error error = ErrorOf([&] { Directory::Open(scratch_ / "plain"); });
  EXPECT_EQ(error.code(), ErrorCode::kAlreadyExists);
  EXPECT_CONTAINS(error.what(), "is not a directory");
}

TEST_F(DirectoryTest, NewFilesHaveMode0600RegardlessOfTheUmask) {
  for (const mode_t mask : {mode_t{0}, mode_t{0777}}) {
    const mode_t old = ::umask(mask);
    const File file = directory_.CreateFile("values");
    ::umask(old);
    struct stat status{};
    ASSERT_EQ(::fstat(file.fd(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0600U);
    EXPECT_NE(::fcntl(file.fd(), F_GETFD) & FD_CLOEXEC, 0);
    directory_.Unlink("values");
  }
}

TEST_F(DirectoryTest, CreateFileRefusesAnExistingName) {
  directory_.CreateFile("values");
  EXPECT_EQ(ErrorOf([&] { directory_.CreateFile("values"); }).code(), ErrorCode::kAlreadyExists);
}

TEST_F(DirectoryTest, MissingFileIsNotFound) {
  EXPECT_EQ(CodeOfOpening("values"), ErrorCode::kNotFound);
}

TEST_F(DirectoryTest, EntriesOtherThanRegularFilesAreCorrupt) {
  fs::create_directory(scratch_ / "directory");
  fs::create_symlink("/etc/passwd", scratch_ / "link");
  ASSERT_EQ(::mkfifo((scratch_ / "pipe").c_str(), 0600), 0);
  for (const char* name : {"directory", "link", "pipe"}) {
    EXPECT_EQ(CodeOfOpening(name), ErrorCode::kCorrupt) << name;
    EXPECT_EQ(ErrorOf([&] { directory_.OpenFile(name, true); }).code(), ErrorCode::kCorrupt);
  }
  const Error error = ErrorOf([&] { directory_.OpenFile("link", false); });
  EXPECT_CONTAINS(error.what(), "expected a regular file but found a symbolic link");
}

TEST_F(DirectoryTest, SocketIsCorrupt) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  (scratch_ / "socket").string().copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ::close(fd);
  EXPECT_EQ(CodeOfOpening("socket"), ErrorCode::kCorrupt);
}

TEST_F(DirectoryTest, OpensRelativeToItselfAfterItMoved) {
  fs::create_directory(scratch_ / "before");
  const Directory moved = Directory::Open(scratch_ / "before");
  moved.CreateFile("values").Truncate(5);
  fs::rename(scratch_ / "before", scratch_ / "after");
  EXPECT_TRUE(moved.OpenFile("values", true).is_open());
  EXPECT_EQ(moved.FileSize("values"), 5U);
}

TEST_F(DirectoryTest, FileSizeOfRegularFilesOnly) {
  directory_.CreateFile("empty");
  directory_.CreateFile("sparse").Truncate(1ULL << 40);
  EXPECT_EQ(directory_.FileSize("empty"), 0U);
  EXPECT_EQ(directory_.FileSize("sparse"), 1ULL << 40);
  EXPECT_EQ(directory_.FileSize("none"), std::nullopt);
  fs::create_symlink("empty", scratch_ / "link");
  fs::create_directory(scratch_ / "directory");
  ASSERT_EQ(::mkfifo((scratch_ / "pipe").c_str(), 0600), 0);
  const std::vector<std::pair<const char*, const char*>> others = {
      {"link", "a symbolic link"}, {"directory", "a directory"}, {"pipe", "a pipe"}};
  for (const auto& [name, kind] : others) {
    const Error error = ErrorOf([&, at = name] { directory_.FileSize(at); });
    EXPECT_EQ(error.code(), ErrorCode::kCorrupt);
    EXPECT_CONTAINS(error.what(), StrCat(name, ": expected a regular file but found ", kind));
  }
}

TEST_F(DirectoryTest, FileThatCannotBeInspectedIsIo) {
  sys().stat_at = [](int, const char*, struct stat*, int) {
    errno = EACCES;
    return -1;
  };
  const Error error = ErrorOf([&] { directory_.FileSize("values"); });
  EXPECT_EQ(error.code(), ErrorCode::kIo);
  EXPECT_CONTAINS(error.what(), "values: fstatat: ");
}

TEST_F(DirectoryTest, ContainsSeesEveryKindOfEntry) {
  fs::create_symlink("nowhere", scratch_ / "dangling");
  fs::create_directory(scratch_ / "directory");
  EXPECT_TRUE(directory_.Contains("dangling"));
  EXPECT_TRUE(directory_.Contains("directory"));
  EXPECT_FALSE(directory_.Contains("none"));
}

TEST_F(DirectoryTest, EntriesAreSortedAndComplete) {
  for (const char* name : {"b", ".hidden", "a"}) directory_.CreateFile(name);
  EXPECT_EQ(directory_.Entries(), (std::vector<std::string>{".hidden", "a", "b"}));
  EXPECT_EQ(directory_.Entries().size(), 3U);  // listing again gives the same
}

TEST_F(DirectoryTest, RenameReplacesAndUnlinkIgnoresAMissingFile) {
  directory_.CreateFile("schema.tmp").WriteAt(Bytes("new"), 0);
  directory_.CreateFile("schema");
  directory_.RenameFile("schema.tmp", "schema");
  EXPECT_EQ(directory_.OpenFile("schema", false).Size(), 3U);
  EXPECT_FALSE(directory_.Contains("schema.tmp"));
  EXPECT_NO_THROW(directory_.Unlink("schema.tmp"));
}

TEST_F(DirectoryTest, SyncSucceedsWhereDirectoriesCannotBeSynced) {
  sys().fsync = [](int) {
    errno = EINVAL;
    return -1;
  };
  EXPECT_NO_THROW(directory_.Sync());
  sys().fsync = [](int) {
    errno = EIO;
    return -1;
  };
  EXPECT_EQ(ErrorOf([&] { directory_.Sync(); }).code(), ErrorCode::kIo);
}

// Once, the message was a bare "Too many open files", with which nobody knew what to do.
TEST_F(DirectoryTest, TooManyOpenFilesNamesTheLimit) {
  struct rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  struct rlimit low = limit;
  low.rlim_cur = static_cast<rlim_t>(directory_.fd()) + 1;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  const std::vector<std::function<void()>> calls = {
      [&] { Directory::Open(scratch_.path()); },
      [&] { directory_.OpenFile("none", false); },
      [&] { directory_.CreateFile("new"); },
      [&] { directory_.Contains("none"); },
      [&] { directory_.Entries(); },
      [&] { InTemporaryPlace({}, [](const std::filesystem::path&) {}); },
  };
  std::vector<Error> errors;
  for (const auto& call : calls) {
    errors.push_back(ErrorOf(call));
  }
  ::setrlimit(RLIMIT_NOFILE, &limit);
  const std::string expected = StrCat("Too many open files; this process may have ", low.rlim_cur,
                                      " files open (RLIMIT_NOFILE): raise the limit with `ulimit");
  for (const Error& error : errors) {
    EXPECT_EQ(error.code(), ErrorCode::kIo);
    EXPECT_EQ(error.system_errno(), EMFILE);
    EXPECT_CONTAINS(error.what(), expected);
  }
}

TEST_F(DirectoryTest, TooManyOpenFilesOfTheSystemNamesItsLimit) {
  sys().open_at = [](int, const char*, int, mode_t) {
    errno = ENFILE;
    return -1;
  };
  const Error error = ErrorOf([&] { directory_.CreateFile("new"); });
  EXPECT_EQ(error.code(), ErrorCode::kIo);
  EXPECT_EQ(error.system_errno(), ENFILE);
  EXPECT_CONTAINS(error.what(), "fs.file-max");
}

TEST_F(DirectoryTest, EveryFunctionClosesItsDescriptors) {
  const auto open_files = [] {
    return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator{});
  };
  directory_.CreateFile("a");
  fs::create_directory(scratch_ / "directory");
  const auto before = open_files();
  directory_.Entries();
  directory_.Contains("a");
  CodeOfOpening("directory");
  CodeOfOpening("none");
  EXPECT_EQ(open_files(), before);
}

}  // namespace
}  // namespace stream_store::internal

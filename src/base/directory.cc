// A directory held open, and the files inside it.

#include "base/directory.h"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/retry.h"
#include "base/str_cat.h"
#include "base/syscalls.h"

namespace stream_store::internal {
namespace {

constexpr mode_t kFileMode = 0600;

const char* KindName(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR:
      return "a directory";
    case S_IFLNK:
      return "a symbolic link";
    case S_IFIFO:
      return "a pipe";
    case S_IFSOCK:
      return "a socket";
    case S_IFCHR:
    case S_IFBLK:
      return "a device";
    default:
      return "something else";
  }
}

[[noreturn]] void ThrowNotRegular(const std::string& path, const char* found) {
  throw Error(ErrorCode::kCorrupt, StrCat(path, ": expected a regular file but found ", found));
}

// Translates the errors that open() returns for entries that are not regular files. With these
// flags it refuses them before there is a descriptor to inspect.
[[noreturn]] void ThrowOpenFailure(const std::string& path, int error) {
  if (error == ENOENT) {
    throw Error(ErrorCode::kNotFound, StrCat(path, ": no such file"));
  }
  if (error == ELOOP) {
    ThrowNotRegular(path, "a symbolic link");
  }
  if (error == EISDIR) {
    ThrowNotRegular(path, "a directory");
  }
  if (error == ENXIO || error == ENODEV) {
    ThrowNotRegular(path, "a device or socket");
  }
  ThrowErrno(path, "opening", error);
}

int OpenDirectory(const std::filesystem::path& path, int flags) {
  return RetryInterrupted([&] {
    return sys().open_at(AT_FDCWD, path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags, 0);
  });
}

[[noreturn]] void ThrowNoDirectory(const std::filesystem::path& path, int error) {
  if (error == ENOENT) {
    throw Error(ErrorCode::kNotFound, StrCat(PathText(path), ": no such directory"));
  }
  if (error == ENOTDIR) {
    throw Error(ErrorCode::kAlreadyExists, StrCat(PathText(path), ": is not a directory"));
  }
  ThrowErrno(PathText(path), "opening", error);
}

}  // namespace

Directory::Directory(File file, std::filesystem::path path)
    : file_(std::move(file)), path_(std::move(path)) {}

Directory Directory::Open(const std::filesystem::path& path) {
  const int fd = OpenDirectory(path, 0);
  if (fd < 0) {
    ThrowNoDirectory(path, errno);
  }
  return Directory(File(fd, PathText(path)), path);
}

Directory Directory::OpenItself(const std::filesystem::path& path) {
  const int fd = OpenDirectory(path, O_NOFOLLOW);
  if (fd < 0) {
    ThrowNoDirectory(path, errno);
  }
  return Directory(File(fd, PathText(path)), path);
}

void Directory::Park() {
  parked_ = Parked{PathText(std::filesystem::absolute(path_)), file_.Id()};
  file_.Close();
}

void Directory::MovedTo(std::filesystem::path path) {
  if (parked_) {
    parked_->place = PathText(std::filesystem::absolute(path));
  }
  file_.MovedTo(path.string());
  path_ = std::move(path);
}

Directory::Handle::Handle(const Directory& directory) : fd_(directory.file_.fd()) {
  if (!directory.parked_) {
    return;
  }
  const Parked& parked = *directory.parked_;
  fd_ = OpenDirectory(parked.place, 0);
  if (fd_ < 0 && errno != ENOENT && errno != ENOTDIR) {
    ThrowErrno(parked.place, "opening", errno);
  }
  opened_ = File(fd_, parked.place);
  if (fd_ < 0 || opened_.Id() != parked.id) {
    throw Error(ErrorCode::kIo, StrCat(parked.place,
                                       ": the directory was deleted, moved or replaced while the "
                                       "store in it was open"));
  }
}

bool Directory::Deleted() const {
  const Handle here(*this);
  struct stat status{};
  if (sys().file_stat(here.fd(), &status) != 0) {
    ThrowErrno(PathText(path_), "fstat", errno);
  }
  return status.st_nlink == 0;
}

bool Directory::IsOurs() const {
  const Handle here(*this);
  struct stat status{};
  if (sys().file_stat(here.fd(), &status) != 0) {
    ThrowErrno(PathText(path_), "fstat", errno);
  }
  return status.st_uid == ::geteuid();
}

File Directory::OpenFile(const char* name, bool writable) const {
  const Handle here(*this);
  const std::string path = PathText(path_ / name);
  const int access = writable ? O_RDWR : O_RDONLY;
  // O_NONBLOCK: opening a pipe of that name would wait for its other end. Regular files ignore it.
  const int fd = RetryInterrupted([&] {
    return sys().open_at(here.fd(), name, access | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0);
  });
  if (fd < 0) {
    ThrowOpenFailure(path, errno);
  }
  File file(fd, path);
  struct stat status{};
  if (sys().file_stat(fd, &status) != 0) {
    ThrowErrno(path, "fstat", errno);
  }
  if (!S_ISREG(status.st_mode)) {
    ThrowNotRegular(path, KindName(status.st_mode));
  }
  return file;
}

File Directory::CreateFile(const char* name) const {
  const Handle here(*this);
  const std::string path = PathText(path_ / name);
  const int fd = RetryInterrupted([&] {
    return sys().open_at(here.fd(), name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                         kFileMode);
  });
  if (fd < 0 && errno == EEXIST) {
    throw Error(ErrorCode::kAlreadyExists, StrCat(path, ": creating: it is already there"));
  }
  if (fd < 0) {
    ThrowErrno(path, "creating", errno);
  }
  File file(fd, path);
  // The umask may have cleared bits of the mode.
  if (sys().fchmod(fd, kFileMode) != 0) {
    ThrowErrno(path, "setting mode 0600", errno);
  }
  return file;
}

std::optional<std::uint64_t> Directory::FileSize(const char* name) const {
  const Handle here(*this);
  struct stat status{};
  if (sys().stat_at(here.fd(), name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) {
      return std::nullopt;
    }
    ThrowErrno(PathText(path_ / name), "fstatat", errno);
  }
  if (!S_ISREG(status.st_mode)) {
    ThrowNotRegular(PathText(path_ / name), KindName(status.st_mode));
  }
  return static_cast<std::uint64_t>(status.st_size);
}

bool Directory::Contains(const char* name) const {
  const Handle here(*this);
  const int fd = RetryInterrupted(
      [&] { return sys().open_at(here.fd(), name, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0); });
  if (fd >= 0) {
    sys().close(fd);
    return true;
  }
  if (errno != ENOENT) {
    ThrowErrno(PathText(path_ / name), "looking for it", errno);
  }
  return false;
}

std::vector<std::string> Directory::Entries() const {
  const Handle here(*this);
  // A new descriptor: listing moves the offset of an open directory, which threads would share.
  const int fd = RetryInterrupted(
      [&] { return sys().open_at(here.fd(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0); });
  if (fd < 0) {
    ThrowErrno(PathText(path_), "listing", errno);
  }
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(fd), ::closedir);
  if (stream == nullptr) {
    const int error = errno;
    sys().close(fd);
    ThrowErrno(PathText(path_), "listing", error);
  }
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") {
      names.push_back(name);
    }
    errno = 0;
  }
  if (errno != 0) {
    ThrowErrno(PathText(path_), "listing", errno);
  }
  std::ranges::sort(names);
  return names;
}

void Directory::Unlink(const char* name) const {
  const Handle here(*this);
  if (sys().unlink_at(here.fd(), name, 0) != 0 && errno != ENOENT) {
    ThrowErrno(PathText(path_ / name), "unlinking", errno);
  }
}

void Directory::RenameFile(const char* from, const char* to) const {
  const Handle here(*this);
  if (sys().rename_at2(here.fd(), from, here.fd(), to, 0) != 0) {
    ThrowErrno(PathText(path_ / from), StrCat("renaming to ", to), errno);
  }
}

void Directory::Sync() const {
  const Handle here(*this);
  if (RetryInterrupted([&] { return sys().fsync(here.fd()); }) == 0) {
    return;
  }
  if (errno == EINVAL || errno == EOPNOTSUPP) {
    return;  // this file system has no sync of directories; there is nothing else to do
  }
  ThrowErrno(PathText(path_), "fsync of the directory", errno);
}

}  // namespace stream_store::internal

// Whole reads and writes, allocation and syncs of one open file.

#include "base/file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/assert.h"
#include "base/retry.h"
#include "base/str_cat.h"
#include "base/syscalls.h"

namespace stream_store::internal {
namespace {

constexpr std::size_t kZeroBlockBytes = std::size_t{1} << 20;

// Zeros to write where the file system cannot allocate. They lie in .bss, so they take no memory
// until they are used.
alignas(4096) constinit std::array<std::byte, kZeroBlockBytes> zero_block{};

// Names the limit that was reached and how to raise it, if `error` says that there are no more
// descriptors; else empty.
std::string DescriptorAdvice(int error) {
  if (error == ENFILE) {
    return "; all processes together have reached fs.file-max: raise it with sysctl, or close "
           "files";
  }
  if (error != EMFILE) {
    return "";
  }
  struct rlimit limit{};
  const bool known = sys().getrlimit(RLIMIT_NOFILE, &limit) == 0;
  return StrCat("; this process may have ", known ? StrCat(limit.rlim_cur) : "no more",
                " files open (RLIMIT_NOFILE): raise the limit with `ulimit -n`, or close stores");
}

std::string Message(const std::string& path, const std::string& doing, int error) {
  return StrCat(path, ": ", doing, ": ", std::generic_category().message(error),
                DescriptorAdvice(error));
}

bool NotSupported(int error) { return error == EOPNOTSUPP || error == ENOSYS || error == EINVAL; }

// A write beyond RLIMIT_FSIZE raises SIGXFSZ, which kills the process unless the host program
// ignores it. A library must not do that, so the limit is checked first.
void CheckFileSizeLimit(const std::string& path, const std::string& doing, std::uint64_t size) {
  struct rlimit limit{};
  if (sys().getrlimit(RLIMIT_FSIZE, &limit) != 0) {
    return;
  }
  if (limit.rlim_cur == RLIM_INFINITY || size <= limit.rlim_cur) {
    return;
  }
  throw Error(ErrorCode::kNoSpace,
              StrCat(Message(path, doing, EFBIG), " (RLIMIT_FSIZE is ", limit.rlim_cur, ")"),
              EFBIG);
}

std::string GrowingTo(std::uint64_t size) { return StrCat("growing to ", size, " bytes"); }

}  // namespace

void ThrowErrno(const std::string& path, const std::string& doing, int error) {
  const bool no_space = error == ENOSPC || error == EDQUOT || error == EFBIG;
  throw Error(no_space ? ErrorCode::kNoSpace : ErrorCode::kIo, Message(path, doing, error), error);
}

File::File(int fd, std::string path) noexcept : fd_(fd), path_(std::move(path)) {}

File::File(File&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}

File& File::operator=(File&& other) noexcept {
  if (this != &other) {
    Close();
    fd_ = std::exchange(other.fd_, -1);
    path_ = std::move(other.path_);
  }
  return *this;
}

File::~File() { Close(); }

// The magic number of its file system; 0 if that cannot be found out.
std::uint32_t File::FileSystem() const noexcept {
  struct statfs status{};
  return sys().fstatfs(fd_, &status) == 0 ? static_cast<std::uint32_t>(status.f_type) : 0;
}

bool File::InMemory() const noexcept {
  STREAM_STORE_ASSERT(is_open());
  const std::uint32_t magic = FileSystem();
  return magic == TMPFS_MAGIC || magic == RAMFS_MAGIC || magic == HUGETLBFS_MAGIC;
}

bool File::FreesSpaceLate() const noexcept {
  STREAM_STORE_ASSERT(is_open());
  return FileSystem() == BTRFS_SUPER_MAGIC;
}

std::optional<FileStamp> FindFileStamp(const std::string& path) {
  struct stat status{};
  if (sys().path_stat(path.c_str(), &status) == 0) {
    constexpr std::int64_t kSecond = 1'000'000'000;
    return FileStamp{.id = {status.st_dev, status.st_ino},
                     .modified = status.st_mtim.tv_sec * kSecond + status.st_mtim.tv_nsec};
  }
  if (errno == ENOENT || errno == ENOTDIR) {
    return std::nullopt;
  }
  ThrowErrno(path, "stat", errno);
}

std::optional<FileId> FindFileId(const std::string& path) {
  const std::optional<FileStamp> stamp = FindFileStamp(path);
  return stamp ? std::optional(stamp->id) : std::nullopt;
}

struct stat File::Status() const {
  STREAM_STORE_ASSERT(is_open());
  struct stat status{};
  if (sys().file_stat(fd_, &status) != 0) {
    ThrowErrno(path_, "fstat", errno);
  }
  return status;
}

std::uint64_t File::Size() const {
  STREAM_STORE_ASSERT(is_open());
  return static_cast<std::uint64_t>(Status().st_size);
}

FileId File::Id() const {
  STREAM_STORE_ASSERT(is_open());
  const struct stat status = Status();
  return {status.st_dev, status.st_ino};
}

File::Facts File::GetFacts() const {
  STREAM_STORE_ASSERT(is_open());
  const struct stat status = Status();
  return {.size = static_cast<std::uint64_t>(status.st_size),
          .links = status.st_nlink,
          .id = {status.st_dev, status.st_ino}};
}

std::uint64_t File::Links() const {
  STREAM_STORE_ASSERT(is_open());
  return Status().st_nlink;
}

std::size_t File::ReadAt(std::span<std::byte> out, std::uint64_t offset) const {
  STREAM_STORE_ASSERT(is_open());
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = RetryInterrupted([&] {
      return sys().pread(fd_, out.data() + done, out.size() - done,
                         static_cast<off_t>(offset + done));
    });
    if (got < 0) {
      ThrowErrno(path_, StrCat("reading ", out.size(), " bytes at ", offset), errno);
    }
    if (got == 0) {  // the end of the file
      break;
    }
    done += static_cast<std::size_t>(got);
  }
  return done;
}

void File::WriteAt(std::span<const std::byte> bytes, std::uint64_t offset) const {
  STREAM_STORE_ASSERT(is_open());
  const auto doing = [&] { return StrCat("writing ", bytes.size(), " bytes at ", offset); };
  if (bytes.empty()) {
    return;
  }
  CheckFileSizeLimit(path_, doing(), offset + bytes.size());
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t put = RetryInterrupted([&] {
      return sys().pwrite(fd_, bytes.data() + done, bytes.size() - done,
                          static_cast<off_t>(offset + done));
    });
    if (put < 0) {
      ThrowErrno(path_, doing(), errno);
    }
    if (put == 0) {
      ThrowErrno(path_, doing(), EIO);  // never for a regular file; avoids an endless loop
    }
    done += static_cast<std::size_t>(put);
  }
}

void File::Allocate(std::uint64_t old_size, std::uint64_t size) const {
  STREAM_STORE_ASSERT(is_open());
  if (size <= old_size) {
    return;
  }
  CheckFileSizeLimit(path_, GrowingTo(size), size);
  const int result = RetryInterrupted([&] {
    return sys().fallocate(fd_, 0, static_cast<off_t>(old_size),
                           static_cast<off_t>(size - old_size));
  });
  if (result == 0) {
    return;
  }
  if (!NotSupported(errno)) {
    ThrowErrno(path_, GrowingTo(size), errno);
  }

  // Not posix_fallocate(): where it emulates, it writes into blocks that may already hold data of
  // another thread or process.
  for (std::uint64_t at = std::max(old_size, Size()); at < size; at += kZeroBlockBytes) {
    const std::size_t count = std::min<std::uint64_t>(kZeroBlockBytes, size - at);
    try {
      WriteAt(std::span(zero_block).first(count), at);
    } catch (const Error& error) {
      ThrowErrno(path_, GrowingTo(size), error.system_errno());
    }
  }
}

void File::ZeroRange(std::uint64_t begin, std::uint64_t end) const {
  STREAM_STORE_ASSERT(is_open());
  end = std::min(end, Size());
  if (begin >= end) {
    return;
  }
  const int result = RetryInterrupted([&] {
    return sys().fallocate(fd_, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
                           static_cast<off_t>(begin), static_cast<off_t>(end - begin));
  });
  if (result == 0) {
    return;
  }
  if (!NotSupported(errno)) {
    ThrowErrno(path_, StrCat("zeroing bytes [", begin, ", ", end, ")"), errno);
  }
  for (std::uint64_t at = begin; at < end; at += kZeroBlockBytes) {
    WriteAt(std::span(zero_block).first(std::min<std::uint64_t>(kZeroBlockBytes, end - at)), at);
  }
}

void File::Truncate(std::uint64_t size) const {
  STREAM_STORE_ASSERT(is_open());
  const std::string doing = StrCat("truncating to ", size, " bytes");
  if (size > Size()) {
    CheckFileSizeLimit(path_, doing, size);
  }
  if (RetryInterrupted([&] { return sys().ftruncate(fd_, static_cast<off_t>(size)); }) != 0) {
    ThrowErrno(path_, doing, errno);
  }
}

// A failed sync is kIo for every errno, even ENOSPC: data may be lost, and freeing disk space does
// not bring it back.
void File::SyncData() const {
  STREAM_STORE_ASSERT(is_open());
  if (RetryInterrupted([&] { return sys().fdatasync(fd_); }) == 0) {
    return;
  }
  const int error = errno;
  throw Error(ErrorCode::kIo, Message(path_, "fdatasync", error), error);
}

void File::Sync() const {
  STREAM_STORE_ASSERT(is_open());
  if (RetryInterrupted([&] { return sys().fsync(fd_); }) == 0) {
    return;
  }
  const int error = errno;
  throw Error(ErrorCode::kIo, Message(path_, "fsync", error), error);
}

void File::Close() noexcept {
  if (fd_ < 0) {
    return;
  }
  const int saved = errno;
  sys().close(std::exchange(fd_, -1));  // not retried: Linux closes it even if it reports EINTR
  errno = saved;
}

int File::Release() noexcept { return std::exchange(fd_, -1); }

}  // namespace stream_store::internal

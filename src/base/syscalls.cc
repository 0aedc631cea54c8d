// The table of the real system calls, and the table in use.

#include "base/syscalls.h"

#include <cstdio>

#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

namespace stream_store::internal {
namespace {

static_assert(sizeof(off_t) == 8, "files of a store may exceed 2 GiB: build with 64-bit offsets");

// Wrappers for the calls that are variadic, overloaded or declared with other types.
int OpenAt(int directory_fd, const char* name, int flags, mode_t mode) {
  return ::openat(directory_fd, name, flags, mode);
}

int FileStat(int fd, struct stat* out) { return ::fstat(fd, out); }

int PathStat(const char* path, struct stat* out) { return ::stat(path, out); }

int StatAt(int directory_fd, const char* name, struct stat* out, int flags) {
  return ::fstatat(directory_fd, name, out, flags);
}

int Lock(int fd, int command, struct flock* lock) { return ::fcntl(fd, command, lock); }

int GetLimit(int resource, struct rlimit* out) {
  return ::getrlimit(static_cast<__rlimit_resource_t>(resource), out);
}

int GetUsage(int who, struct rusage* out) {
  return ::getrusage(static_cast<__rusage_who_t>(who), out);
}

constexpr Syscalls kRealTable = {
    .open_at = OpenAt,
    .close = ::close,
    .file_stat = FileStat,
    .path_stat = PathStat,
    .stat_at = StatAt,
    .pread = ::pread,
    .pwrite = ::pwrite,
    .fallocate = ::fallocate,
    .ftruncate = ::ftruncate,
    .fdatasync = ::fdatasync,
    .fsync = ::fsync,
    .mkdir_at = ::mkdirat,
    .unlink_at = ::unlinkat,
    .rename_at2 = ::renameat2,
    .lock = Lock,
    .mmap = ::mmap,
    .munmap = ::munmap,
    .madvise = ::madvise,
    .mprotect = ::mprotect,
    .msync = ::msync,
    .fchmod = ::fchmod,
    .fstatfs = ::fstatfs,
    .getrlimit = GetLimit,
    .getrusage = GetUsage,
    .getrandom = ::getrandom,
    .nanosleep = ::nanosleep,
};

constinit Syscalls table_in_use = kRealTable;

}  // namespace

Syscalls& sys() noexcept { return table_in_use; }

const Syscalls& RealSyscalls() noexcept { return kRealTable; }

}  // namespace stream_store::internal

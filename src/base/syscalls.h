// One table of all system calls that affect files, memory mappings and limits, or wait for disk space.
//
// The library calls them through sys() only. Tests replace entries, to make the n-th call fail or
// to record writes and syncs in a model of a disk (tests/crash). Each entry has the signature and
// the errno rules of the call it is named after.
// Thread rules: sys() may be called from any thread; entries may be replaced only while no other
// thread uses a store.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/vfs.h>

namespace stream_store::internal {

/// Function pointers, one for each call.
struct Syscalls {
  int (*open_at)(int directory_fd, const char* name, int flags, mode_t mode);
  int (*close)(int fd);
  int (*file_stat)(int fd, struct stat* out);
  int (*path_stat)(const char* path, struct stat* out);
  int (*stat_at)(int directory_fd, const char* name, struct stat* out, int flags);
  ssize_t (*pread)(int fd, void* buffer, std::size_t count, off_t offset);
  ssize_t (*pwrite)(int fd, const void* buffer, std::size_t count, off_t offset);
  int (*fallocate)(int fd, int mode, off_t offset, off_t length);
  int (*ftruncate)(int fd, off_t length);
  int (*fdatasync)(int fd);
  int (*fsync)(int fd);
  int (*mkdir_at)(int directory_fd, const char* name, mode_t mode);
  int (*unlink_at)(int directory_fd, const char* name, int flags);
  int (*rename_at2)(int old_fd, const char* old_name, int new_fd, const char* new_name,
                    unsigned flags);
  int (*lock)(int fd, int command, struct flock* lock);  ///< fcntl with F_OFD_SETLK or F_OFD_GETLK
  void* (*mmap)(void* address, std::size_t length, int protection, int flags, int fd, off_t offset);
  int (*munmap)(void* address, std::size_t length);
  int (*madvise)(void* address, std::size_t length, int advice);
  int (*mprotect)(void* address, std::size_t length, int protection);
  int (*msync)(void* address, std::size_t length, int flags);
  int (*fchmod)(int fd, mode_t mode);
  int (*fstatfs)(int fd, struct statfs* out);
  int (*getrlimit)(int resource, struct rlimit* out);
  int (*getrusage)(int who, struct rusage* out);
  ssize_t (*getrandom)(void* buffer, std::size_t count, unsigned flags);
  int (*nanosleep)(const struct timespec* time, struct timespec* left);
};

/// Returns the table in use, which starts as RealSyscalls(). It is constant-initialised, so it
/// works in fork handlers and before main().
Syscalls& sys() noexcept;

/// Returns the table of the real calls.
const Syscalls& RealSyscalls() noexcept;

}  // namespace stream_store::internal

// Every call that touches the world, behind one small table.
//
// The product calls through sys(); tests replace entries to fail the n-th call or to keep a model
// of a disk. Entries have the signature and errno rules of the call they are named after.
#pragma once

#include <cstddef>
#include <cstdint>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/vfs.h>

namespace stream_store::internal {

struct Syscalls {
  int (*open_at)(int directory_fd, const char* name, int flags, mode_t mode);
  int (*close)(int fd);
  int (*file_stat)(int fd, struct stat* out);
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
  int (*fchmod)(int fd, mode_t mode);
  int (*fstatfs)(int fd, struct statfs* out);
  int (*getrlimit)(int resource, struct rlimit* out);
  int (*getrusage)(int who, struct rusage* out);
  ssize_t (*getrandom)(void* buffer, std::size_t count, unsigned flags);
};

/// The table in use. Replace entries only in tests, while no store is open in another thread.
/// Constant-initialised, so that it may be used from a fork handler and before main().
Syscalls& sys() noexcept;

/// A table of the real calls.
const Syscalls& RealSyscalls() noexcept;

}  // namespace stream_store::internal

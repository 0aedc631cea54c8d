// File: an open file descriptor with the path for messages.
//
// Used by base, storage and tests for every file of a store. Reads and writes are complete (short
// system calls are continued), EINTR is retried, and errors are thrown as Error with the path, the
// operation and the reason. Thread rules: const functions may run in several threads at once; reads
// and writes carry their offset, so they do not disturb each other.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include <sys/stat.h>

#include "stream_store/error.h"

namespace stream_store::internal {

/// Throws Error "<path>: <doing>: <strerror(error)>", with the code kNoSpace for ENOSPC, EDQUOT and
/// EFBIG, else kIo. For EMFILE and ENFILE the message also names the limit on open files and how to
/// raise it.
[[noreturn]] void ThrowErrno(const std::string& path, const std::string& doing, int error);

/// Identifies a file on this machine, as long as it exists.
struct FileId {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  bool operator==(const FileId&) const = default;
};

/// Returns the id of the file at `path`; nothing if there is none. Throws Error(kIo), also if the
/// path may not be inspected.
std::optional<FileId> FindFileId(const std::string& path);

/// Tells whether a directory has got or lost entries: both change its time of modification. Changes
/// within one tick of the kernel's clock, some milliseconds, may give equal stamps.
struct FileStamp {
  FileId id;
  std::int64_t modified = 0;  ///< nanoseconds since 1970
  bool operator==(const FileStamp&) const = default;
};

/// Returns the stamp of the file or directory at `path`; nothing if there is none. Throws Error(kIo).
std::optional<FileStamp> FindFileStamp(const std::string& path);

/// Owns a descriptor and closes it on destruction. Movable, not copyable.
class File {
 public:
  /// No file: is_open() is false.
  File() = default;

  /// Takes ownership of `fd`. `path` is used in messages only.
  File(int fd, std::string path) noexcept;
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();

  bool is_open() const noexcept { return fd_ >= 0; }

  /// The descriptor, or -1. Stays owned by this object.
  int fd() const noexcept { return fd_; }

  const std::string& path() const noexcept { return path_; }

  /// Changes the path used in messages, after the directory was renamed.
  void MovedTo(std::string path) { path_ = std::move(path); }

  /// Whether the file is on a memory-backed file system: tmpfs, ramfs or hugetlbfs. False if that
  /// cannot be found out.
  /// REQUIRES: is_open().
  bool InMemory() const noexcept;

  /// Whether the file system frees the space of a file some time after it was deleted or shortened:
  /// Btrfs. False if that cannot be found out.
  /// REQUIRES: is_open().
  bool FreesSpaceLate() const noexcept;

  /// The file's size in bytes, by fstat(). Throws Error(kIo).
  /// REQUIRES: is_open().
  std::uint64_t Size() const;

  /// Throws Error(kIo).
  /// REQUIRES: is_open().
  FileId Id() const;

  struct Facts {
    std::uint64_t size = 0;
    std::uint64_t links = 0;  ///< names that the file has; 0 if it was deleted
    FileId id;
  };

  /// Size(), Links() and Id() with one fstat(). Throws Error(kIo).
  /// REQUIRES: is_open().
  Facts GetFacts() const;

  /// The number of names that the file has: 0 if it was deleted. Throws Error(kIo).
  /// REQUIRES: is_open().
  std::uint64_t Links() const;

  /// Reads up to out.size() bytes from byte `offset`. Returns how many there were before the end of
  /// the file; the rest of `out` is unchanged. Throws Error(kIo).
  /// REQUIRES: is_open().
  std::size_t ReadAt(std::span<std::byte> out, std::uint64_t offset) const;

  /// Writes all of `bytes` from byte `offset`, extending the file if necessary. Throws
  /// Error(kNoSpace, kIo); some of the bytes may then have been written.
  /// REQUIRES: is_open().
  void WriteAt(std::span<const std::byte> bytes, std::uint64_t offset) const;

  /// Allocates disk space for [old_size, size), so that storing through a mapping cannot fail
  /// there. New bytes read as zeros. Uses fallocate(), or writes zeros where that is not supported.
  ///
  /// Throws Error(kNoSpace, kIo). The size may then have grown part of the way; bytes below the old
  /// size are unchanged. RLIMIT_FSIZE is checked first, because exceeding it raises SIGXFSZ.
  /// REQUIRES: is_open().
  void Allocate(std::uint64_t old_size, std::uint64_t size) const;

  /// Makes [begin, end) read as zeros, up to the end of the file; the size does not change. Uses
  /// FALLOC_FL_ZERO_RANGE, or writes zeros where that is not supported. Throws Error(kNoSpace,
  /// kIo).
  /// REQUIRES: is_open().
  void ZeroRange(std::uint64_t begin, std::uint64_t end) const;

  /// Sets the file's size. Throws Error(kNoSpace, kIo).
  /// REQUIRES: is_open().
  void Truncate(std::uint64_t size) const;

  /// Makes the content and size durable (fdatasync). Throws Error(kIo) for every errno.
  /// REQUIRES: is_open().
  void SyncData() const;

  /// As SyncData(), with all metadata (fsync).
  /// REQUIRES: is_open().
  void Sync() const;

  /// Closes the descriptor, if there is one. Keeps errno.
  void Close() noexcept;

  /// Returns the descriptor and gives up its ownership without closing it.
  int Release() noexcept;

 private:
  std::uint32_t FileSystem() const noexcept;
  struct stat Status() const;
  int fd_ = -1;
  std::string path_;
};

}  // namespace stream_store::internal

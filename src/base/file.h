// A file descriptor with its path for messages: whole reads and writes, allocation, syncs. EINTR is
// retried.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "stream_store/error.h"

namespace stream_store::internal {

/// Throws Error(kNoSpace for ENOSPC, EDQUOT, EFBIG; else kIo): "<path>: <doing>: <strerror>".
[[noreturn]] void ThrowErrno(const std::string& path, const std::string& doing, int error);

/// An open file. Movable; closes on destruction.
class File {
 public:
  File() = default;
  File(int fd, std::string path) noexcept;  ///< takes the descriptor over
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();

  bool is_open() const noexcept { return fd_ >= 0; }

  int fd() const noexcept { return fd_; }

  const std::string& path() const noexcept { return path_; }

  /// The path for messages from now on: its directory was renamed.
  void MovedTo(std::string path) { path_ = std::move(path); }

  /// Whether it lies on a memory-backed file system: tmpfs, ramfs, hugetlbfs.
  bool InMemory() const noexcept;

  /// Bytes, by fstat. Throws Error(kIo).
  std::uint64_t Size() const;

  /// Reads up to out.size() bytes at `offset`; returns how many there were before the end. Throws
  /// Error(kIo).
  std::size_t ReadAt(std::span<std::byte> out, std::uint64_t offset) const;

  /// Writes all of `bytes` at `offset`. Throws Error(kNoSpace, kIo).
  void WriteAt(std::span<const std::byte> bytes, std::uint64_t offset) const;

  /// Makes [0, size) allocated, zeros where nothing was: fallocate, or zeros by pwrite where that
  /// is not supported.
  ///
  /// Refuses early beyond RLIMIT_FSIZE, so that no SIGXFSZ is raised. Throws Error(kNoSpace, kIo);
  /// the size may then have grown part of the way, the content below the old size is untouched.
  void Allocate(std::uint64_t old_size, std::uint64_t size) const;

  /// Makes [begin, end) read as zeros (FALLOC_FL_ZERO_RANGE, or pwrite). The size does not change.
  void ZeroRange(std::uint64_t begin, std::uint64_t end) const;

  void Truncate(std::uint64_t size) const;
  void SyncData() const;  ///< fdatasync. Throws Error(kIo).
  void Sync() const;      ///< fsync. Throws Error(kIo).
  void Close() noexcept;
  int Release() noexcept;  ///< gives the descriptor up without closing it

 private:
  int fd_ = -1;
  std::string path_;
};

}  // namespace stream_store::internal

// A shared mapping of a file, reserved beyond its end so that growth needs no remapping.
//
// Touching bytes beyond the file's end is SIGBUS: callers compare with the file size first.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/file.h"

namespace stream_store::internal {

class Mapping {
 public:
  Mapping() = default;

  /// Maps [0, reserve_bytes) of `file`, MAP_SHARED | MAP_NORESERVE. All mappings of a process
  /// share 32 TiB, or a quarter of RLIMIT_AS; each reserves at most a 32nd of what is left of that,
  /// and half as much while the address space is not there, but never below `minimum_bytes`.
  /// Throws Error(kNoSpace) then, Error(kIo).
  Mapping(const File& file, std::uint64_t reserve_bytes, std::uint64_t minimum_bytes,
          bool writable);
  /// Private memory that reads as zeros and is there only where it was touched. Throws
  /// Error(kNoSpace).
  static Mapping Private(std::uint64_t bytes);
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping();

  std::byte* data() const noexcept { return data_; }

  std::uint64_t size() const noexcept { return size_; }  ///< reserved bytes

  /// Faults [begin, end) in for writing (MADV_POPULATE_WRITE). False if the kernel cannot or there
  /// is no room.
  bool Populate(std::uint64_t begin, std::uint64_t end) const noexcept;

  /// Read-only from now on. Async-signal-safe: one mprotect.
  void ProtectReadOnly() const noexcept;

 private:
  std::byte* data_ = nullptr;
  std::uint64_t size_ = 0;
};

}  // namespace stream_store::internal

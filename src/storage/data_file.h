// DataFile: one growable file of a store (`values`, `records`, `layouts` or `hints`) and its
// mapping.
//
// The mapping reserves address space far beyond the file's end, so growing the file moves no
// pointer. Only a file that outgrows its reservation is mapped again; readers that still use the
// old mapping keep it alive by its shared pointer.
//
// Used by StoreFiles. Thread rules: bytes() from any thread. In a writer, GrowTo() and Remap() are
// called under the writer's state mutex; in an attached reader, RefreshBytes() and Remap() under
// the mutex of ReadSource. Other threads take the mapping from StoreFiles::maps().
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/file.h"
#include "base/mapping.h"

namespace stream_store::internal {

/// A growable file and its mapping.
class DataFile {
 public:
  /// Takes ownership of the open file and maps it with up to `reserve_bytes` of address space.
  /// Throws Error(kNoSpace, kIo).
  DataFile(File file, std::uint64_t reserve_bytes, bool writable);

  const File& file() const noexcept { return file_; }

  File& file() noexcept { return file_; }

  const std::shared_ptr<const Mapping>& mapping() const noexcept { return mapping_; }

  /// The first byte of the mapping. Valid until Remap() or as long as mapping() is kept.
  std::byte* data() const noexcept { return mapping_->data(); }

  /// Bytes that the file is known to have: all of them may be loaded.
  std::uint64_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }

  /// Bytes of address space. If the file is larger, only these are mapped.
  std::uint64_t reserved() const noexcept { return mapping_->size(); }

  /// Updates bytes() from the file's size, which another process may have changed, and returns it.
  /// Throws Error(kIo).
  std::uint64_t RefreshBytes();

  /// Grows the file to `bytes`, allocated on disk; does nothing if it is as large. Throws
  /// Error(kNoSpace, kIo); the part that was allocated before the error is given back then.
  void GrowTo(std::uint64_t bytes);

  /// Gives the space after `bytes` back to the file system. Returns whether it did: a failure
  /// leaves the file as it is, and does no harm. No byte after `bytes` may be in use, by readers of
  /// other processes either. REQUIRES: bytes <= this->bytes().
  bool ShortenTo(std::uint64_t bytes) noexcept;

  /// Allocates [begin, bytes()) on disk. A copied or crashed store may have holes there, and
  /// storing into a hole of a full disk raises SIGBUS. Throws Error(kNoSpace, kIo).
  void AllocateTail(std::uint64_t begin);

  /// Maps the file again with a reservation of at least `bytes`, if possible twice the old one.
  /// Throws Error(kNoSpace, kIo).
  void Remap(std::uint64_t bytes);

  /// Sets the size of the file. Throws Error(kNoSpace, kIo).
  void Truncate(std::uint64_t bytes);

  /// Closes the file and gives up the mapping, which stays as long as others keep it. Afterwards
  /// only bytes() and the destructor may be called.
  void Release() noexcept {
    file_.Close();
    mapping_.reset();
  }

  /// Makes this and later mappings read-only. Async-signal-safe: called after fork() in the child.
  void ProtectReadOnly() noexcept {
    writable_ = false;
    mapping_->ProtectReadOnly();
  }

 private:
  File file_;
  bool writable_;
  bool in_memory_;
  std::shared_ptr<const Mapping> mapping_;
  std::atomic<std::uint64_t> bytes_{0};
};

}  // namespace stream_store::internal

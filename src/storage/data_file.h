// DataFile: one growable file of a store (`values`, `records`, `layouts` or `hints`) and its
// mapping.
//
// The mapping is reserved far beyond the file's end, so growth moves no pointer. Only a file that
// outgrows its reservation is mapped anew; whoever still reads through the old mapping keeps it
// alive by its shared pointer. Thread rules: bytes() from any thread; GrowTo() and Remap() under
// the writer's state mutex; mapping() is swapped by Remap() only, under the mutex of Files.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/file.h"
#include "base/mapping.h"

namespace stream_store::internal {

class DataFile {
 public:
  /// Takes the open file over and maps it with up to `reserve_bytes` of address space.
  DataFile(File file, std::uint64_t reserve_bytes, bool writable);

  const File& file() const noexcept { return file_; }

  File& file() noexcept { return file_; }

  const std::shared_ptr<const Mapping>& mapping() const noexcept { return mapping_; }

  std::byte* data() const noexcept { return mapping_->data(); }

  /// Bytes the file is known to have: allocated for a writer, seen by fstat for a reader.
  std::uint64_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }

  std::uint64_t reserved() const noexcept { return mapping_->size(); }

  /// Looks at the file's size again (readers).
  std::uint64_t RefreshBytes();

  /// Allocates up to `bytes`; after ENOSPC once more up to `needed` only. Throws Error(kNoSpace,
  /// kIo); bytes() then says what there is.
  void GrowTo(std::uint64_t bytes, std::uint64_t needed);

  /// Makes sure that [begin, bytes()) is allocated, not a hole: what a copied or crashed store may
  /// have.
  void AllocateTail(std::uint64_t begin);

  /// Maps the file again so that `bytes` fit.
  void Remap(std::uint64_t bytes);

  void Truncate(std::uint64_t bytes);

  /// Now and when mapped anew. Async-signal-safe.
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

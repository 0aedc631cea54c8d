// DataFile: one kind of data of a store (`values`, `records`, `layouts` or hints): its chunk files,
// and their mapping.
//
// All chunks are mapped next to each other into one range of address space, so that a byte's
// address follows from its number, and code that reads or appends never sees a chunk border. The
// range extends far beyond the last chunk, so growing moves no pointer. Only a DataFile that
// outgrows its range is mapped again; readers that still use the old range keep it alive.
//
// A writer keeps no descriptor of a data file: chunks are opened again by name to grow, and synced
// through the mapping. A reader keeps that of the last chunk, to see it grow.
//
// A writer makes chunks ahead of their use, and deletes them again if they stay unused; the next one
// makes others of the same names. So a reader maps no chunk before it needs one of its bytes: chunks
// with published content stay. Nobody knows how far the published layouts reach, so a reader maps
// all of those, and replaces the range if the last chunk is not the file of that name any more.
//
// Used by StoreFiles. Thread rules: bytes(), range(), data(), Sync() and InPlace() from any thread.
// In a writer, all others are called under the writer's state mutex; in an attached reader under the
// mutex of ReadSource. A thread that does not hold that mutex must keep the result of range() while
// it uses the memory. All bytes are numbered from the first one that the store ever had.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/chunk_range.h"
#include "base/file.h"
#include "base/fork_mutex.h"
#include "storage/chunk_files.h"

namespace stream_store::internal {

class DataFile {
 public:
  /// Opens and maps all chunks from the one that has byte `first_byte` on.
  ///
  /// directory      must outlive this object.
  /// reserve_bytes  address space to reserve, if there is enough.
  /// Throws Error(kCorrupt) if the first chunk is missing or one is longer than a chunk,
  /// Error(kNoSpace, kIo).
  struct Place {
    const Directory& directory;
    const char* kind;
    std::uint64_t chunk_bytes;
    std::uint64_t first_byte;
    std::uint64_t reserve_bytes;
  };

  DataFile(const Place& place, bool writable);

  /// The directory and the kind, for messages.
  std::string path() const { return files_.path(); }

  const ChunkFiles& files() const noexcept { return files_; }

  /// The current mapping.
  std::shared_ptr<ChunkRange> range() const EXCLUDES(mutex_) {
    const ForkMutexLock lock(mutex_);
    return range_;
  }

  /// The address that byte 0 would have. Add only numbers of bytes that are mapped. Valid until
  /// the range is replaced or as long as range() is kept.
  std::byte* data() const noexcept {
    return reinterpret_cast<std::byte*>(range()->origin());  // NOLINT(performance-no-int-to-ptr)
  }

  /// Whether this is the DataFile of a writer. Then all chunks are mapped.
  bool writable() const noexcept { return writable_; }

  /// The end of the bytes that are known to be in files and are mapped: all from the first mapped
  /// chunk to here may be loaded.
  std::uint64_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }

  /// The end of the address space.
  std::uint64_t reserved() const noexcept { return range()->end_byte(); }

  /// Updates bytes() from the files, which another process may have changed, and returns it. Maps
  /// the chunks that are new, in a reader up to that of byte `needed` - 1. A range that is too short,
  /// or has a file that was replaced, is replaced. Throws Error(kCorrupt, kNoSpace, kIo).
  std::uint64_t RefreshBytes(std::uint64_t needed = ~std::uint64_t{0});

  /// Opens and maps the files again from the chunk that has `first_byte` on, when those before are
  /// gone. Throws as the constructor; nothing has changed then.
  void Restart(std::uint64_t first_byte);

  /// As ChunkFiles::ReadAt().
  std::size_t ReadAt(std::span<std::byte> out, std::uint64_t offset) const {
    return files_.ReadAt(out, offset);
  }

  /// Grows the files to `bytes`, allocated on disk and mapped, creating chunks as needed; does
  /// nothing if they are as large. Throws Error(kNoSpace, kIo); what was allocated before the error
  /// is given back then. REQUIRES: bytes <= reserved().
  void GrowTo(std::uint64_t bytes);

  /// Gives the space after `bytes` back to the file system. Returns whether it did: a failure
  /// leaves the files as they are, and does no harm. No byte after `bytes` may be in use, by readers
  /// of other processes either. REQUIRES: bytes <= this->bytes().
  bool ShortenTo(std::uint64_t bytes) noexcept;

  /// As ShortenTo(), but throws Error(kIo).
  void Truncate(std::uint64_t bytes);

  /// Allocates [begin, bytes()) on disk. A copied or crashed store may have holes there, and
  /// storing into a hole of a full disk raises SIGBUS. Throws Error(kNoSpace, kIo).
  void AllocateTail(std::uint64_t begin);

  /// Writes zeros to [begin, bytes()). Throws Error(kNoSpace, kIo).
  void ZeroTail(std::uint64_t begin);

  /// Forgets the chunks that lie before `byte`: their files are about to be deleted.
  void DropBefore(std::uint64_t byte) noexcept;

  /// Whether chunk files were created since the last call.
  bool TakeCreated() noexcept { return created_.exchange(false, std::memory_order_acq_rel); }

  /// Lets TakeCreated() return true: a writer that died may have created files.
  void NoteCreated() noexcept { created_.store(true, std::memory_order_release); }

  /// Maps the files again, from the chunk that has `first_byte` on, with a range that reaches to
  /// `bytes` or further, if possible twice as large as the old one. Throws Error(kNoSpace, kIo).
  void Remap(std::uint64_t first_byte, std::uint64_t bytes);

  /// Deletes the chunk files that do not count: those before `byte`, and those after a short one.
  /// Returns whether there were any. Throws Error(kIo).
  bool UnlinkLeftovers(std::uint64_t byte) const;

  /// Whether the file of the last chunk is still the one of that name.
  bool InPlace() const;

  /// Keeps no descriptor open from now on.
  void Park() const { files_.Park(); }

  /// Gives up the mapping, which stays as long as others keep it, and the descriptor. Afterwards
  /// only bytes() and the destructor may be called.
  void Release() noexcept;

  /// Makes this and later mappings read-only. Async-signal-safe: called after fork() in the child.
  void ProtectReadOnly() noexcept NO_THREAD_SAFETY_ANALYSIS {
    writable_ = false;
    range_->ProtectReadOnly();
  }

 private:
  std::uint64_t ChunkOf(std::uint64_t byte) const noexcept { return byte / files_.chunk_bytes(); }

  std::uint64_t EndToMap(std::uint64_t needed) const noexcept;
  void MapNext(ChunkRange& range, const File& file, std::uint64_t chunk) EXCLUDES(mutex_);
  ChunkFiles::Chunk MapFrom(ChunkRange& range, std::uint64_t chunk, std::uint64_t end) const;
  std::shared_ptr<ChunkRange> NewRange(std::uint64_t chunk, std::uint64_t end,
                                       std::uint64_t wanted) const;
  void Replace(std::uint64_t chunk, std::uint64_t end, std::shared_ptr<ChunkRange> range)
      EXCLUDES(mutex_);
  ChunkFiles::Chunk last() const EXCLUDES(mutex_);
  void SetLast(const ChunkFiles::Chunk& last) EXCLUDES(mutex_);
  File CreateChunk(std::uint64_t chunk) const;
  void Extend(std::uint64_t from, std::uint64_t to);

  ChunkFiles files_;
  bool writable_;
  bool in_memory_;
  // Shared with the ranges, so never held when one of their functions is called.
  const std::shared_ptr<ForkMutex> owned_mutex_;
  ForkMutex& mutex_;
  std::shared_ptr<ChunkRange> range_ GUARDED_BY(mutex_);
  ChunkFiles::Chunk last_ GUARDED_BY(mutex_);  // the last one that is mapped and stays
  std::atomic<std::uint64_t> bytes_{0};
  std::atomic<bool> created_{false};
};

}  // namespace stream_store::internal

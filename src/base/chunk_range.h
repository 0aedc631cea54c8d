// ChunkRange: the chunks of one kind of file, mapped next to each other into one range of address
// space.
//
// A store keeps each kind of data in files of a fixed size, the chunks. Code that reads or appends
// sees one array: the address of a byte follows from its number in the whole sequence, and a chunk
// border needs no test. Used by storage, one range for each kind.
//
// Address space is reserved for many chunks when the range is made, without access to it. Map()
// puts a chunk into its place. Chunks leave from the front: a Hold keeps all chunks from its first
// one on mapped, and a chunk is unmapped as soon as no Hold needs it. The kernel keeps the content
// of an unlinked file until then, so the owner of a Hold reads correct data.
//
// Thread rules: every function may be called from any thread. Loading from bytes beyond the end of
// a file raises SIGBUS, so callers compare with its size first. Invariants:
//   1. The mapped chunks are consecutive: [mapped_begin(), mapped_end()).
//   2. A chunk that a Hold covers stays mapped, unless UnmapFrom() takes it away at the end.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/file.h"
#include "base/fork_mutex.h"
#include "base/mapping.h"

namespace stream_store::internal {

class ChunkRange : public std::enable_shared_from_this<ChunkRange> {
 public:
  /// Keeps the chunks from a first one on mapped while it exists. Released from any thread.
  using Hold = std::shared_ptr<const void>;

  /// How much address space a range has. It may end inside a chunk, of which only a part can be
  /// mapped then.
  struct Space {
    std::uint64_t chunk_bytes = 0;   ///< a power of two, at least a page
    std::uint64_t first_chunk = 0;   ///< number of the first chunk that the range can map
    std::uint64_t wanted_bytes = 0;  ///< bytes to reserve, if there is enough address space
    std::uint64_t least_bytes = 1;   ///< the fewest that are of use
  };

  /// Reserves address space; `name` stands for it in messages. Throws Error(kNoSpace) if not even
  /// space.least_bytes fit, Error(kIo).
  ///
  /// mutex  guards the range, and no other state that the caller could need at the same time. Ranges
  ///        that replace each other may share one: a ForkMutex may not be made while the thread
  ///        holds another. Null for one of its own.
  static std::shared_ptr<ChunkRange> Reserve(const Space& space, std::string name,
                                             std::shared_ptr<ForkMutex> mutex = nullptr);

  /// The bytes of one chunk.
  std::uint64_t chunk_bytes() const noexcept { return chunk_bytes_; }

  /// The first chunk that has a place here.
  std::uint64_t first_chunk() const noexcept { return first_chunk_; }

  /// The bytes that have a place here: [begin_byte(), end_byte()).
  std::uint64_t begin_byte() const noexcept { return first_chunk_ * chunk_bytes_; }

  std::uint64_t end_byte() const noexcept { return begin_byte() + space_.size(); }

  /// The address of a byte, counted from the first byte of chunk 0. It may be loaded if its chunk
  /// is mapped and has it. REQUIRES: begin_byte() <= byte && byte <= end_byte().
  std::byte* At(std::uint64_t byte) const noexcept;

  /// The address that byte 0 would have: adding the number of a mapped byte gives its address. The
  /// result itself need not be a valid address, so it is an integer.
  std::uintptr_t origin() const noexcept {
    return reinterpret_cast<std::uintptr_t>(space_.data()) - first_chunk_ * chunk_bytes_;
  }

  /// Maps the file of the next chunk, mapped_end(), or of any chunk if none is mapped; of the last
  /// chunk, as much as has a place. The file may be shorter than a chunk, and may grow later. Throws Error(kNoSpace) if the process has too
  /// many mappings, Error(kIo); nothing has changed then.
  /// REQUIRES: the first byte of the chunk has a place here.
  void Map(const File& file, std::uint64_t chunk, bool writable) EXCLUDES(mutex_);

  std::uint64_t mapped_begin() const EXCLUDES(mutex_);
  std::uint64_t mapped_end() const EXCLUDES(mutex_);

  /// Keeps the chunks from `chunk` on, also those that are mapped later.
  /// REQUIRES: chunk >= mapped_begin().
  Hold HoldFrom(std::uint64_t chunk) EXCLUDES(mutex_);

  /// Makes the pages of bytes [begin, end) present and writable, as Mapping::Populate(). REQUIRES:
  /// as At().
  bool Populate(std::uint64_t begin, std::uint64_t end) const noexcept;

  /// Makes bytes [begin, end) durable, and the sizes of the files that have them. Each chunk is
  /// synced on its own (Mapping::Sync). Chunks before mapped_begin() are skipped, because they were
  /// dropped; so is a chunk that a Hold of another thread stops covering meanwhile. Throws Error(kIo)
  /// at the first chunk that cannot be synced; the message starts with `path` and the number of the
  /// chunk. Other functions may run meanwhile.
  /// REQUIRES: begin <= end, and end is at most the end of chunk mapped_end() - 1.
  void Sync(std::uint64_t begin, std::uint64_t end, const std::string& path) const EXCLUDES(mutex_);

  /// Takes away the chunks from `chunk` on, at the end of the range; those before it stay. Their
  /// places may be mapped again. Does nothing if none of them is mapped.
  /// REQUIRES: chunk >= mapped_begin(), and no thread reads the chunks that leave, Hold or not.
  void UnmapFrom(std::uint64_t chunk) EXCLUDES(mutex_);

  /// Makes all mapped chunks read-only, permanently. Async-signal-safe: used after fork() in the
  /// child, where no other thread exists.
  void ProtectReadOnly() const noexcept NO_THREAD_SAFETY_ANALYSIS;

 private:
  ChunkRange(const Space& space, std::string name, std::shared_ptr<ForkMutex> mutex);
  void EndHold(std::uint64_t chunk) noexcept EXCLUDES(mutex_);

  const std::uint64_t chunk_bytes_;
  const std::uint64_t first_chunk_;
  const std::string name_;
  Mapping::Part PartOf(std::uint64_t begin, std::uint64_t end) const noexcept;
  Mapping space_;
  const std::shared_ptr<ForkMutex> owned_mutex_;
  ForkMutex& mutex_;
  std::uint64_t mapped_begin_ GUARDED_BY(mutex_);
  std::uint64_t mapped_end_ GUARDED_BY(mutex_);
  std::map<std::uint64_t, std::uint64_t> holds_ GUARDED_BY(mutex_);  // first chunk -> how many
};

}  // namespace stream_store::internal

// ChunkFiles: the files of one kind of data in a store's directory, read as one sequence of bytes.
//
// Each kind is split into files of one fixed size, named `values.000000000000`, `values.000000000001`
// and so on. Chunks leave from the front when rows are dropped, so the first file that counts may
// have any number. The sequence ends at the first file that is shorter than a chunk, or before the
// first that is missing: files after that were left over by a crash.
//
// Used by DataFile, and by code that reads with pread() because it must not trust the files:
// recovery, verify, repair, copies and safe reads.
//
// Thread rules: const functions may be called from any thread. One descriptor is kept open until Park(),
// that of the chunk that was used last.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "base/directory.h"
#include "base/fork_mutex.h"

namespace stream_store::internal {

/// Digits of the number in the name of a chunk, so that names sort by their numbers. At 100 MB/s,
/// chunks of 1 MiB use up twelve digits in 332 years.
inline constexpr int kChunkDigits = 12;

/// Chunks have numbers below this.
inline constexpr std::uint64_t kMaxChunks = 1'000'000'000'000;

/// Returns the name of a chunk's file, such as "values.000000000012".
std::string ChunkName(std::string_view kind, std::uint64_t chunk);

/// Returns the number in the name of a chunk of this kind; nothing if it is another name.
std::optional<std::uint64_t> ChunkNumber(std::string_view kind, std::string_view name) noexcept;

class ChunkFiles {
 public:
  /// Refers to the chunks from number `first` on; end() is begin() until Refresh(). `directory`
  /// must outlive this object.
  /// REQUIRES: chunk_bytes is a power of two.
  ChunkFiles(const Directory& directory, std::string kind, std::uint64_t chunk_bytes,
             std::uint64_t first);

  /// Finds out how far the files reach: there may be more of them since the last call, and the last
  /// one may be longer, or shorter.
  ///
  /// Throws Error(kCorrupt) if the first one is missing, or one is longer than a chunk; Error(kIo).
  void Refresh() EXCLUDES(mutex_);

  /// Refers to the chunks from number `first` on instead; end() is begin() until Refresh().
  void Restart(std::uint64_t first) EXCLUDES(mutex_);

  /// Refers to the chunks from number `first` on, because those before were dropped. REQUIRES: not
  /// before the first one.
  void DropBefore(std::uint64_t first) noexcept {
    STREAM_STORE_ASSERT(first >= first_.load(std::memory_order_relaxed));
    first_.store(first, std::memory_order_relaxed);
  }

  /// The number of the first byte that a file has.
  std::uint64_t begin() const noexcept {
    return first_.load(std::memory_order_relaxed) * chunk_bytes_;
  }

  /// The number of the byte after the last one that a file has.
  std::uint64_t end() const EXCLUDES(mutex_);

  /// One of the files.
  struct Chunk {
    std::uint64_t number = 0;
    FileId id;
    bool operator==(const Chunk&) const = default;
  };

  /// The last file of the sequence, as the last Refresh() found it.
  Chunk last() const EXCLUDES(mutex_);

  /// Reads up to out.size() bytes from byte `offset` of the sequence, across chunks. Returns how
  /// many there were before the first one that no file has; the rest of `out` is unchanged. Throws
  /// Error(kIo).
  std::size_t ReadAt(std::span<std::byte> out, std::uint64_t offset) const EXCLUDES(mutex_);

  /// Writes bytes to a place of the sequence, creating the files that are missing. Throws
  /// Error(kNoSpace, kIo).
  void WriteAt(std::span<const std::byte> bytes, std::uint64_t offset) const EXCLUDES(mutex_);

  /// Creates the first file, empty. Throws Error(kAlreadyExists, kNoSpace, kIo).
  void CreateFirst() const;

  /// Writes all files to disk. Throws Error(kIo).
  void Sync() const EXCLUDES(mutex_);

  /// Writes the file that has byte `offset`, and all later ones, to disk. Throws Error(kIo).
  void SyncFrom(std::uint64_t offset) const EXCLUDES(mutex_);

  /// Opens or creates the file of a chunk. Throws Error(kNotFound, kAlreadyExists), Error(kNoSpace,
  /// kIo).
  File Open(std::uint64_t chunk, bool writable) const;
  File Create(std::uint64_t chunk) const;

  /// Opens the file of a chunk for writing, and creates it if it is missing. Throws Error(kNoSpace,
  /// kIo).
  File OpenOrCreate(std::uint64_t chunk) const;

  /// Whether there is a file of the chunk. Throws Error(kIo).
  bool Exists(std::uint64_t chunk) const {
    return directory_.Contains(ChunkName(kind_, chunk).c_str());
  }

  /// Deletes the file of a chunk, if there is one. Throws Error(kIo).
  void Unlink(std::uint64_t chunk) const EXCLUDES(mutex_);

  /// The numbers of all files of this kind in the directory, in order. Throws Error(kIo).
  std::vector<std::uint64_t> Numbers() const;

  /// Closes the descriptor that is kept open.
  void CloseFile() const EXCLUDES(mutex_);

  /// Keeps no descriptor open from now on.
  void Park() const EXCLUDES(mutex_) {
    parked_.store(true, std::memory_order_relaxed);
    CloseFile();
  }

  /// The directory and the kind, such as "runs/a/values", for messages.
  std::string path() const;

  /// The path of the file where the sequence ended at the last Refresh(), or where the next one is
  /// missing, for messages.
  std::string end_path() const EXCLUDES(mutex_);

  const std::string& kind() const noexcept { return kind_; }

  std::uint64_t chunk_bytes() const noexcept { return chunk_bytes_; }

 private:
  struct OpenChunk {
    std::uint64_t number;
    bool writable;
    File file;
  };

  std::shared_ptr<const OpenChunk> Use(std::uint64_t chunk, bool writable) const EXCLUDES(mutex_);
  std::shared_ptr<const OpenChunk> UseNamed(std::uint64_t chunk, File::Facts& facts) const
      EXCLUDES(mutex_);

  const Directory& directory_;
  const std::string kind_;
  const std::uint64_t chunk_bytes_;
  std::atomic<std::uint64_t> first_;
  mutable std::atomic<bool> parked_{false};
  mutable ForkMutex mutex_{ForkMutex::Rank::kInner};
  std::uint64_t end_ GUARDED_BY(mutex_);
  Chunk last_ GUARDED_BY(mutex_);
  mutable std::shared_ptr<const OpenChunk> open_ GUARDED_BY(mutex_);
};

}  // namespace stream_store::internal

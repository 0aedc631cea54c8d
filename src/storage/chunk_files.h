// ChunkFiles: the files of one kind of data in a store's directory, read as one sequence of bytes.
//
// `values`, `records`, `layouts` and the hints are each split into files of one fixed size, named
// `values.0000000000`, `values.0000000001` and so on. Chunks leave from the front when rows are
// dropped, so the first file may have any number. Only the last one may be shorter than a chunk.
//
// Used by code that reads with pread() because it must not trust the files: recovery, verify,
// repair, copies and safe reads. Code that trusts them uses the mappings instead.
//
// Thread rules: const functions may be called from any thread. One descriptor is kept open, that of
// the chunk that was read last.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/directory.h"
#include "base/fork_mutex.h"

namespace stream_store::internal {

/// Digits of the number in the name of a chunk: 2^51 bytes in chunks of 1 MiB are 2^31 chunks, so
/// that names sort by their numbers for the life of a store.
inline constexpr int kChunkDigits = 10;

/// Returns the name of a chunk's file, such as "values.0000000012".
std::string ChunkName(std::string_view kind, std::uint64_t chunk);

/// Returns the number in the name of a chunk of this kind; nothing if it is another name.
std::optional<std::uint64_t> ChunkNumber(std::string_view kind, std::string_view name) noexcept;

/// The chunks [first, end) of one kind, without gaps. `last_bytes` is the size of the last one.
struct ChunkList {
  std::uint64_t first = 0;
  std::uint64_t end = 0;
  std::uint64_t last_bytes = 0;
};

class ChunkFiles {
 public:
  /// Lists the chunks. `directory` must outlive this object. Throws as Refresh().
  /// REQUIRES: chunk_bytes is a power of two.
  ChunkFiles(const Directory& directory, std::string kind, std::uint64_t chunk_bytes);

  /// Lists the chunks again: they may have become more, or less.
  ///
  /// Throws Error(kCorrupt) if there is none, if one in the middle is missing or has a size other
  /// than that of a chunk, or if the last one is longer than a chunk; Error(kIo).
  void Refresh() EXCLUDES(mutex_);

  /// The number of the first byte that a file has.
  std::uint64_t begin() const EXCLUDES(mutex_);

  /// The number of the byte after the last one that a file has.
  std::uint64_t end() const EXCLUDES(mutex_);

  /// Reads up to out.size() bytes from byte `offset` of the sequence, across chunks. Returns how
  /// many there were before the first one that no file has; the rest of `out` is unchanged. Throws
  /// Error(kIo).
  std::size_t ReadAt(std::span<std::byte> out, std::uint64_t offset) const EXCLUDES(mutex_);

  /// The directory and the kind, such as "runs/a/values", for messages.
  std::string path() const;

  std::uint64_t chunk_bytes() const noexcept { return chunk_bytes_; }

 private:
  struct OpenChunk {
    std::uint64_t number;
    File file;
  };

  std::shared_ptr<const OpenChunk> Open(std::uint64_t chunk) const EXCLUDES(mutex_);

  const Directory& directory_;
  const std::string kind_;
  const std::uint64_t chunk_bytes_;
  mutable ForkMutex mutex_{ForkMutex::Rank::kInner};
  ChunkList list_ GUARDED_BY(mutex_);
  mutable std::shared_ptr<const OpenChunk> open_ GUARDED_BY(mutex_);
};

}  // namespace stream_store::internal

// ChunkSet: the chunk files of all kinds of one store, and KindReader, which reads those of one kind.
//
// Used by code that creates, copies or verifies stores. Thread rules: those of ChunkFiles.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include "base/assert.h"
#include "storage/chunk_files.h"
#include "storage/kinds.h"

namespace stream_store::internal {

class ChunkSet {
 public:
  /// Refers to the files of a store whose retained part begins at `begin`. `directory` must outlive
  /// this object.
  ChunkSet(const Directory& directory, std::uint64_t chunk_bytes, const Begin& begin)
      : files_{Make(directory, chunk_bytes, begin, Kind::kLayouts),
               Make(directory, chunk_bytes, begin, Kind::kPositionHints),
               Make(directory, chunk_bytes, begin, Kind::kRowHints),
               Make(directory, chunk_bytes, begin, Kind::kValues),
               Make(directory, chunk_bytes, begin, Kind::kRecords)} {}

  const ChunkFiles& operator[](Kind kind) const noexcept { return files_[Index(kind)]; }

  ChunkFiles& operator[](Kind kind) noexcept { return files_[Index(kind)]; }

 private:
  static ChunkFiles Make(const Directory& directory, std::uint64_t chunk_bytes, const Begin& begin,
                         Kind kind) {
    return {directory, KindName(kind), chunk_bytes,
            FirstChunk(FirstBytes(begin)[Index(kind)], chunk_bytes)};
  }

  std::array<ChunkFiles, kKinds> files_;
};

/// Reads the bytes [begin(), end()) of one kind with pread(). Of an open store, it reads bytes whose
/// file was dropped meanwhile from the mapping that a View keeps.
class KindReader {
 public:
  KindReader() = default;

  /// Reads up to the end of the files, which must outlive this object.
  explicit KindReader(const ChunkFiles& files)
      : files_(&files), begin_(files.begin()), end_(files.end()) {}

  /// Reads [begin, end), where the byte with number 0 would be mapped at `origin`.
  KindReader(const ChunkFiles& files, const std::byte* origin, std::uint64_t begin,
             std::uint64_t end)
      : files_(&files), origin_(origin), begin_(begin), end_(end) {}

  std::uint64_t begin() const noexcept { return begin_; }

  std::uint64_t end() const noexcept { return end_; }

  const std::string path() const { return files_->path(); }

  /// Reads up to out.size() bytes from `offset`. Returns how many there were. Throws Error(kIo).
  std::size_t ReadAt(std::span<std::byte> out, std::uint64_t offset) const {
    STREAM_STORE_ASSERT(files_ != nullptr);
    std::size_t done = files_->ReadAt(out, offset);
    while (done < out.size() && WasDropped(offset + done)) {
      const std::uint64_t at = offset + done;
      const std::uint64_t chunk_end = (at / files_->chunk_bytes() + 1) * files_->chunk_bytes();
      const std::uint64_t part =
          std::min<std::uint64_t>(out.size() - done, std::min(chunk_end, end_) - at);
      std::memcpy(out.data() + done, origin_ + at, part);
      done += part;
      done += files_->ReadAt(out.subspan(done), offset + done);
    }
    return done;
  }

 private:
  // Whether the mapping has the byte, and its file is gone. A file that is there, but ends before the
  // byte, has been shortened since it was mapped: loading from the mapping would end the process.
  bool WasDropped(std::uint64_t byte) const {
    return origin_ != nullptr && begin_ <= byte && byte < end_ &&
           !files_->Exists(byte / files_->chunk_bytes());
  }

  const ChunkFiles* files_ = nullptr;
  const std::byte* origin_ = nullptr;
  std::uint64_t begin_ = 0;
  std::uint64_t end_ = 0;
};

}  // namespace stream_store::internal

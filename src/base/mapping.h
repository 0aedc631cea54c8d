// Mapping: a shared mapping of a file that reserves address space beyond the file's end.
//
// A store's files grow while readers hold pointers into them. The reservation is much larger than
// the file, so a growth needs no new mapping and moves no pointer. Used by DataFile, Control and
// SafeCopy. Thread rules: const functions from any thread.
//
// Loading or storing beyond the file's end raises SIGBUS, so callers compare with the size of the
// file first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/file.h"

namespace stream_store::internal {

class Mapping {
 public:
  /// Maps nothing: data() is null and size() is 0.
  Mapping() = default;

  /// Maps the first bytes of `file`, shared with other processes (MAP_SHARED | MAP_NORESERVE).
  ///
  /// reserve_bytes  address space to reserve, if there is enough.
  /// minimum_bytes  the least that is of use; the reservation never gets smaller than this.
  ///
  /// All mappings of a process share 32 TiB of address space, or a quarter of RLIMIT_AS. Each one
  /// reserves at most 1/32 of the part that is still free, and halves its reservation as long as
  /// the kernel refuses it. Throws Error(kNoSpace) if not even minimum_bytes can be mapped; if the
  /// process has as many mappings as it may, the message names vm.max_map_count. Throws Error(kIo)
  /// for other errors.
  Mapping(const File& file, std::uint64_t reserve_bytes, std::uint64_t minimum_bytes,
          bool writable);

  /// A part of the memory, in bytes from its start. Both are multiples of the page size, except for
  /// Sync().
  struct Part {
    std::uint64_t begin = 0;
    std::uint64_t bytes = 0;
  };

  /// Reserves address space without access to it, for MapFile(). The sizes are those of the
  /// constructor, and so are the errors; `path` stands for the memory in messages.
  static Mapping Reserve(const std::string& path, std::uint64_t reserve_bytes,
                         std::uint64_t minimum_bytes);

  /// Returns `bytes` of private memory that reads as zeros. Only pages that are touched take
  /// memory. Throws Error(kNoSpace).
  static Mapping Private(std::uint64_t bytes);

  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;

  /// Unmaps the memory; pointers into it become invalid.
  ~Mapping();

  std::byte* data() const noexcept { return data_; }

  /// Bytes of address space reserved: often far more than the file has.
  std::uint64_t size() const noexcept { return size_; }

  /// Makes the pages that hold [begin, end) present and writable, so that stores into them do not
  /// fault (MADV_POPULATE_WRITE). Returns false if the kernel does not support that or has no
  /// memory; the pages are then faulted in when they are touched.
  bool Populate(std::uint64_t begin, std::uint64_t end) const noexcept;

  /// Maps a file in place of a part of the memory, from its first byte on. Pointers into the rest
  /// stay valid. Throws Error(kNoSpace) if the process has too many mappings, with a message that
  /// names vm.max_map_count, or Error(kIo); nothing has changed then.
  /// REQUIRES: the part is inside the memory.
  void MapFile(const File& file, Part part, bool writable) const;

  /// Makes the pages of the file that are mapped into a part of the memory durable, and the size of
  /// the file (msync with MS_SYNC). Rounds the part outwards to whole pages, so it may begin and end
  /// anywhere. All of it must be mapped from one file. Needs no descriptor, and throws Error(kIo) for
  /// every errno, as File::SyncData(); `path` names the file in the message.
  /// REQUIRES: the part is inside the memory.
  void Sync(Part part, const std::string& path) const;

  /// Takes away access to a part of the memory and keeps its address space reserved.
  /// REQUIRES: the part is inside the memory.
  void Unmap(Part part) const noexcept;

  /// Makes a part of the memory read-only. Async-signal-safe.
  /// REQUIRES: the part is inside the memory.
  void ProtectReadOnly(Part part) const noexcept;

  /// Makes the memory read-only, permanently. Async-signal-safe: used after fork() in the child.
  void ProtectReadOnly() const noexcept;

 private:
  struct Request;
  Mapping(const std::string& path, const Request& request);

  std::byte* data_ = nullptr;
  std::uint64_t size_ = 0;
};

}  // namespace stream_store::internal

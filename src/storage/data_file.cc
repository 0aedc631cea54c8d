#include "storage/data_file.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/assert.h"
#include "base/cgroup.h"
#include "base/str_cat.h"
#include "storage/kinds.h"

namespace stream_store::internal {
namespace {

// On a memory-backed file system the kernel kills the process at the limit of its control group,
// where a full disk would return ENOSPC. So the limit is checked before the file grows.
void CheckMemory(const std::string& path, std::uint64_t more) {
  static constinit CgroupBudget budget;  // one for all stores: they share the control group
  std::uint64_t headroom = 0;
  if (!budget.Take(more, &headroom)) {
    throw Error(ErrorCode::kNoSpace,
                StrCat(path, ": growing by ", more, " bytes of memory: the control group has ",
                       headroom, " left"),
                ENOMEM);
  }
}

}  // namespace

DataFile::DataFile(const Place& place, bool writable)
    : files_(place.directory, place.kind, place.chunk_bytes,
             FirstChunk(place.first_byte, place.chunk_bytes)),
      writable_(writable),
      in_memory_(writable && place.directory.InMemory()),
      owned_mutex_(std::make_shared<ForkMutex>(ForkMutex::Rank::kInner)),
      mutex_(*owned_mutex_) {
  files_.Refresh();
  const std::uint64_t first = ChunkOf(files_.begin());
  Replace(first, EndToMap(0), NewRange(first, files_.end(), place.reserve_bytes));
  if (writable_) {
    files_.CloseFile();
  }
}

// The end of the bytes to map if those before `needed` are needed.
std::uint64_t DataFile::EndToMap(std::uint64_t needed) const noexcept {
  const std::uint64_t end = files_.end();
  if (writable_ || needed >= end) {
    return end;
  }
  const std::uint64_t least = std::max(needed, files_.begin() + 1);
  return std::min(end, (ChunkOf(least - 1) + 1) * files_.chunk_bytes());
}

// A range from `chunk` on that reaches to byte `end` and has `wanted` bytes if possible.
std::shared_ptr<ChunkRange> DataFile::NewRange(std::uint64_t chunk, std::uint64_t end,
                                               std::uint64_t wanted) const {
  constexpr std::uint64_t kLeast = 64 << 10;
  const std::uint64_t begin = chunk * files_.chunk_bytes();
  const std::uint64_t least = std::max(end - std::min(begin, end), kLeast);
  return ChunkRange::Reserve({.chunk_bytes = files_.chunk_bytes(),
                              .first_chunk = chunk,
                              .wanted_bytes = std::max(wanted, least),
                              .least_bytes = least},
                             files_.path(), owned_mutex_);
}

ChunkFiles::Chunk DataFile::last() const {
  const ForkMutexLock lock(mutex_);
  return last_;
}

void DataFile::SetLast(const ChunkFiles::Chunk& last) {
  const ForkMutexLock lock(mutex_);
  last_ = last;
}

void DataFile::MapNext(ChunkRange& range, const File& file, std::uint64_t chunk) {
  range.Map(file, chunk, writable_);
  SetLast({chunk, file.Id()});
}

// Maps the chunks from `chunk` to the one that ends at or after byte `end`; also an empty one.
// Returns the last one.
ChunkFiles::Chunk DataFile::MapFrom(ChunkRange& range, std::uint64_t chunk,
                                    std::uint64_t end) const {
  for (;; ++chunk) {
    const File file = files_.Open(chunk, writable_);
    range.Map(file, chunk, writable_);
    if ((chunk + 1) * files_.chunk_bytes() >= end) {
      return {chunk, file.Id()};
    }
  }
}

// Maps the chunks from `chunk` to byte `end` into a new range, which then replaces the old one.
void DataFile::Replace(std::uint64_t chunk, std::uint64_t end, std::shared_ptr<ChunkRange> range) {
  const ChunkFiles::Chunk last = MapFrom(*range, chunk, end);
  bytes_.store(end, std::memory_order_relaxed);
  const ForkMutexLock lock(mutex_);
  range_.swap(range);  // the old one is destroyed after the lock is released
  last_ = last;
}

std::uint64_t DataFile::RefreshBytes(std::uint64_t needed) {
  files_.Refresh();
  const std::shared_ptr<ChunkRange> range = this->range();
  const std::uint64_t mapped = range->mapped_end() * files_.chunk_bytes();
  const std::uint64_t end = std::max(EndToMap(needed), std::min(mapped, files_.end()));
  const bool in_place = files_.last() == last() || InPlace();
  if (end > range->end_byte() || !in_place) {
    const std::uint64_t first = ChunkOf(files_.begin());
    const std::uint64_t size = range->end_byte() - range->begin_byte();
    Replace(first, end,
            NewRange(first, end, in_place ? 2 * std::max(size, end - range->begin_byte()) : size));
  } else if (mapped < end) {
    SetLast(MapFrom(*range, range->mapped_end(), end));
  }
  bytes_.store(end, std::memory_order_relaxed);
  return end;
}

void DataFile::Restart(std::uint64_t first_byte) {
  const std::uint64_t old_first = ChunkOf(files_.begin());
  const std::uint64_t first = FirstChunk(first_byte, files_.chunk_bytes());
  const std::shared_ptr<ChunkRange> old = range();
  try {
    files_.Restart(first);
    files_.Refresh();
    Replace(first, EndToMap(0), NewRange(first, files_.end(), old->end_byte() - old->begin_byte()));
  } catch (...) {
    files_.Restart(old_first);
    throw;
  }
}

// A file of that name may be left from a growth that failed, or from a crash.
File DataFile::CreateChunk(std::uint64_t chunk) const {
  try {
    return files_.Create(chunk);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kAlreadyExists) {
      throw;
    }
    files_.Unlink(chunk);
    return files_.Create(chunk);
  }
}

// Allocates [from, to), chunk by chunk.
void DataFile::Extend(std::uint64_t from, std::uint64_t to) {
  const std::shared_ptr<ChunkRange> range = this->range();
  while (from < to) {
    const std::uint64_t chunk = ChunkOf(from);
    const std::uint64_t base = chunk * files_.chunk_bytes();
    const std::uint64_t end = std::min(to, base + files_.chunk_bytes());
    if (chunk < range->mapped_end()) {
      files_.Open(chunk, /*writable=*/true).Allocate(from - base, end - base);
    } else {
      const File file = CreateChunk(chunk);
      bytes_.store(base, std::memory_order_relaxed);
      created_.store(true, std::memory_order_release);
      file.Allocate(0, end - base);
      MapNext(*range, file, chunk);
    }
    from = end;
  }
}

// A failed fallocate of ext4 has allocated all that was free. Kept, it would be missing in the other
// files of the call.
void DataFile::GrowTo(std::uint64_t bytes) {
  const std::uint64_t old_bytes = this->bytes();
  if (bytes <= old_bytes) {
    return;
  }
  STREAM_STORE_ASSERT(bytes <= reserved());
  if (const std::uint64_t last = ChunkOf(bytes - 1); last >= kMaxChunks) {
    throw Error(ErrorCode::kNoSpace, StrCat(path(), ": growing into chunk ", last,
                                            ": expected a number below ", kMaxChunks));
  }
  if (in_memory_) {
    CheckMemory(path(), bytes - old_bytes);
  }
  try {
    Extend(old_bytes, bytes);
  } catch (const Error&) {
    bytes_.store(bytes, std::memory_order_relaxed);
    ShortenTo(old_bytes);
    bytes_.store(old_bytes, std::memory_order_relaxed);  // also if what is after it is still there
    throw;
  }
  bytes_.store(bytes, std::memory_order_relaxed);
}

bool DataFile::ShortenTo(std::uint64_t bytes) noexcept try {
  STREAM_STORE_ASSERT(bytes <= this->bytes());
  Truncate(bytes);
  return true;
} catch (const Error&) {
  return false;
}

// From the end, so that an interruption leaves the files without a gap. The first chunk stays, even
// if nothing is left in it.
void DataFile::Truncate(std::uint64_t bytes) {
  STREAM_STORE_ASSERT(bytes <= this->bytes());
  const std::uint64_t size = files_.chunk_bytes();
  const std::uint64_t old_bytes = this->bytes();
  const std::shared_ptr<ChunkRange> range = this->range();
  const std::uint64_t kept = std::max(range->mapped_begin(), FirstChunk(bytes, size));
  const File file = files_.Open(kept, /*writable=*/true);
  SetLast({kept, file.Id()});  // before the others are deleted: InPlace() may look at any time
  // The last one may be without a file, if the one before is full.
  const std::uint64_t last = std::max(ChunkOf(old_bytes), range->mapped_end() - 1);
  for (std::uint64_t chunk = last; chunk > kept; --chunk) {
    bytes_.store(std::min(old_bytes, chunk * size), std::memory_order_relaxed);
    range->UnmapFrom(chunk);
    if (chunk < kMaxChunks) {
      files_.Unlink(chunk);
    }
  }
  file.Truncate(bytes - kept * size);
  bytes_.store(bytes, std::memory_order_relaxed);
}

void DataFile::AllocateTail(std::uint64_t begin) {
  const std::uint64_t size = files_.chunk_bytes();
  for (std::uint64_t at = begin; at < bytes();) {
    const std::uint64_t base = at / size * size;
    const std::uint64_t end = std::min(bytes(), base + size);
    files_.Open(ChunkOf(at), /*writable=*/true).Allocate(at - base, end - base);
    at = end;
  }
}

void DataFile::ZeroTail(std::uint64_t begin) {
  const std::uint64_t size = files_.chunk_bytes();
  for (std::uint64_t at = begin; at < bytes();) {
    const std::uint64_t base = at / size * size;
    const std::uint64_t end = std::min(bytes(), base + size);
    files_.Open(ChunkOf(at), /*writable=*/true).ZeroRange(at - base, end - base);
    at = end;
  }
}

void DataFile::DropBefore(std::uint64_t byte) noexcept {
  files_.DropBefore(FirstChunk(byte, files_.chunk_bytes()));
}

void DataFile::Remap(std::uint64_t first_byte, std::uint64_t bytes) {
  const std::uint64_t chunk = FirstChunk(first_byte, files_.chunk_bytes());
  const std::uint64_t base = chunk * files_.chunk_bytes();
  const std::uint64_t wanted = 2 * (std::max(bytes, reserved()) - std::min(base, bytes));
  Replace(chunk, this->bytes(), NewRange(chunk, bytes, wanted));
}

bool DataFile::UnlinkLeftovers(std::uint64_t byte) const {
  const std::uint64_t end = range()->mapped_end();
  bool any = false;
  for (const std::uint64_t chunk : files_.Numbers()) {
    if (chunk < FirstChunk(byte, files_.chunk_bytes()) || chunk >= end) {
      files_.Unlink(chunk);
      any = true;
    }
  }
  return any;
}

// A thread that grows or shortens the files may change the last chunk meanwhile; then it is compared
// again.
bool DataFile::InPlace() const {
  for (ChunkFiles::Chunk mapped = last();;) {
    try {
      if (files_.Open(mapped.number, /*writable=*/false).Id() == mapped.id) {
        return true;
      }
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kNotFound) {
        throw;
      }
    }
    const ChunkFiles::Chunk now = last();
    if (now == mapped) {
      return false;
    }
    mapped = now;
  }
}

void DataFile::Release() noexcept {
  files_.CloseFile();
  std::shared_ptr<ChunkRange> range;  // unmapped after the lock is released
  const ForkMutexLock lock(mutex_);
  range.swap(range_);
}

}  // namespace stream_store::internal

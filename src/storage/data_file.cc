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
      in_memory_(writable && place.directory.InMemory()) {
  files_.Refresh();
  const std::uint64_t first = FirstChunk(place.first_byte, place.chunk_bytes);
  SetRange(NewRange(first, files_.end(), place.reserve_bytes));
  MapFrom(*range(), first, files_.end());
  bytes_.store(files_.end(), std::memory_order_relaxed);
  if (writable_) {
    files_.CloseFile();
  }
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
                             files_.path());
}

std::shared_ptr<ChunkRange> DataFile::range() const {
  const ForkMutexLock lock(mutex_);
  return range_;
}

void DataFile::SetRange(std::shared_ptr<ChunkRange> range) {
  const ForkMutexLock lock(mutex_);
  range_.swap(range);  // the old one is released after the lock
}

void DataFile::MapNext(ChunkRange& range, const File& file, std::uint64_t chunk) {
  range.Map(file, chunk, writable_);
  const FileId id = file.Id();
  const ForkMutexLock lock(mutex_);
  last_ = id;
  last_chunk_ = chunk;
}

// Maps the chunks from `chunk` to the one that ends at or after byte `end`; also an empty one.
void DataFile::MapFrom(ChunkRange& range, std::uint64_t chunk, std::uint64_t end) {
  do {
    MapNext(range, files_.Open(chunk, writable_), chunk);
    ++chunk;
  } while (chunk * files_.chunk_bytes() < end);
}

std::uint64_t DataFile::RefreshBytes() {
  files_.Refresh();
  const std::uint64_t end = files_.end();
  const std::shared_ptr<ChunkRange> range = this->range();
  if (end > range->end_byte()) {
    Remap(files_.begin() + 1, end);
  } else if (range->mapped_end() * files_.chunk_bytes() < end) {
    MapFrom(*range, range->mapped_end(), end);
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
    std::shared_ptr<ChunkRange> fresh =
        NewRange(first, files_.end(), old->end_byte() - old->begin_byte());
    MapFrom(*fresh, first, files_.end());
    SetRange(std::move(fresh));
  } catch (...) {
    files_.Restart(old_first);
    throw;
  }
  bytes_.store(files_.end(), std::memory_order_relaxed);
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
      files_.Unlink(chunk);  // a growth that failed may have left it
      const File file = files_.Create(chunk);
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
  if (in_memory_) {
    CheckMemory(path(), bytes - old_bytes);
  }
  try {
    Extend(old_bytes, bytes);
  } catch (const Error&) {
    bytes_.store(bytes, std::memory_order_relaxed);
    if (!ShortenTo(old_bytes)) {
      bytes_.store(old_bytes, std::memory_order_relaxed);  // more may be there, or not
    }
    throw;
  }
  bytes_.store(bytes, std::memory_order_relaxed);
}

bool DataFile::ShortenTo(std::uint64_t bytes) noexcept try {
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
  std::uint64_t chunk = ChunkOf(old_bytes);  // may be without a file, if the one before is full
  for (; chunk > range->mapped_begin() && chunk * size >= bytes; --chunk) {
    bytes_.store(std::min(old_bytes, chunk * size), std::memory_order_relaxed);
    if (chunk < range->mapped_end()) {
      range->UnmapFrom(chunk);
    }
    files_.Unlink(chunk);
  }
  const File file = files_.Open(chunk, /*writable=*/true);
  file.Truncate(bytes - chunk * size);
  const FileId id = file.Id();
  {
    const ForkMutexLock lock(mutex_);
    last_ = id;
    last_chunk_ = chunk;
  }
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
  std::shared_ptr<ChunkRange> fresh =
      NewRange(chunk, bytes, 2 * (std::max(bytes, reserved()) - std::min(base, bytes)));
  MapFrom(*fresh, chunk, std::max(this->bytes(), files_.end()));
  SetRange(std::move(fresh));
}

void DataFile::UnlinkLeftovers(std::uint64_t byte) const {
  const std::uint64_t end = range()->mapped_end();
  for (const std::uint64_t chunk : files_.Numbers()) {
    if (chunk < FirstChunk(byte, files_.chunk_bytes()) || chunk >= end) {
      files_.Unlink(chunk);
    }
  }
}

bool DataFile::InPlace() const try {
  std::uint64_t chunk = 0;
  FileId id;
  {
    const ForkMutexLock lock(mutex_);
    chunk = last_chunk_;
    id = last_;
  }
  return files_.Open(chunk, /*writable=*/false).Id() == id;
} catch (const Error& error) {
  if (error.code() == ErrorCode::kNotFound) {
    return false;
  }
  throw;
}

void DataFile::Release() noexcept {
  files_.CloseFile();
  SetRange(nullptr);
}

}  // namespace stream_store::internal

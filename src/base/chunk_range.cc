#include "base/chunk_range.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/assert.h"
#include "base/str_cat.h"

namespace stream_store::internal {

std::shared_ptr<ChunkRange> ChunkRange::Reserve(const Space& space, std::string name,
                                                std::shared_ptr<ForkMutex> mutex) {
  if (mutex == nullptr) {
    mutex = std::make_shared<ForkMutex>(ForkMutex::Rank::kInner);
  }
  return std::shared_ptr<ChunkRange>(new ChunkRange(space, std::move(name), std::move(mutex)));
}

ChunkRange::ChunkRange(const Space& space, std::string name, std::shared_ptr<ForkMutex> mutex)
    : chunk_bytes_(space.chunk_bytes),
      first_chunk_(space.first_chunk),
      name_(std::move(name)),
      space_(Mapping::Reserve(name_, space.wanted_bytes, space.least_bytes)),
      owned_mutex_(std::move(mutex)),
      mutex_(*owned_mutex_),
      mapped_begin_(space.first_chunk),
      mapped_end_(space.first_chunk) {
  STREAM_STORE_ASSERT(std::has_single_bit(chunk_bytes_) && space.least_bytes > 0);
}

std::byte* ChunkRange::At(std::uint64_t byte) const noexcept {
  STREAM_STORE_ASSERT(byte >= begin_byte() && byte <= end_byte());
  return space_.data() + (byte - begin_byte());
}

// The chunks [begin, end), as far as they have a place.
Mapping::Part ChunkRange::PartOf(std::uint64_t begin, std::uint64_t end) const noexcept {
  const std::uint64_t from = (begin - first_chunk_) * chunk_bytes_;
  const std::uint64_t to = std::min((end - first_chunk_) * chunk_bytes_, space_.size());
  return {from, to - from};
}

void ChunkRange::Map(const File& file, std::uint64_t chunk, bool writable) {
  STREAM_STORE_ASSERT(first_chunk_ <= chunk && chunk * chunk_bytes_ < end_byte());
  const ForkMutexLock lock(mutex_);
  const bool none = mapped_begin_ == mapped_end_;
  STREAM_STORE_ASSERT(none || chunk == mapped_end_);
  space_.MapFile(file, PartOf(chunk, chunk + 1), writable);
  if (none) {
    mapped_begin_ = chunk;
  }
  mapped_end_ = chunk + 1;
}

std::uint64_t ChunkRange::mapped_begin() const {
  const ForkMutexLock lock(mutex_);
  return mapped_begin_;
}

std::uint64_t ChunkRange::mapped_end() const {
  const ForkMutexLock lock(mutex_);
  return mapped_end_;
}

ChunkRange::Hold ChunkRange::HoldFrom(std::uint64_t chunk) {
  {
    const ForkMutexLock lock(mutex_);
    STREAM_STORE_ASSERT(chunk >= mapped_begin_);
    holds_[chunk] += 1;
  }
  // The deleter owns the range, so that the mappings live as long as the Hold.
  return {static_cast<const void*>(this),
          [range = shared_from_this(), chunk](const void*) { range->EndHold(chunk); }};
}

// If that was the oldest Hold, unmaps the chunks before the next one. Without any Hold, all chunks
// stay: their owner is about to hold them again, or to destroy the range.
void ChunkRange::EndHold(std::uint64_t chunk) noexcept {
  const ForkMutexLock lock(mutex_);
  const auto hold = holds_.find(chunk);
  STREAM_STORE_ASSERT(hold != holds_.end());
  hold->second -= 1;
  if (hold->second > 0) {
    return;
  }
  holds_.erase(hold);
  if (holds_.empty()) {
    return;
  }
  const std::uint64_t needed = std::min(holds_.begin()->first, mapped_end_);
  if (needed > mapped_begin_) {
    space_.Unmap(PartOf(mapped_begin_, needed));
    mapped_begin_ = needed;
  }
}

void ChunkRange::UnmapFrom(std::uint64_t chunk) {
  const ForkMutexLock lock(mutex_);
  STREAM_STORE_ASSERT(chunk >= mapped_begin_);
  if (chunk < mapped_end_) {
    space_.Unmap(PartOf(chunk, mapped_end_));
    mapped_end_ = chunk;
  }
}

// Without the lock while the kernel writes, which may take seconds: a chunk that is unmapped in the
// meantime was dropped, and a sync of the inaccessible memory in its place succeeds.
void ChunkRange::Sync(std::uint64_t begin, std::uint64_t end, const std::string& path) const {
  const auto [oldest, limit] = [this] {
    const ForkMutexLock lock(mutex_);
    return std::pair(mapped_begin_ * chunk_bytes_, mapped_end_ * chunk_bytes_);
  }();
  STREAM_STORE_ASSERT(begin <= end && end <= std::max(limit, oldest));
  for (std::uint64_t at = std::max(begin, oldest); at < end;) {
    const std::uint64_t chunk = at / chunk_bytes_;
    const std::uint64_t next = std::min(end, (chunk + 1) * chunk_bytes_);
    space_.Sync({.begin = at - first_chunk_ * chunk_bytes_, .bytes = next - at},
                StrCat(path, ": chunk ", chunk));
    at = next;
  }
}

bool ChunkRange::Populate(std::uint64_t begin, std::uint64_t end) const noexcept {
  STREAM_STORE_ASSERT(begin >= begin_byte() && end <= end_byte());
  return space_.Populate(begin - begin_byte(), end - begin_byte());
}

void ChunkRange::ProtectReadOnly() const noexcept {
  space_.ProtectReadOnly(PartOf(mapped_begin_, mapped_end_));
}

}  // namespace stream_store::internal

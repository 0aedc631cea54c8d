#include "arrow/buffers.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "base/paging.h"

namespace stream_store::arrow {
namespace {

constexpr std::size_t kAlignment = 64;
// Smaller blocks are left to the allocator: it recycles them without returning pages to the kernel.
constexpr std::size_t kWorthKeeping = 64 << 10;
// Blocks of a few huge pages are filled with one page fault for each instead of 512. The faults of
// small pages took half of the time of an export into fresh memory.
constexpr std::size_t kHugePage = 2 << 20;
constexpr std::size_t kWorthHugePages = 4 * kHugePage;

std::size_t RoundUp(std::size_t bytes, std::size_t multiple) {
  return (bytes + multiple - 1) / multiple * multiple;
}

// Allocates at least `bytes`, with undefined content.
Block Allocate(std::size_t bytes) {
  const std::size_t alignment = bytes >= kWorthHugePages ? kHugePage : kAlignment;
  const std::size_t rounded = RoundUp(bytes, alignment);
  auto* data = static_cast<std::byte*>(std::aligned_alloc(alignment, rounded));
  if (data == nullptr) {
    throw std::bad_alloc();
  }
  if (alignment == kHugePage) {
    internal::AdvisePages(data, data + rounded, internal::PageUse::kLarge);
  }
  return {data, rounded};
}

}  // namespace

ArrowBlockPool::~ArrowBlockPool() {
  for (const Block& block : free_) {
    std::free(block.data);
  }
}

// Takes the smallest free block that is large enough, but none of more than four times the size: a
// batch keeps its blocks for as long as the consumer wants, and they should not pin unused memory.
Block ArrowBlockPool::Take(std::size_t bytes) {
  if (bytes > PTRDIFF_MAX / 2) {
    throw std::bad_alloc();
  }
  const std::size_t rounded = RoundUp(std::max<std::size_t>(bytes, 1), kAlignment);
  if (rounded >= kWorthKeeping) {
    const internal::MutexLock lock(mutex_);
    auto best = free_.end();
    for (auto at = free_.begin(); at != free_.end(); ++at) {
      const bool fits = at->bytes >= rounded && at->bytes / 4 <= rounded;
      if (fits && (best == free_.end() || at->bytes < best->bytes)) {
        best = at;
      }
    }
    if (best != free_.end()) {
      const Block block = *best;
      free_.erase(best);
      free_bytes_ -= block.bytes;
      return block;
    }
  }
  return Allocate(rounded);
}

void ArrowBlockPool::Give(Block block) noexcept {
  if (block.bytes >= kWorthKeeping) {
    const internal::MutexLock lock(mutex_);
    if (free_bytes_ + block.bytes <= most_bytes_) {
      try {
        free_.push_back(block);
        free_bytes_ += block.bytes;
        return;
      } catch (const std::bad_alloc&) {
        // No memory to remember the block: it is freed below.
      }
    }
  }
  std::free(block.data);
}

BatchMemory::~BatchMemory() {
  for (const Block& block : blocks_) {
    pool_->Give(block);
  }
}

std::byte* BatchMemory::Make(std::size_t bytes) {
  blocks_.emplace_back();  // before Take(): if this throws, there is no block to lose
  blocks_.back() = pool_->Take(bytes);
  return blocks_.back().data;
}

std::byte* BatchMemory::MakeZeroed(std::size_t bytes) {
  std::byte* data = Make(bytes);
  std::memset(data, 0, std::max<std::size_t>(bytes, 1));
  return data;
}

void GrowingBuffer::Begin(BatchMemory& memory) {
  const std::size_t expected = size_ + size_ / 8;
  memory_ = &memory;
  place_ = memory.blocks_.size();
  data_ = memory.Make(expected);
  capacity_ = memory.blocks_[place_].bytes;
  size_ = 0;
}

// Doubles the capacity, so that each byte is copied once on average. As soon as enough rows are
// written, the final size is estimated from them instead, which saves the rest of the copies.
void GrowingBuffer::Grow(std::size_t bytes) {
  constexpr std::uint64_t kEnough = 64;  // of so many rows, one
  const std::size_t needed = size_ + bytes;
  const std::uint64_t done = memory_->rows_done_;
  std::size_t wanted = 2 * capacity_;
  if (done > 0 && memory_->rows_expected_ / done < kEnough) {
    const auto whole = static_cast<double>(memory_->rows_expected_) / static_cast<double>(done);
    const auto final_size = static_cast<std::size_t>(static_cast<double>(needed) * whole);
    wanted = std::max(final_size + final_size / 8, capacity_ + capacity_ / 4);
  }
  const Block larger = memory_->pool_->Take(std::max(wanted, needed));
  std::memcpy(larger.data, data_, size_);
  memory_->pool_->Give(std::exchange(memory_->blocks_[place_], larger));
  data_ = larger.data;
  capacity_ = larger.bytes;
}

}  // namespace stream_store::arrow

#include "arrow/buffers.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace stream_store::arrow {
namespace {

constexpr std::size_t kAlignment = 64;
// Smaller blocks are left to the allocator: it recycles them without returning pages to the kernel.
constexpr std::size_t kWorthKeeping = 64 << 10;

}  // namespace

ArrowBlockPool::~ArrowBlockPool() {
  for (const Block& block : free_) {
    std::free(block.data);
  }
}

// Takes the smallest free block that is large enough, but none of more than four times the size: a
// batch keeps its blocks for as long as the consumer wants, and they should not pin unused memory.
Block ArrowBlockPool::Take(std::size_t bytes) {
  const std::size_t rounded =
      (std::max<std::size_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment;
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
  auto* data = static_cast<std::byte*>(std::aligned_alloc(kAlignment, rounded));
  if (data == nullptr) {
    throw std::bad_alloc();
  }
  return {data, rounded};
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

// Doubles the capacity, so that each byte is copied once on average.
void GrowingBuffer::Grow(std::size_t bytes) {
  if (bytes > PTRDIFF_MAX / 2 - size_) {
    throw std::bad_alloc();
  }
  const Block larger = memory_->pool_->Take(std::max(2 * capacity_, size_ + bytes));
  std::memcpy(larger.data, data_, size_);
  memory_->pool_->Give(std::exchange(memory_->blocks_[place_], larger));
  data_ = larger.data;
  capacity_ = larger.bytes;
}

}  // namespace stream_store::arrow

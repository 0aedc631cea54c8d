// Memory of exported batches: aligned blocks that belong to a batch and are recycled by its stream.
//
// Used by export.cc, leaf_builder.cc and nested_builder.cc. Filling fresh pages costs more than writing the data,
// because the kernel zeroes them first. A consumer that releases each batch before it asks for the
// next one therefore gets the same few blocks again and again.
//
// Thread rules: a consumer may release a batch on any thread while the next one is built, so
// ArrowBlockPool is locked. BatchMemory is used by one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/mutex.h"

namespace stream_store::arrow {

struct Block {
  std::byte* data = nullptr;
  std::size_t bytes = 0;
};

/// The free blocks of one stream: those that no batch uses.
class ArrowBlockPool {
 public:
  /// Keeps at most `most_bytes` of free blocks; blocks beyond that are freed.
  explicit ArrowBlockPool(std::size_t most_bytes) : most_bytes_(most_bytes) {}

  ArrowBlockPool(const ArrowBlockPool&) = delete;
  ArrowBlockPool& operator=(const ArrowBlockPool&) = delete;
  ~ArrowBlockPool();

  /// A block of at least `bytes`, aligned to 64 bytes as Arrow recommends, with undefined content.
  /// Throws std::bad_alloc.
  Block Take(std::size_t bytes);

  /// Returns a block of Take().
  void Give(Block block) noexcept;

 private:
  const std::size_t most_bytes_;
  internal::Mutex mutex_;
  std::vector<Block> free_ GUARDED_BY(mutex_);
  std::size_t free_bytes_ GUARDED_BY(mutex_) = 0;
};

/// Owns the blocks of one batch and returns them to the pool when the batch is released.
class BatchMemory {
 public:
  explicit BatchMemory(std::shared_ptr<ArrowBlockPool> pool) : pool_(std::move(pool)) {}

  BatchMemory(const BatchMemory&) = delete;
  BatchMemory& operator=(const BatchMemory&) = delete;
  ~BatchMemory();

  /// `bytes` of undefined content, valid as long as this object. Never null, also for 0 bytes,
  /// because Arrow consumers may take a null buffer for a missing one. Throws std::bad_alloc.
  std::byte* Make(std::size_t bytes);

  /// The same, filled with zeros.
  std::byte* MakeZeroed(std::size_t bytes);

  /// Says how many rows the batch will have, about, for the buffers that grow.
  void ExpectRows(std::uint64_t rows) noexcept { rows_expected_ = rows; }

  /// Says that the first `rows` of them are written.
  void ReachRow(std::uint64_t rows) noexcept { rows_done_ = rows; }

 private:
  friend class GrowingBuffer;

  std::uint64_t rows_expected_ = 0;
  std::uint64_t rows_done_ = 0;
  std::shared_ptr<ArrowBlockPool> pool_;
  std::vector<Block> blocks_;
};

/// A buffer of a batch whose final size is not known before it is filled.
class GrowingBuffer {
 public:
  /// Starts an empty buffer in `memory`. Its capacity is the size that it had at its last use, and
  /// an eighth more: the batches of a stream resemble each other.
  void Begin(BatchMemory& memory);

  /// Adds `bytes` of undefined content and returns where they begin. The address is valid until the
  /// next call. Throws std::bad_alloc.
  std::byte* Add(std::size_t bytes) {
    if (bytes > capacity_ - size_) [[unlikely]] {
      Grow(bytes);
    }
    std::byte* at = data_ + size_;
    size_ += bytes;
    return at;
  }

  /// The content, which belongs to the batch. Never null after Begin().
  std::byte* data() const noexcept { return data_; }

  /// The size in bytes.
  std::size_t size() const noexcept { return size_; }

 private:
  void Grow(std::size_t bytes);

  BatchMemory* memory_ = nullptr;
  std::size_t place_ = 0;  // index of its block in the memory
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace stream_store::arrow

// Memory of exported batches: aligned blocks that belong to a batch and are recycled by its stream.
//
// Used by export.cc and leaf_builder.cc. Filling fresh pages costs more than writing the data,
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

 private:
  std::shared_ptr<ArrowBlockPool> pool_;
  std::vector<Block> blocks_;
};

}  // namespace stream_store::arrow

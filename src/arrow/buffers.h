// Memory of exported batches: aligned blocks, reference-counted per batch, recycled by their
// stream.
//
// Fresh pages cost more than filling them; a stream whose batches are let go one after the other
// fills the same few blocks again and again. Thread rules: a consumer may release a batch on any
// thread while the next one is made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace stream_store::arrow {

struct Block {
  std::byte* data = nullptr;
  std::size_t bytes = 0;
};

/// Blocks that no batch uses. Keeps at most `most_bytes` of them.
class BlockPool {
 public:
  explicit BlockPool(std::size_t most_bytes) : most_bytes_(most_bytes) {}

  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;
  ~BlockPool();

  /// At least `bytes`, aligned to 64, with any content. Throws std::bad_alloc.
  Block Take(std::size_t bytes);
  void Give(Block block) noexcept;

 private:
  const std::size_t most_bytes_;
  std::mutex mutex_;
  std::vector<Block> free_;
  std::size_t free_bytes_ = 0;
};

/// The blocks of one batch.
class BatchMemory {
 public:
  explicit BatchMemory(std::shared_ptr<BlockPool> pool) : pool_(std::move(pool)) {}

  BatchMemory(const BatchMemory&) = delete;
  BatchMemory& operator=(const BatchMemory&) = delete;
  ~BatchMemory();

  /// Never null, also for 0 bytes.
  std::byte* Make(std::size_t bytes);
  std::byte* MakeZeroed(std::size_t bytes);

 private:
  std::shared_ptr<BlockPool> pool_;
  std::vector<Block> blocks_;
};

}  // namespace stream_store::arrow

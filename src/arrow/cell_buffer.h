// CellBuffer: the words of nested cells, as they grow.
//
// Used by nested_writer.cc and leaf_cells.cc. It uses realloc(), which moves the pages of a large
// block instead of copying them, so that a cell of 2 GiB does not need twice its size.
// Thread rules: one thread at a time.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

#include "base/assert.h"

namespace stream_store::arrow {

class CellBuffer {
 public:
  /// The bytes written so far.
  std::size_t size() const noexcept { return size_; }

  /// The bytes from `offset` on. Valid until the next call of Extend() or Clear().
  std::byte* at(std::size_t offset) const noexcept { return bytes_.get() + offset; }

  /// Adds `count` bytes with unspecified content and returns their address. Throws std::bad_alloc.
  std::byte* Extend(std::size_t count) {
    if (count > capacity_ - size_) {
      Grow(count);
    }
    std::byte* added = bytes_.get() + size_;
    size_ += count;
    return added;
  }

  /// Removes all bytes from `size` on. REQUIRES: size <= this->size()
  void Truncate(std::size_t size) noexcept {
    STREAM_STORE_ASSERT(size <= size_);
    size_ = size;
  }

  /// Removes all bytes. Returns memory that the last cells did not need, so that one large cell
  /// does not hold its memory for the rest of an import.
  void Clear() noexcept {
    constexpr std::size_t kKept = std::size_t{64} << 20;
    if (capacity_ > kKept && size_ < capacity_ / 4) {
      bytes_.reset();
      capacity_ = 0;
    }
    size_ = 0;
  }

 private:
  struct Free {
    void operator()(std::byte* bytes) const noexcept { std::free(bytes); }
  };

  void Grow(std::size_t count) {
    const std::size_t larger = std::max({size_ + count, capacity_ + capacity_ / 2, kLeast});
    std::byte* old = bytes_.release();
    auto* moved = static_cast<std::byte*>(std::realloc(old, larger));
    bytes_.reset(moved == nullptr ? old : moved);
    if (moved == nullptr) {
      throw std::bad_alloc();
    }
    capacity_ = larger;
  }

  static constexpr std::size_t kLeast = 4096;

  std::unique_ptr<std::byte, Free> bytes_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace stream_store::arrow

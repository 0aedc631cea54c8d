// GrowingList: a list of plain values for millions of entries.
//
// std::vector would double its memory and copy all values to grow; this grows by an eighth with
// realloc(), which moves pages of large blocks instead of copying them, and does not touch the new
// memory.
//
// Used by segment_index.h, lane_index.h and time_index.h. Thread rules: an object belongs to its owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>
#include <type_traits>

#include "base/assert.h"

namespace stream_store::internal {

template <class T>
class GrowingList {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

 public:
  void Add(T value) {
    if (size_ == capacity_) {
      Grow();
    }
    values_.get()[size_++] = value;
  }

  std::size_t size() const noexcept { return size_; }

  bool empty() const noexcept { return size_ == 0; }

  /// REQUIRES: i < size().
  T operator[](std::size_t i) const noexcept {
    STREAM_STORE_ASSERT(i < size());
    return values_.get()[i];
  }

  /// REQUIRES: i < size().
  T& at(std::size_t i) noexcept {
    STREAM_STORE_ASSERT(i < size());
    return values_.get()[i];
  }

  const T* data() const noexcept { return values_.get(); }

  /// All values. Valid until the next Add().
  std::span<const T> all() const noexcept { return {values_.get(), size_}; }

 private:
  struct Free {
    void operator()(T* values) const noexcept { std::free(values); }
  };

  void Grow() {
    const std::size_t capacity = capacity_ + capacity_ / 8 + 2;
    void* grown = std::realloc(static_cast<void*>(values_.get()), capacity * sizeof(T));
    if (grown == nullptr) {
      throw std::bad_alloc();
    }
    (void)values_.release();  // NOLINT(bugprone-unused-return-value): realloc has freed it
    values_.reset(static_cast<T*>(grown));
    capacity_ = capacity;
  }

  std::unique_ptr<T, Free> values_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

using WordList = GrowingList<std::uint64_t>;

}  // namespace stream_store::internal

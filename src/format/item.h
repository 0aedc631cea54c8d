// ItemAt(): loads an item from memory that may be unaligned. Used for the items of callers and of
// Arrow arrays.
// Thread rules: a pure function.
#pragma once

#include <cstdint>
#include <cstring>

namespace stream_store::internal {

/// Returns item `index` of the array at `items`.
template <class T>
T ItemAt(const void* items, std::uint64_t index) noexcept {
  T item{};
  std::memcpy(&item, static_cast<const unsigned char*>(items) + index * sizeof(T), sizeof(T));
  return item;
}

}  // namespace stream_store::internal

// Binary searches for many keys in one sorted list. A single search waits for one cache miss after
// the other; several side by side overlap their misses.
//
// Used by segment_starts.cc, for the segment of each drawn window. Thread rules: pure functions.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/assert.h"

namespace stream_store::internal {

/// Returns the last index in [0, count) with sorted[index] <= key. Each step is a conditional move,
/// not a branch, so that the processor never guesses wrong.
/// REQUIRES: count > 0, sorted[0] <= key.
inline std::uint64_t SearchOne(const std::uint64_t* sorted, std::size_t count, std::uint64_t key) {
  STREAM_STORE_ASSERT(count > 0 && sorted[0] <= key);
  const std::uint64_t* base = sorted;
  for (std::size_t left = count; left > 1;) {
    const std::size_t half = left / 2;
    base += base[half] <= key ? half : 0;
    left -= half;
  }
  return static_cast<std::uint64_t>(base - sorted);
}

/// Sets out[i] to SearchOne() of keys[i]. Sixteen searches go side by side, so that their cache
/// misses overlap.
/// REQUIRES: count > 0, sorted[0] <= keys[i], out.size() == keys.size().
inline void SearchMany(const std::uint64_t* sorted, std::size_t count,
                       std::span<const std::uint64_t> keys, std::span<std::uint64_t> out) {
  STREAM_STORE_ASSERT(count > 0 &&
                      std::ranges::all_of(keys, [&](auto key) { return sorted[0] <= key; }) &&
                      out.size() == keys.size());
  constexpr std::size_t kTogether = 16;
  std::size_t i = 0;
  for (; i + kTogether <= keys.size(); i += kTogether) {
    const std::uint64_t* bases[kTogether];
    for (const std::uint64_t*& base : bases) {
      base = sorted;
    }
    for (std::size_t left = count; left > 1;) {
      const std::size_t half = left / 2;
      for (std::size_t k = 0; k < kTogether; ++k) {
        bases[k] += bases[k][half] <= keys[i + k] ? half : 0;
      }
      left -= half;
    }
    for (std::size_t k = 0; k < kTogether; ++k) {
      out[i + k] = static_cast<std::uint64_t>(bases[k] - sorted);
    }
  }
  for (; i < keys.size(); ++i) {
    out[i] = SearchOne(sorted, count, keys[i]);
  }
}

}  // namespace stream_store::internal

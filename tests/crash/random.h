// Seeded random numbers, the same on every machine, so that a seed replays a failure.
#pragma once

#include <cstdint>

#include "base/assert.h"

namespace stream_store::crash {

/// splitmix64: small, fast, good enough to choose events.
class Random {
 public:
  explicit Random(std::uint64_t seed) noexcept : state_(seed) {}

  std::uint64_t Next() noexcept {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  }

  /// Returns a number in [0, limit).
  /// REQUIRES: limit > 0.
  std::uint64_t Below(std::uint64_t limit) noexcept {
    STREAM_STORE_ASSERT(limit > 0);
    return Next() % limit;
  }

  /// Returns a number in [low, high], both included.
  std::uint64_t Between(std::uint64_t low, std::uint64_t high) noexcept {
    return low + Below(high - low + 1);
  }

  /// Returns true with a probability of `percent` / 100.
  bool Chance(std::uint64_t percent) noexcept { return Below(100) < percent; }

 private:
  std::uint64_t state_;
};

}  // namespace stream_store::crash

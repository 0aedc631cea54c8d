// Random order without a list: a permutation of [0, size) that is computed place by place, and
// counter-based random numbers. Both give the same answers in every process and on every machine,
// and any place of an epoch can be computed without those before it, so resuming costs nothing.
//
// The permutation is a generalised Feistel network over the least rectangle height * width that
// holds `size`, applied again while the result lies outside [0, size) ("cycle walking"; Black and
// Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA 2002, methods 2 and 3). The rectangle
// has fewer than sqrt(size) + 1 places too many, so a second application is rare. Keys and random
// numbers are mixed with the finalizer of SplitMix64 (Steele, Lea and Flood, "Fast Splittable
// Pseudorandom Number Generators", OOPSLA 2014). This shuffles well but is not secure. A network
// over few places cannot reach every order, so up to kListed places are shuffled as a list (Fisher
// and Yates).
//
// Used by sampler.cc, indexed_starts.cc, sampler_priorities.cc and priority_tree.cc. Thread rules:
// pure functions and immutable objects.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/assert.h"

namespace stream_store::internal {

// NOLINTNEXTLINE(modernize-use-using): only a typedef may be an extension
__extension__ typedef unsigned __int128 Product;

/// A bijection of 64-bit words whose output bits each depend on all input bits.
constexpr std::uint64_t MixBits(std::uint64_t word) noexcept {
  word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9U;
  word = (word ^ (word >> 27)) * 0x94d049bb133111ebU;
  return word ^ (word >> 31);
}

inline constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15U;

/// Makes one key from two numbers.
constexpr std::uint64_t MixKeys(std::uint64_t a, std::uint64_t b) noexcept {
  return MixBits(MixBits(a + kGolden) ^ (b * kGolden + 0x2545f4914f6cdd1dU));
}

/// `word` scaled to [0, bound): floor(word * bound / 2^64).
inline std::uint64_t ScaleDown(std::uint64_t word, std::uint64_t bound) noexcept {
  return static_cast<std::uint64_t>(static_cast<Product>(word) * bound >> 64);
}

/// Number `index` of the stream of `key`, uniform in [0, bound). REQUIRES: bound > 0.
///
/// Scaled with rejection, so that no number is likelier than another (Lemire, "Fast Random Integer
/// Generation in an Interval", ACM TOMACS 2019).
inline std::uint64_t RandomBelow(std::uint64_t key, std::uint64_t index,
                                 std::uint64_t bound) noexcept {
  STREAM_STORE_ASSERT(bound > 0);
  std::uint64_t word = MixBits(key + (index + 1) * kGolden);
  auto product = static_cast<Product>(word) * bound;
  if (static_cast<std::uint64_t>(product) < bound) [[unlikely]] {
    const std::uint64_t least = -bound % bound;
    while (static_cast<std::uint64_t>(product) < least) {
      word = MixBits(word + key);
      product = static_cast<Product>(word) * bound;
    }
  }
  return static_cast<std::uint64_t>(product >> 64);
}

/// Number `index` of the stream of `key`, uniform in [0, 1), a multiple of 2^-53.
inline double RandomFraction(std::uint64_t key, std::uint64_t index) noexcept {
  constexpr std::uint64_t kFractions = std::uint64_t{1} << 53;
  return static_cast<double>(RandomBelow(key, index, kFractions)) * 0x1p-53;
}

/// A seeded order of [0, size).
class KeyedPermutation {
 public:
  KeyedPermutation(std::uint64_t size, std::uint64_t key) noexcept;

  /// The number at a place of the order. REQUIRES: place < size.
  std::uint64_t At(std::uint64_t place) const noexcept;

  /// The numbers at places first, first + stride, …, out.size() of them. Faster than At() for each,
  /// since several are computed at a time. REQUIRES: each of these places is below `size`.
  void ReadStrided(std::uint64_t first, std::uint64_t stride,
                   std::span<std::uint64_t> out) const noexcept;

 private:
  static constexpr int kRounds = 6;
  static constexpr std::uint64_t kListed = 256;

  template <std::size_t kTogether>
  void ApplyNetwork(std::uint64_t* places) const noexcept;

  std::uint64_t size_;
  std::uint64_t height_ = 1;  // of the rectangle: height * width >= size
  std::uint64_t width_ = 1;
  std::uint64_t inverse_ = 0;  // floor((2^64 - 1) / width): division by width as multiplication
  std::array<std::uint64_t, kRounds> keys_;
  std::array<std::uint8_t, kListed> list_;
};

}  // namespace stream_store::internal

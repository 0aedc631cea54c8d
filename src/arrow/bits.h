// Bitmaps in Arrow's order: bit i is bit i % 8 of byte i / 8, counted from the lowest.
//
// Used by both directions. Runs of bits are handled a byte at a time. Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace stream_store::arrow {

inline constexpr std::uint64_t BitmapBytes(std::uint64_t bits) noexcept { return (bits + 7) / 8; }

inline bool GetBit(const std::uint8_t* bits, std::uint64_t i) noexcept {
  return (static_cast<unsigned>(bits[i / 8]) >> (i % 8) & 1U) != 0;
}

inline void SetBit(std::uint8_t* bits, std::uint64_t i) noexcept {
  bits[i / 8] = static_cast<std::uint8_t>(bits[i / 8] | 1U << (i % 8));
}

/// Sets bits [begin, begin + count).
inline void SetBits(std::uint8_t* bits, std::uint64_t begin, std::uint64_t count) noexcept {
  const std::uint64_t end = begin + count;
  while (begin < end && begin % 8 != 0) {
    SetBit(bits, begin++);
  }
  if (begin < end) {
    std::memset(bits + begin / 8, 0xff, (end - begin) / 8);
    begin += (end - begin) / 8 * 8;
  }
  while (begin < end) {
    SetBit(bits, begin++);
  }
}

/// Writes `count` bools of one byte each as bits from `begin` on. Those bits must be 0 before, as
/// in fresh memory of BatchMemory::MakeZeroed().
inline void PackBools(const std::uint8_t* bools, std::uint64_t count, std::uint8_t* bits,
                      std::uint64_t begin) noexcept {
  std::uint64_t i = 0;
  for (; i < count && (begin + i) % 8 != 0; ++i) {
    if (bools[i] != 0) {
      SetBit(bits, begin + i);
    }
  }
  for (; i + 8 <= count; i += 8) {
    std::uint64_t eight = 0;
    std::memcpy(&eight, bools + i, sizeof(eight));
    // Every byte is 0 or 1, so the multiplication moves byte k to bit 56 + k without carries.
    bits[(begin + i) / 8] = static_cast<std::uint8_t>(eight * 0x0102040810204080U >> 56);
  }
  for (; i < count; ++i) {
    if (bools[i] != 0) {
      SetBit(bits, begin + i);
    }
  }
}

/// Writes bits [begin, begin + count) as bools of one byte each.
inline void UnpackBits(const std::uint8_t* bits, std::uint64_t begin, std::uint64_t count,
                       std::uint8_t* bools) noexcept {
  std::uint64_t i = 0;
  for (; i < count && (begin + i) % 8 != 0; ++i) {
    bools[i] = GetBit(bits, begin + i) ? 1 : 0;
  }
  for (; i + 8 <= count; i += 8) {
    const std::uint8_t eight = bits[(begin + i) / 8];
    for (unsigned k = 0; k < 8; ++k) {
      bools[i + k] = static_cast<std::uint8_t>(static_cast<unsigned>(eight) >> k & 1U);
    }
  }
  for (; i < count; ++i) {
    bools[i] = GetBit(bits, begin + i) ? 1 : 0;
  }
}

}  // namespace stream_store::arrow

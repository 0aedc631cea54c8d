// Decimals of any width as four words, to compare them with the largest of a precision.
//
// Used by nested_items.cc. A decimal is an integer in two's complement, the lowest word first. Pure
// functions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/assert.h"

namespace stream_store::arrow {

/// A number of 256 bits in two's complement, the lowest word first.
using WideDecimal = std::array<std::uint64_t, 4>;

inline constexpr int kMostDigits = 76;

/// Loads a decimal of `bytes` bytes. REQUIRES: bytes is 4, 8, 16 or 32
inline WideDecimal LoadDecimal(const std::byte* from, std::uint64_t bytes) noexcept {
  STREAM_STORE_ASSERT(bytes == 4 || bytes == 8 || bytes == 16 || bytes == 32);
  const bool negative = (from[bytes - 1] & std::byte{0x80}) != std::byte{0};
  WideDecimal number;
  number.fill(negative ? ~std::uint64_t{0} : 0);
  std::memcpy(number.data(), from, bytes);
  return number;
}

// Not ISO C++, but both compilers have it.
__extension__ typedef unsigned __int128 Product;  // NOLINT(modernize-use-using)

/// 10^digits for each number of digits.
constexpr std::array<WideDecimal, kMostDigits + 1> MakePowers() {
  std::array<WideDecimal, kMostDigits + 1> powers{};
  powers[0][0] = 1;
  for (std::size_t digits = 1; digits < powers.size(); ++digits) {
    Product carry = 0;
    for (std::size_t word = 0; word < 4; ++word) {
      carry += static_cast<Product>(powers[digits - 1][word]) * 10U;
      powers[digits][word] = static_cast<std::uint64_t>(carry);
      carry >>= 64;
    }
  }
  return powers;
}

/// Whether the number has at most that many decimal digits. REQUIRES: 0 <= digits <= kMostDigits
inline bool HasAtMostDigits(WideDecimal number, int digits) noexcept {
  STREAM_STORE_ASSERT(0 <= digits && digits <= kMostDigits);
  static constexpr std::array<WideDecimal, kMostDigits + 1> kPowers = MakePowers();
  if (number[3] >> 63 != 0) {  // the magnitude of a negative number; that of -2^255 is unchanged
    std::uint64_t carry = 1;
    for (std::uint64_t& word : number) {
      word = ~word + carry;
      carry = carry != 0 && word == 0 ? 1 : 0;
    }
  }
  const WideDecimal& limit = kPowers[static_cast<std::size_t>(digits)];
  for (std::size_t word = 4; word-- > 0;) {
    if (number[word] != limit[word]) {
      return number[word] < limit[word];
    }
  }
  return false;
}

}  // namespace stream_store::arrow

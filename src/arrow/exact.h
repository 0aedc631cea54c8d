// Tests whether a narrower float type holds a number exactly.
//
// Used by leaf_loader.cc: an import never rounds, so a wider float is accepted by a narrower field
// only if no bit of information is lost. For NaNs this includes the payload.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "base/assert.h"

namespace stream_store::arrow {

/// Whether float16 holds `number` exactly. REQUIRES: !std::isnan(number)
inline bool IsHalf(double number) noexcept {
  STREAM_STORE_ASSERT(!std::isnan(number));
  constexpr double kLargest = 65504;
  if (number == 0 || std::isinf(number)) {
    return true;
  }
  if (std::abs(number) > kLargest) {
    return false;
  }
  int exponent = 0;
  std::frexp(number, &exponent);
  // A float16 has 11 significant bits, and its smallest subnormal is 2^-24.
  const double unit = std::ldexp(1.0, std::max(exponent - 11, -24));
  const double units = number / unit;
  return units == std::trunc(units);
}

/// Whether a float of `bits` bits holds the float64 with the bit pattern `float64` exactly.
/// REQUIRES: bits == 32 || bits == 16
inline bool IsExact(std::uint64_t float64, int bits) noexcept {
  STREAM_STORE_ASSERT(bits == 32 || bits == 16);
  const auto number = std::bit_cast<double>(float64);
  if (std::isnan(number)) {
    // The bits of the payload that the narrower type has no place for.
    const unsigned dropped = bits == 32 ? 29 : 42;
    return (float64 & ((std::uint64_t{1} << dropped) - 1)) == 0;
  }
  return bits == 32 ? static_cast<double>(static_cast<float>(number)) == number : IsHalf(number);
}

/// Whether float16 holds the float32 with the bit pattern `float32` exactly.
inline bool IsExactHalf(std::uint32_t float32) noexcept {
  const auto number = std::bit_cast<float>(float32);
  if (std::isnan(number)) {
    return (float32 & 0x1fffU) == 0;
  }
  return IsHalf(static_cast<double>(number));
}

}  // namespace stream_store::arrow

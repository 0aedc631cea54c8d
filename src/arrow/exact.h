// Whether a float is one of a narrower type, bit for bit.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace stream_store::arrow {

/// Whether a number, not a NaN, is a float16.
inline bool IsHalf(double number) noexcept {
  constexpr double kLargest = 65504;
  if (number == 0 || std::isinf(number)) {
    return true;
  }
  if (std::abs(number) > kLargest) {
    return false;
  }
  int exponent = 0;
  std::frexp(number, &exponent);  // 11 bits of mantissa, none below 2^-24
  const double unit = std::ldexp(1.0, std::max(exponent - 11, -24));
  const double units = number / unit;
  return units == std::trunc(units);
}

/// Whether the float64 with these bits is one of `bits` bits, 32 or 16. A NaN is if its payload
/// fits.
inline bool IsExact(std::uint64_t float64, int bits) noexcept {
  const auto number = std::bit_cast<double>(float64);
  if (std::isnan(number)) {
    const unsigned dropped = bits == 32 ? 29 : 42;
    return (float64 & ((std::uint64_t{1} << dropped) - 1)) == 0;
  }
  return bits == 32 ? static_cast<double>(static_cast<float>(number)) == number : IsHalf(number);
}

/// Whether the float32 with these bits is a float16.
inline bool IsExactHalf(std::uint32_t float32) noexcept {
  const auto number = std::bit_cast<float>(float32);
  if (std::isnan(number)) {
    return (float32 & 0x1fffU) == 0;
  }
  return IsHalf(static_cast<double>(number));
}

}  // namespace stream_store::arrow

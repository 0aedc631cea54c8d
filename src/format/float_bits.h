// Conversions of float bits between widths that preserve every bit pattern: NaN payloads,
// signalling NaNs, -0.0 and subnormals survive widening followed by narrowing.
//
// Used by the loops of encode.cc and decode.cc. The hardware's conversion sets the quiet bit of a
// NaN, so NaNs are converted by shifting their bits. All other numbers are widened exactly and
// narrowed to the nearest value. Thread rules: pure functions.
#pragma once

#include <bit>
#include <cstdint>

namespace stream_store::internal {

inline constexpr std::uint64_t kFloat64Exponent = 0x7ff0000000000000U;
inline constexpr std::uint64_t kFloat64Mantissa = 0x000fffffffffffffU;

/// The bits of the smallest float64 that is rounded to infinity: the middle between the largest
/// finite number of the type and the next power of two. It is rounded up, because the largest
/// number has an odd significand.
inline constexpr std::uint64_t kBeyondFloat16 = 0x40effe0000000000U;
inline constexpr std::uint64_t kBeyondFloat32 = 0x47effffff0000000U;

/// Whether float64 bits are those of a finite number from `beyond` on. The subtraction moves the
/// range to 0, so that one unsigned comparison checks both ends.
constexpr bool IsBeyondRange(std::uint64_t bits, std::uint64_t beyond) noexcept {
  const std::uint64_t magnitude = bits & ~(std::uint64_t{1} << 63U);
  return magnitude - beyond < kFloat64Exponent - beyond;
}

inline bool IsNanFloat32(std::uint32_t bits) noexcept { return (bits & 0x7fffffffU) > 0x7f800000U; }

inline bool IsNanFloat64(std::uint64_t bits) noexcept {
  return (bits & ~(std::uint64_t{1} << 63)) > kFloat64Exponent;
}

/// Returns float32 bits as float64 bits, exactly.
inline std::uint64_t WidenFloat32(std::uint32_t bits) noexcept {
  if (IsNanFloat32(bits)) {
    return std::uint64_t{bits & 0x80000000U} << 32 | kFloat64Exponent |
           std::uint64_t{bits & 0x7fffffU} << 29;
  }
  return std::bit_cast<std::uint64_t>(static_cast<double>(std::bit_cast<float>(bits)));
}

/// Returns float64 bits as float32 bits, rounded to nearest. A NaN stays a NaN even if its payload
/// does not fit.
inline std::uint32_t NarrowToFloat32(std::uint64_t bits) noexcept {
  if (IsNanFloat64(bits)) {
    const auto payload = static_cast<std::uint32_t>((bits & kFloat64Mantissa) >> 29);
    return static_cast<std::uint32_t>(bits >> 32 & 0x80000000U) | 0x7f800000U |
           (payload != 0 ? payload : 0x400000U);
  }
  return std::bit_cast<std::uint32_t>(static_cast<float>(std::bit_cast<double>(bits)));
}

/// Returns float16 bits as float64 bits, exactly.
inline std::uint64_t WidenFloat16(std::uint16_t bits) noexcept {
  const std::uint64_t sign = std::uint64_t{bits & 0x8000U} << 48;
  const std::uint32_t exponent = bits >> 10 & 0x1fU;
  const std::uint64_t mantissa = bits & 0x3ffU;
  if (exponent == 0x1fU) {
    return sign | kFloat64Exponent | mantissa << 42;
  }
  if (exponent == 0) {  // zero or subnormal: mantissa * 2^-24
    return sign | std::bit_cast<std::uint64_t>(static_cast<double>(mantissa) * 0x1p-24);
  }
  return sign | std::uint64_t{exponent + (1023 - 15)} << 52 | mantissa << 42;
}

/// Returns float64 bits as float16 bits, rounded to nearest with ties to even. It rounds once:
/// going through float32 would round twice. A NaN stays a NaN.
inline std::uint16_t NarrowToFloat16(std::uint64_t bits) noexcept {
  const std::uint64_t sign = bits >> 48 & 0x8000U;
  const std::uint64_t magnitude = bits & ~(std::uint64_t{1} << 63);
  if (magnitude > kFloat64Exponent) {
    const std::uint64_t payload = (bits & kFloat64Mantissa) >> 42;
    return static_cast<std::uint16_t>(sign | 0x7c00U | (payload != 0 ? payload : 0x200U));
  }
  const auto exponent = static_cast<std::int64_t>(magnitude >> 52) - 1023;
  if (exponent > 15) {
    return static_cast<std::uint16_t>(sign | 0x7c00U);  // 65536 and more, infinity
  }
  if (exponent < -25) {
    return static_cast<std::uint16_t>(sign);  // less than half of 2^-24
  }
  std::uint64_t kept = magnitude & kFloat64Mantissa;
  unsigned dropped = 42;  // low bits of the mantissa that do not fit into float16
  if (exponent >= -14) {
    kept |= static_cast<std::uint64_t>(exponent + 15) << 52;
  } else {  // subnormal: the leading one becomes explicit and moves down
    kept |= std::uint64_t{1} << 52;
    dropped += static_cast<unsigned>(-14 - exponent);
  }
  const std::uint64_t half = std::uint64_t{1} << (dropped - 1);
  const std::uint64_t rest = kept & ((half << 1) - 1);
  kept >>= dropped;
  if (rest > half || (rest == half && (kept & 1U) != 0)) {
    ++kept;  // a carry into the exponent gives the next power of two, or infinity, as it should
  }
  return static_cast<std::uint16_t>(sign | kept);
}

}  // namespace stream_store::internal

// Float bits between widths such that every pattern survives: NaN payloads, signalling NaNs, -0.0,
// subnormals.
//
// Used by the loops of encode.cc and decode.cc. The hardware's own conversion sets the quiet bit of
// a NaN, so NaNs are widened and narrowed by shifting their bits instead; all other numbers convert
// exactly, or rounded to nearest.
#pragma once

#include <bit>
#include <cstdint>

namespace stream_store::internal {

inline constexpr std::uint64_t kFloat64Exponent = 0x7ff0000000000000U;
inline constexpr std::uint64_t kFloat64Mantissa = 0x000fffffffffffffU;

inline bool IsNanFloat32(std::uint32_t bits) noexcept { return (bits & 0x7fffffffU) > 0x7f800000U; }

inline bool IsNanFloat64(std::uint64_t bits) noexcept {
  return (bits & ~(std::uint64_t{1} << 63)) > kFloat64Exponent;
}

/// float32 bits as float64 bits.
inline std::uint64_t WidenFloat32(std::uint32_t bits) noexcept {
  if (IsNanFloat32(bits)) {
    return std::uint64_t{bits & 0x80000000U} << 32 | kFloat64Exponent |
           std::uint64_t{bits & 0x7fffffU} << 29;
  }
  return std::bit_cast<std::uint64_t>(static_cast<double>(std::bit_cast<float>(bits)));
}

/// float64 bits as float32 bits, rounded to nearest. A NaN stays one even if its payload does not
/// fit.
inline std::uint32_t NarrowToFloat32(std::uint64_t bits) noexcept {
  if (IsNanFloat64(bits)) {
    const auto payload = static_cast<std::uint32_t>((bits & kFloat64Mantissa) >> 29);
    return static_cast<std::uint32_t>(bits >> 32 & 0x80000000U) | 0x7f800000U |
           (payload != 0 ? payload : 0x400000U);
  }
  return std::bit_cast<std::uint32_t>(static_cast<float>(std::bit_cast<double>(bits)));
}

/// float16 bits as float64 bits.
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

/// float64 bits as float16 bits, rounded once, to nearest, ties to even. A NaN stays one.
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
  unsigned dropped = 42;  // low bits of the mantissa that float16 has no room for
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
    ++kept;  // may carry into the exponent: as it should
  }
  return static_cast<std::uint16_t>(sign | kept);
}

}  // namespace stream_store::internal

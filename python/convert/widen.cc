// The conversions of widen.h, one loop for each pair of types. NaNs are widened by their bits,
// because the conversion instruction of the processor would make a signalling NaN quiet.

#include "convert/widen.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

namespace stream_store::python {
namespace {

constexpr std::int64_t kExactInFloat64 = std::int64_t{1} << 53;
constexpr std::uint64_t kExponent = std::uint64_t{0x7ff} << 52;

struct Float32 {
  std::uint32_t bits;
};

struct Float16 {
  std::uint16_t bits;
};

double ToFloat64(Float32 item) {
  const std::uint64_t sign = std::uint64_t{item.bits >> 31} << 63;
  const std::uint64_t fraction = item.bits & 0x7fffffU;
  if ((item.bits >> 23 & 0xffU) == 0xffU) {
    return std::bit_cast<double>(sign | kExponent | fraction << 29);
  }
  return static_cast<double>(std::bit_cast<float>(item.bits));
}

double ToFloat64(Float16 item) {
  const auto bits = std::uint64_t{item.bits};
  const std::uint64_t sign = bits >> 15 << 63;
  const std::uint64_t fraction = bits & 0x3ffU;
  const auto exponent = static_cast<int>(bits >> 10 & 0x1fU);
  if (exponent == 0x1f) {
    return std::bit_cast<double>(sign | kExponent | fraction << 42);
  }
  const double size = exponent == 0
                          ? std::ldexp(static_cast<double>(fraction), -24)
                          : std::ldexp(static_cast<double>(fraction + 1024), exponent - 25);
  return std::bit_cast<double>(std::bit_cast<std::uint64_t>(size) | sign);
}

// Whether To holds the integer exactly.
template <class To, class From>
bool Fits(From item) {
  if constexpr (std::is_same_v<To, double> && sizeof(From) == 8) {
    return static_cast<std::int64_t>(item) >= -kExactInFloat64 &&
           static_cast<std::int64_t>(item) <= kExactInFloat64;
  } else if constexpr (std::is_same_v<To, std::uint64_t>) {
    return item >= From{0};
  } else if constexpr (std::is_same_v<To, std::int64_t> && std::is_same_v<From, std::uint64_t>) {
    return item <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  } else {
    return true;
  }
}

template <class To, class From>
bool Widen(const std::byte* items, std::size_t count, std::byte* out) {
  for (std::size_t i = 0; i < count; ++i) {
    From item{};
    std::memcpy(&item, items + i * sizeof(From), sizeof(From));
    To wide{};
    if constexpr (std::is_integral_v<From>) {
      if (!Fits<To>(item)) {
        return false;
      }
      wide = static_cast<To>(item);
    } else {
      wide = ToFloat64(item);
    }
    std::memcpy(out + i * sizeof(To), &wide, sizeof(To));
  }
  return true;
}

template <class To>
bool WidenTo(Source from, const std::byte* items, std::size_t count, std::byte* out) {
  switch (from) {
    case Source::kBool:
    case Source::kUInt8:
      return Widen<To, std::uint8_t>(items, count, out);
    case Source::kInt8:
      return Widen<To, std::int8_t>(items, count, out);
    case Source::kInt16:
      return Widen<To, std::int16_t>(items, count, out);
    case Source::kUInt16:
      return Widen<To, std::uint16_t>(items, count, out);
    case Source::kInt32:
      return Widen<To, std::int32_t>(items, count, out);
    case Source::kUInt32:
      return Widen<To, std::uint32_t>(items, count, out);
    case Source::kInt64:
      return Widen<To, std::int64_t>(items, count, out);
    case Source::kUInt64:
      return Widen<To, std::uint64_t>(items, count, out);
    default:
      break;
  }
  if constexpr (std::is_same_v<To, double>) {
    switch (from) {
      case Source::kFloat16:
        return Widen<double, Float16>(items, count, out);
      case Source::kFloat32:
        return Widen<double, Float32>(items, count, out);
      case Source::kFloat64:
        std::memcpy(out, items, count * sizeof(double));
        return true;
      default:
        break;
    }
  }
  return false;
}

bool IsInteger(Source source) { return source <= Source::kUInt64; }

}  // namespace

std::size_t BytesOf(Source source) noexcept {
  switch (source) {
    case Source::kBool:
    case Source::kInt8:
    case Source::kUInt8:
    case Source::kBytes:
      return 1;
    case Source::kInt16:
    case Source::kUInt16:
    case Source::kFloat16:
      return 2;
    case Source::kInt32:
    case Source::kUInt32:
    case Source::kFloat32:
      return 4;
    default:
      return 8;
  }
}

Source CommonSource(Source a, Source b) noexcept {
  if (!IsInteger(a) || !IsInteger(b)) {
    return Source::kFloat64;
  }
  return a == Source::kUInt64 || b == Source::kUInt64 ? Source::kUInt64 : Source::kInt64;
}

bool WidenItems(Source to, Source from, const std::byte* items, std::size_t count,
                std::byte* out) noexcept {
  switch (to) {
    case Source::kInt64:
      return WidenTo<std::int64_t>(from, items, count, out);
    case Source::kUInt64:
      return WidenTo<std::uint64_t>(from, items, count, out);
    default:
      return WidenTo<double>(from, items, count, out);
  }
}

}  // namespace stream_store::python

// The conversions of widen.h, one loop for each pair of types. NaNs are converted by their bits,
// because the conversion instruction of the processor would make a signalling NaN quiet.

#include "convert/widen.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

namespace stream_store::python {
namespace {

constexpr std::uint64_t kExponent = std::uint64_t{0x7ff} << 52;

struct Float32 {
  std::uint32_t bits;
};

struct Float16 {
  std::uint16_t bits;
};

double Number(Float32 item) {
  const std::uint64_t sign = std::uint64_t{item.bits >> 31} << 63;
  const std::uint64_t fraction = item.bits & 0x7fffffU;
  if ((item.bits >> 23 & 0xffU) == 0xffU) {
    return std::bit_cast<double>(sign | kExponent | fraction << 29);
  }
  return static_cast<double>(std::bit_cast<float>(item.bits));
}

double Number(Float16 item) {
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

// Whether the integral type To holds the number, which is not rounded.
template <class To, class From>
bool Holds(From item) {
  if constexpr (std::is_integral_v<From>) {
    return std::in_range<To>(item);
  } else {
    constexpr double kLimit = std::is_signed_v<To> ? 0x1p63 : 0x1p64;  // excluded
    return item >= static_cast<double>(std::numeric_limits<To>::min()) && item < kLimit &&
           std::trunc(item) == item;
  }
}

// Bools come from foreign memory, where a bool may have any bits, so they are read as bytes.
struct Bool {
  std::uint8_t byte;
};

std::uint8_t Number(Bool item) { return item.byte != 0 ? 1 : 0; }

template <class T>
T Number(T item) {
  return item;
}

template <class To, class From>
std::size_t Convert(const std::byte* items, std::size_t count, std::byte* out) {
  for (std::size_t i = 0; i < count; ++i) {
    From item{};
    std::memcpy(&item, items + i * sizeof(From), sizeof(From));
    const auto number = Number(item);
    if constexpr (std::is_integral_v<To>) {
      if (!Holds<To>(number)) {
        return i;
      }
    }
    const To converted = static_cast<To>(number);
    std::memcpy(out + i * sizeof(To), &converted, sizeof(To));
  }
  return count;
}

template <class To>
std::size_t ConvertTo(Source from, const std::byte* items, std::size_t count, std::byte* out) {
  switch (from) {
    case Source::kBool:
      return Convert<To, Bool>(items, count, out);
    case Source::kUInt8:
      return Convert<To, std::uint8_t>(items, count, out);
    case Source::kInt8:
      return Convert<To, std::int8_t>(items, count, out);
    case Source::kInt16:
      return Convert<To, std::int16_t>(items, count, out);
    case Source::kUInt16:
      return Convert<To, std::uint16_t>(items, count, out);
    case Source::kInt32:
      return Convert<To, std::int32_t>(items, count, out);
    case Source::kUInt32:
      return Convert<To, std::uint32_t>(items, count, out);
    case Source::kInt64:
      return Convert<To, std::int64_t>(items, count, out);
    case Source::kUInt64:
      return Convert<To, std::uint64_t>(items, count, out);
    case Source::kFloat16:
      return Convert<To, Float16>(items, count, out);
    case Source::kFloat32:
      return Convert<To, Float32>(items, count, out);
    case Source::kFloat64:
      return Convert<To, double>(items, count, out);
    default:
      return 0;
  }
}

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

Source CommonSource(DType dtype) noexcept {
  if (InfoOf(dtype).kind == DTypeKind::kFloat) {
    return Source::kFloat64;
  }
  return dtype == DType::kUInt64 ? Source::kUInt64 : Source::kInt64;
}

std::size_t ConvertItems(Source to, Source from, const std::byte* items, std::size_t count,
                         std::byte* out) noexcept {
  switch (to) {
    case Source::kInt64:
      return ConvertTo<std::int64_t>(from, items, count, out);
    case Source::kUInt64:
      return ConvertTo<std::uint64_t>(from, items, count, out);
    default:
      return ConvertTo<double>(from, items, count, out);
  }
}

}  // namespace stream_store::python

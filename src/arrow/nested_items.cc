// Conversions of items: one loop for each pair of types.

#include "arrow/nested_items.h"

#include <array>
#include <bit>
#include <cstring>
#include <tuple>
#include <utility>

#include "stream_store/field_write.h"

#include "arrow/bits.h"
#include "arrow/decimals.h"
#include "arrow/exact.h"
#include "arrow/loads.h"
#include "base/str_cat.h"
#include "format/encoding.h"
#include "format/float_bits.h"

namespace stream_store::arrow {

using internal::StrCat;

namespace {

const std::byte* AddressOf(const ItemsConversion& conversion, const ArrayView& array,
                           std::uint64_t element) {
  return array.first + (array.shift + element) * conversion.from_bytes;
}

template <class T>
void Store(std::byte* out, std::uint64_t i, T item) noexcept {
  std::memcpy(out + i * sizeof(T), &item, sizeof(T));
}

std::uint64_t CopyItems(const ItemsConversion& conversion, const ArrayView& array,
                        std::uint64_t begin, std::uint64_t count, std::byte* out) {
  std::memcpy(out, AddressOf(conversion, array, begin), count * conversion.to_bytes);
  return kAllConverted;
}

// Items without bytes have one zero byte each in a cell.
std::uint64_t WriteZeros(const ItemsConversion& conversion, const ArrayView& /*array*/,
                         std::uint64_t /*begin*/, std::uint64_t count, std::byte* out) {
  std::memset(out, 0, count * conversion.to_bytes);
  return kAllConverted;
}

std::uint64_t CopyBools(const ItemsConversion& /*conversion*/, const ArrayView& array,
                        std::uint64_t begin, std::uint64_t count, std::byte* out) {
  UnpackBits(reinterpret_cast<const std::uint8_t*>(array.first), array.shift + begin, count,
             reinterpret_cast<std::uint8_t*>(out));
  return kAllConverted;
}

// Notes only whether any number is out of range, so that the loop has no branch; the rare bad one
// is searched for afterwards.
template <class From, class To>
std::uint64_t ConvertIntegers(const ItemsConversion& conversion, const ArrayView& array,
                              std::uint64_t begin, std::uint64_t count, std::byte* out) {
  const std::byte* from = AddressOf(conversion, array, begin);
  bool all_fit = true;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto number = ItemAt<From>(from, i);
    all_fit &= std::in_range<To>(number);
    Store(out, i, static_cast<To>(number));
  }
  for (std::uint64_t i = 0; i < count && !all_fit; ++i) {
    if (!std::in_range<To>(ItemAt<From>(from, i))) {
      return i;
    }
  }
  return kAllConverted;
}

using Integers = std::tuple<std::int8_t, std::int16_t, std::int32_t, std::int64_t, std::uint8_t,
                            std::uint16_t, std::uint32_t, std::uint64_t>;
constexpr std::size_t kIntegers = std::tuple_size_v<Integers>;

template <std::size_t... kPairs>
constexpr std::array<ConvertItems, sizeof...(kPairs)> IntegerLoops(
    std::index_sequence<kPairs...> /*pairs*/) {
  return {ConvertIntegers<std::tuple_element_t<kPairs / kIntegers, Integers>,
                          std::tuple_element_t<kPairs % kIntegers, Integers>>...};
}

// By place of the column's type, then of the field's.
constexpr auto kIntegerLoops = IntegerLoops(std::make_index_sequence<kIntegers * kIntegers>());

std::size_t IntegerPlace(const Type& type) {
  const auto width = static_cast<std::size_t>(std::countr_zero(static_cast<unsigned>(type.bits)));
  return width - 3 + (type.is_signed ? 0 : 4);
}

std::uint64_t LoadFloat(const std::byte* from, int bits, std::uint64_t i) {
  switch (bits) {
    case 16:
      return internal::WidenFloat16(ItemAt<std::uint16_t>(from, i));
    case 32:
      return internal::WidenFloat32(ItemAt<std::uint32_t>(from, i));
    default:
      return ItemAt<std::uint64_t>(from, i);
  }
}

std::uint64_t ConvertFloats(const ItemsConversion& conversion, const ArrayView& array,
                            std::uint64_t begin, std::uint64_t count, std::byte* out) {
  const std::byte* from = AddressOf(conversion, array, begin);
  const bool narrows = conversion.to.bits < conversion.from.bits;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t number = LoadFloat(from, conversion.from.bits, i);
    if (narrows && !IsExact(number, conversion.to.bits)) {
      return i;
    }
    switch (conversion.to.bits) {
      case 16:
        Store(out, i, internal::NarrowToFloat16(number));
        break;
      case 32:
        Store(out, i, internal::NarrowToFloat32(number));
        break;
      default:
        Store(out, i, number);
        break;
    }
  }
  return kAllConverted;
}

std::uint64_t ConvertDecimals(const ItemsConversion& conversion, const ArrayView& array,
                              std::uint64_t begin, std::uint64_t count, std::byte* out) {
  for (std::uint64_t i = 0; i < count; ++i) {
    const WideDecimal number =
        LoadDecimal(AddressOf(conversion, array, begin + i), conversion.from_bytes);
    if (!HasAtMostDigits(number, conversion.to.precision)) {
      return i;
    }
    std::memcpy(out + i * conversion.to_bytes, number.data(), conversion.to_bytes);
  }
  return kAllConverted;
}

// The bytes of an item in a buffer of the column; of a bool, which has less than one, 0.
std::uint64_t BufferBytes(const Type& type) {
  return type.kind == Kind::kFixedBinary ? static_cast<std::uint64_t>(type.size)
                                         : static_cast<std::uint64_t>(type.bits) / 8;
}

bool FitsDecimal(const Type& from, const Type& to) {
  return from.kind == Kind::kDecimal && to.kind == Kind::kDecimal && from.scale == to.scale;
}

}  // namespace

std::optional<ItemsConversion> FindConversion(const Type& from, const Type& to,
                                              std::uint64_t to_bytes) {
  ItemsConversion found;
  found.from = from;
  found.to = to;
  found.from_bytes = BufferBytes(from);
  found.to_bytes = to_bytes;
  if (FitsDecimal(from, to)) {
    const bool same = from.bits == to.bits && from.precision <= to.precision;
    found.convert = same ? CopyItems : ConvertDecimals;
  } else if (from.kind == Kind::kInteger && to.kind == Kind::kInteger && from != to) {
    found.convert = kIntegerLoops[IntegerPlace(from) * kIntegers + IntegerPlace(to)];
  } else if (from.kind == Kind::kFloat && to.kind == Kind::kFloat && from != to) {
    found.convert = ConvertFloats;
  } else if (from != to) {
    return std::nullopt;
  } else if (from.kind == Kind::kBool) {
    found.convert = CopyBools;
  } else {
    found.convert = found.from_bytes == 0 ? WriteZeros : CopyItems;
  }
  return found;
}

std::string ConversionText(const ItemsConversion& conversion, const ArrayView& array,
                           std::uint64_t element) {
  const Type& from = conversion.from;
  const std::byte* item = AddressOf(conversion, array, element);
  if (from.kind == Kind::kInteger) {
    const bool wide = from.bits == 64 && !from.is_signed;
    return StrCat(wide ? std::to_string(ItemAt<std::uint64_t>(item, 0))
                       : std::to_string(LoadInteger(from, item)),
                  " is not a valid ", TypeText(conversion.to));
  }
  if (from.kind == Kind::kFloat) {
    const Source source = from.bits == 16   ? Source::kFloat16
                          : from.bits == 32 ? Source::kFloat32
                                            : Source::kFloat64;
    return StrCat(internal::ItemText(source, item, 0), " is not exact as ", TypeText(conversion.to),
                  "; cast the column, which rounds, or declare the field as ", TypeText(from));
  }
  return StrCat("a ", TypeText(from), " that is not a valid ", TypeText(conversion.to));
}

}  // namespace stream_store::arrow

// Interprets the Arrow format strings of nested types.

#include "format/nested_format.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "base/str_cat.h"

namespace stream_store::internal {
namespace {

using Kind = NestedType::Kind;

constexpr NestedName kNames[] = {
    {"null", "n"},
    {"bool", "b"},
    {"int8", "c"},
    {"int16", "s"},
    {"int32", "i"},
    {"int64", "l"},
    {"uint8", "C"},
    {"uint16", "S"},
    {"uint32", "I"},
    {"uint64", "L"},
    {"float16", "e"},
    {"float32", "f"},
    {"float64", "g"},
    {"string", "u"},
    {"large_string", "U"},
    {"string_view", "vu"},
    {"binary", "z"},
    {"large_binary", "Z"},
    {"binary_view", "vz"},
    {"date32", "tdD"},
    {"date64", "tdm"},
    {"time32[s]", "tts"},
    {"time32[ms]", "ttm"},
    {"time64[us]", "ttu"},
    {"time64[ns]", "ttn"},
    {"duration[s]", "tDs"},
    {"duration[ms]", "tDm"},
    {"duration[us]", "tDu"},
    {"duration[ns]", "tDn"},
    {"month_interval", "tiM"},
    {"day_time_interval", "tiD"},
    {"month_day_nano_interval", "tin"},
    // Other names of the same types.
    {"bool_", "b"},
    {"halffloat", "e"},
    {"float", "f"},
    {"double", "g"},
    {"utf8", "u"},
    {"large_utf8", "U"},
    {"utf8_view", "vu"},
    {"date32[day]", "tdD"},
    {"date64[ms]", "tdm"},
};

// The items of the types whose format is constant.
struct Items {
  std::string_view format;
  NestedItem item;
  std::uint32_t size;
};

constexpr Items kItems[] = {{"n", NestedItem::kNull, 0},     {"b", NestedItem::kBool, 1},
                            {"c", NestedItem::kInt, 1},      {"s", NestedItem::kInt, 2},
                            {"i", NestedItem::kInt, 4},      {"l", NestedItem::kInt, 8},
                            {"C", NestedItem::kUInt, 1},     {"S", NestedItem::kUInt, 2},
                            {"I", NestedItem::kUInt, 4},     {"L", NestedItem::kUInt, 8},
                            {"e", NestedItem::kFloat, 2},    {"f", NestedItem::kFloat, 4},
                            {"g", NestedItem::kFloat, 8},    {"tdD", NestedItem::kInt, 4},
                            {"tdm", NestedItem::kInt, 8},    {"tts", NestedItem::kInt, 4},
                            {"ttm", NestedItem::kInt, 4},    {"ttu", NestedItem::kInt, 8},
                            {"ttn", NestedItem::kInt, 8},    {"tDs", NestedItem::kInt, 8},
                            {"tDm", NestedItem::kInt, 8},    {"tDu", NestedItem::kInt, 8},
                            {"tDn", NestedItem::kInt, 8},    {"tiM", NestedItem::kOpaque, 4},
                            {"tiD", NestedItem::kOpaque, 8}, {"tin", NestedItem::kOpaque, 16}};

NestedFormat Plain(std::string_view format, Kind kind) {
  NestedFormat read;
  read.kind = kind;
  read.canonical = std::string(format);
  return read;
}

NestedFormat ItemOf(std::string_view format, NestedItem item, std::uint32_t size) {
  NestedFormat read = Plain(format, Kind::kItem);
  read.item = item;
  read.size = size;
  return read;
}

// "w:16" and "+w:3": a prefix, then a size.
std::optional<NestedFormat> Sized(std::string_view format, std::string_view prefix, Kind kind) {
  const auto size = NestedNumber(format.substr(prefix.size()));
  if (!size || *size < 0 || *size > INT32_MAX) {
    return std::nullopt;
  }
  NestedFormat read = Plain(format, kind);
  read.item = kind == Kind::kItem ? NestedItem::kFixedBytes : NestedItem::kNone;
  read.size = static_cast<std::uint32_t>(*size);
  read.canonical = std::string(prefix) + std::to_string(*size);
  return read;
}

// "d:precision,scale[,bits]".
std::optional<NestedFormat> Decimal(std::string_view format) {
  std::array<std::int64_t, 3> numbers = {0, 0, 128};
  std::string_view rest = format.substr(2);
  std::size_t found = 0;
  for (; found < numbers.size() && !rest.empty(); ++found) {
    const std::size_t comma = rest.find(',');
    const auto number = NestedNumber(rest.substr(0, comma));
    if (!number) {
      return std::nullopt;
    }
    numbers[found] = *number;
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
  }
  const auto [precision, scale, bits] = numbers;
  if (found < 2 || !rest.empty() || format.ends_with(',') || precision < 1 ||
      precision > LargestPrecision(bits) || scale < -kMaxScale || scale > kMaxScale) {
    return std::nullopt;
  }
  NestedFormat read = ItemOf(format, NestedItem::kOpaque, static_cast<std::uint32_t>(bits) / 8);
  read.canonical = StrCat("d:", precision, ",", scale);
  if (bits != 128) {
    read.canonical += StrCat(",", bits);
  }
  return read;
}

std::optional<NestedFormat> Nested(std::string_view format) {
  if (format == "+l" || format == "+L" || format == "+vl" || format == "+vL") {
    return Plain(format, Kind::kList);
  }
  if (format == "+m") {
    NestedFormat read = Plain(format, Kind::kList);
    read.is_map = true;
    return read;
  }
  if (format == "+s") {
    return Plain(format, Kind::kStruct);
  }
  return format.starts_with("+w:") ? Sized(format, "+w:", Kind::kFixedList) : std::nullopt;
}

}  // namespace

std::optional<NestedFormat> ReadNestedFormat(std::string_view format) {
  if (format.starts_with('+')) {
    return Nested(format);
  }
  if (format.starts_with("w:")) {
    return Sized(format, "w:", Kind::kItem);
  }
  if (format.starts_with("d:")) {
    return Decimal(format);
  }
  if (format.size() >= 4 && format.starts_with("ts") && format[3] == ':' &&
      std::string_view("smun").find(format[2]) != std::string_view::npos) {
    return ItemOf(format, NestedItem::kInt, 8);
  }
  for (const Items& items : kItems) {
    if (items.format == format) {
      return ItemOf(format, items.item, items.size);
    }
  }
  const bool is_text = format == "u" || format == "U" || format == "vu";
  if (!is_text && format != "z" && format != "Z" && format != "vz") {
    return std::nullopt;
  }
  NestedFormat read = Plain(format, Kind::kBytes);
  read.is_text = is_text;
  return read;
}

std::span<const NestedName> NestedNames() noexcept { return kNames; }

int LargestPrecision(std::int64_t bits) noexcept {
  switch (bits) {
    case 32:
      return 9;
    case 64:
      return 18;
    case 128:
      return 38;
    case 256:
      return 76;
    default:
      return 0;
  }
}

std::optional<std::int64_t> NestedNumber(std::string_view text) noexcept {
  std::int64_t number = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || result.ec != std::errc() || result.ptr != text.data() + text.size()) {
    return std::nullopt;
  }
  return number;
}

}  // namespace stream_store::internal

#include "arrow/type.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "stream_store/error.h"

#include "base/str_cat.h"

namespace stream_store::arrow {

using internal::StrCat;

namespace {

// Parses a number; none if there is anything else in `text`.
std::optional<std::int64_t> Number(std::string_view text) {
  std::int64_t number = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || result.ec != std::errc() || result.ptr != text.data() + text.size()) {
    return std::nullopt;
  }
  return number;
}

Type Simple(Kind kind, int bits = 0, bool is_signed = false) {
  Type type;
  type.kind = kind;
  type.bits = bits;
  type.is_signed = is_signed;
  return type;
}

Type Other(std::string_view format) {
  Type type;
  type.text = std::string(format);
  return type;
}

// The types whose format is a single letter.
Type OneLetter(char letter, std::string_view format) {
  switch (letter) {
    case 'n':
      return Simple(Kind::kNull);
    case 'b':
      return Simple(Kind::kBool);
    case 'c':
      return Simple(Kind::kInteger, 8, true);
    case 's':
      return Simple(Kind::kInteger, 16, true);
    case 'i':
      return Simple(Kind::kInteger, 32, true);
    case 'l':
      return Simple(Kind::kInteger, 64, true);
    case 'C':
      return Simple(Kind::kInteger, 8);
    case 'S':
      return Simple(Kind::kInteger, 16);
    case 'I':
      return Simple(Kind::kInteger, 32);
    case 'L':
      return Simple(Kind::kInteger, 64);
    case 'e':
      return Simple(Kind::kFloat, 16);
    case 'f':
      return Simple(Kind::kFloat, 32);
    case 'g':
      return Simple(Kind::kFloat, 64);
    case 'u':
      return Simple(Kind::kString, 32);
    case 'U':
      return Simple(Kind::kString, 64);
    case 'z':
      return Simple(Kind::kBinary, 32);
    case 'Z':
      return Simple(Kind::kBinary, 64);
    default:
      return Other(format);
  }
}

bool IsUnit(char unit) { return unit == 's' || unit == 'm' || unit == 'u' || unit == 'n'; }

// The intervals "tiM", "tiD" and "tin".
Type Interval(std::string_view format) {
  if (format == "tiM") {
    return Simple(Kind::kMonths, 32);
  }
  if (format == "tiD") {
    return Simple(Kind::kDayTime, 64);
  }
  return format == "tin" ? Simple(Kind::kMonthDayNano, 128) : Other(format);
}

// "tdD", "tts", "tsu:UTC", "tDn", "tin".
Type Temporal(std::string_view format) {
  if (format.size() < 3) {
    return Other(format);
  }
  const char unit = format[2];
  Type type;
  if (format[1] == 'd' && format.size() == 3 && (unit == 'D' || unit == 'm')) {
    return Simple(Kind::kDate, unit == 'D' ? 32 : 64);
  }
  if (format[1] == 'i') {
    return Interval(format);
  }
  if (!IsUnit(unit)) {
    return Other(format);
  }
  type.unit = unit;
  if (format[1] == 't' && format.size() == 3) {
    type.kind = Kind::kTime;
    type.bits = unit == 's' || unit == 'm' ? 32 : 64;
  } else if (format[1] == 's' && format.size() > 3 && format[3] == ':') {
    type.kind = Kind::kTimestamp;
    type.bits = 64;
    type.text = std::string(format.substr(4));
  } else if (format[1] == 'D' && format.size() == 3) {
    type.kind = Kind::kDuration;
    type.bits = 64;
  } else {
    return Other(format);
  }
  return type;
}

// "d:precision,scale[,bits]". Precision and scale have no fixed limits in the specification; the
// bound keeps them within an int.
Type Decimal(std::string_view format) {
  std::array<std::int64_t, 3> numbers = {0, 0, 128};
  std::string_view rest = format.substr(2);
  std::size_t found = 0;
  for (; found < numbers.size() && !rest.empty(); ++found) {
    const std::size_t comma = rest.find(',');
    const auto number = Number(rest.substr(0, comma));
    if (!number || *number < -100'000 || *number > 100'000) {
      return Other(format);
    }
    numbers[found] = *number;
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
  }
  const std::int64_t bits = numbers[2];
  const std::int64_t digits = bits == 32 ? 9 : bits == 64 ? 18 : bits == 128 ? 38 : 76;
  if (found < 2 || !rest.empty() || numbers[0] < 1 || numbers[0] > digits ||
      (bits != 32 && bits != 64 && bits != 128 && bits != 256)) {
    return Other(format);
  }
  Type type = Simple(Kind::kDecimal, static_cast<int>(numbers[2]));
  type.precision = static_cast<int>(numbers[0]);
  type.scale = static_cast<int>(numbers[1]);
  return type;
}

Type Sized(Kind kind, std::string_view format, std::string_view size) {
  const auto number = Number(size);
  if (!number || *number < 0 || *number > INT32_MAX) {
    return Other(format);
  }
  Type type = Simple(kind);
  type.size = *number;
  return type;
}

// The types with children, whose formats begin with '+'.
Type WithChildren(std::string_view format) {
  if (format == "+l" || format == "+L") {
    return Simple(Kind::kList, format == "+l" ? 32 : 64);
  }
  if (format == "+vl" || format == "+vL") {
    return Simple(Kind::kListView, format == "+vl" ? 32 : 64);
  }
  if (format == "+s") {
    return Simple(Kind::kStruct);
  }
  if (format == "+m") {
    return Simple(Kind::kMap, 32);
  }
  if (format == "+r") {
    return Simple(Kind::kRunEnds);
  }
  if (format.starts_with("+w:")) {
    return Sized(Kind::kFixedList, format, format.substr(3));
  }
  Type type = Other(format);
  if (format.starts_with("+us:") || format.starts_with("+ud:")) {
    type.kind = Kind::kUnion;
  }
  return type;
}

}  // namespace

Type ParseFormat(const char* format) {
  const std::string_view text = format == nullptr ? "" : format;
  if (text.size() == 1) {
    return OneLetter(text[0], text);
  }
  if (text.starts_with('+')) {
    return WithChildren(text);
  }
  if (text == "vu" || text == "vz") {
    return Simple(text == "vu" ? Kind::kString : Kind::kBinary);
  }
  if (text.starts_with("w:")) {
    return Sized(Kind::kFixedBinary, text, text.substr(2));
  }
  if (text.starts_with("d:")) {
    return Decimal(text);
  }
  return text.starts_with('t') ? Temporal(text) : Other(text);
}

namespace {

// The types of the default formats, in the order of DType.
std::vector<Type> ParseDefaults() {
  std::vector<Type> types;
  types.reserve(kDTypeCount);
  for (int i = 0; i < kDTypeCount; ++i) {
    types.push_back(ParseFormat(std::string(InfoOf(static_cast<DType>(i)).arrow_format).c_str()));
  }
  return types;
}

// Compares without the parameters that a DType leaves open: the time zone, the precision and scale
// of a decimal, and the width of the offsets of strings and binaries.
bool SameItems(const Type& a, const Type& b) {
  return a.kind == b.kind && a.unit == b.unit && a.is_signed == b.is_signed &&
         (a.is_bytes() || a.bits == b.bits);
}

}  // namespace

std::optional<DType> DTypeOf(const Type& type) {
  if (type.kind == Kind::kFixedBinary) {
    return DType::kFixedBinary;  // its default format has no size yet, so it cannot be parsed
  }
  if (type.kind == Kind::kOther) {
    return std::nullopt;
  }
  static const std::vector<Type> defaults = ParseDefaults();
  const auto found = std::ranges::find_if(
      defaults, [&](const Type& candidate) { return SameItems(candidate, type); });
  if (found == defaults.end()) {
    return std::nullopt;
  }
  return static_cast<DType>(found - defaults.begin());
}

namespace {

std::string DefaultItem(const Field& field) {
  const std::string format(InfoOf(field.dtype).arrow_format);
  return field.dtype == DType::kFixedBinary ? StrCat(format, field.shape.at(0)) : format;
}

bool LevelFits(const Type& level, std::uint32_t dimension) {
  if (level.kind == Kind::kFixedList) {
    return dimension != kRagged && level.size == static_cast<std::int64_t>(dimension);
  }
  return level.has_offsets();
}

}  // namespace

std::span<const std::uint32_t> ListShape(const Field& field) {
  const bool no_lists = field.dtype == DType::kFixedBinary || field.dtype == DType::kNull;
  return no_lists ? std::span<const std::uint32_t>() : std::span(field.shape);
}

std::vector<std::string> LevelsOf(const Field& field, const ArrowField& given) {
  const std::size_t lists = ListShape(field).size();
  if (given.type.format.empty()) {
    std::vector<std::string> levels(lists, "+l");
    // As the features that Python declares: a List of fixed length for one dimension, an Array2D,
    // which Arrow shows as nested lists, for more.
    if (lists == 1 && field.shape[0] != kRagged) {
      levels[0] = StrCat("+w:", field.shape[0]);
    }
    levels.push_back(DefaultItem(field));
    return levels;
  }
  std::vector<std::string> levels;
  const ArrowType* node = &given.type;
  for (; node->children.size() == 1; node = node->children.data()) {
    levels.push_back(node->format);
  }
  levels.push_back(node->format);
  bool fits = node->children.empty() && levels.size() == lists + 1 &&
              DTypeOf(ParseFormat(levels.back().c_str())) == field.dtype;
  for (std::size_t i = 0; fits && i < lists; ++i) {
    fits = LevelFits(ParseFormat(levels[i].c_str()), field.shape[i]);
  }
  if (!fits) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat("field '", field.name, "': expected the Arrow formats of ", FieldText(field),
                       " but found others"));
  }
  return levels;
}

}  // namespace stream_store::arrow

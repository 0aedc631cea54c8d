// Arrow types: converts format strings of the C data interface to and from their meaning.
//
// Used by every file of this folder. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "stream_store/arrow.h"
#include "stream_store/schema.h"

namespace stream_store::arrow {

enum class Kind : std::uint8_t {
  kNull,
  kBool,
  kInteger,      ///< `bits`, `is_signed`
  kFloat,        ///< `bits`
  kDate,         ///< `bits`
  kTime,         ///< `bits`, `unit`
  kTimestamp,    ///< `unit`, zone in `text`
  kDuration,     ///< `unit`
  kDecimal,      ///< `bits`, `precision`, `scale`
  kString,       ///< `bits` of its offsets, 0 for a string view
  kBinary,       ///< `bits` of its offsets, 0 for a binary view
  kFixedBinary,  ///< `size` bytes
  kList,         ///< `bits` of its offsets
  kListView,     ///< `bits` of its offsets
  kFixedList,    ///< `size` items
  kStruct,
  kMap,           ///< a list of entries, which are structs of a key and a value; 32-bit offsets
  kRunEnds,       ///< run-end encoded: children with the ends of the runs and their values
  kMonths,        ///< interval of months, int32
  kDayTime,       ///< interval of days and milliseconds, int32 each
  kMonthDayNano,  ///< interval of months and days, int32 each, and nanoseconds, int64
  kUnion,         ///< which cannot be stored: the format in `text`
  kOther          ///< unknown: the format in `text`
};

/// The meaning of one format string. Children are not included.
struct Type {
  Kind kind = Kind::kOther;
  int bits = 0;
  bool is_signed = false;
  char unit = 0;  ///< s, m (milliseconds), u or n
  int precision = 0;
  int scale = 0;
  std::int64_t size = 0;
  std::string text = {};  ///< the time zone, or the format of kUnion and kOther

  friend bool operator==(const Type&, const Type&) = default;

  /// Whether it is a list of any layout, except a map.
  bool is_list() const noexcept {
    return kind == Kind::kList || kind == Kind::kListView || kind == Kind::kFixedList;
  }

  /// Whether it is a list whose length varies, with offsets of `bits`; a map is not counted.
  bool has_offsets() const noexcept { return kind == Kind::kList || kind == Kind::kListView; }

  /// Whether it is an interval. These have no flat field.
  bool is_interval() const noexcept {
    return kind == Kind::kMonths || kind == Kind::kDayTime || kind == Kind::kMonthDayNano;
  }

  /// Whether it is a string or a binary of varying length.
  bool is_bytes() const noexcept { return kind == Kind::kString || kind == Kind::kBinary; }
};

/// Parses a format string. Returns kOther for an unknown, malformed or null one.
Type ParseFormat(const char* format);

/// The type as pyarrow writes it, without its children: "timestamp[us, tz=UTC]", "list".
std::string TypeText(const Type& type);

/// The same with children: "list<list<float32>>", "struct<a: int8>", "map<string, int32>". Of a
/// dictionary and a run-end encoded type, the type of the values is shown. The schema must have
/// passed CheckSchema().
std::string TypeText(const ArrowSchema& schema);

/// The item type of the flat fields that hold such items. None for types that only nested fields
/// hold, such as lists, structs, decimal32 and intervals.
std::optional<DType> DTypeOf(const Type& type);

/// The dimensions of a field that become Arrow lists. These are all of them, except for two dtypes:
/// the dimension of a fixed_binary is its number of bytes, and null columns have no lists.
std::span<const std::uint32_t> ListShape(const Field& field);

/// The format strings of a field from the outside in: those of `given.type`, or the default if that
/// has none. Throws Error(kInvalidArgument) if `given.type` does not match the field.
std::vector<std::string> LevelsOf(const Field& field, const ArrowField& given);

}  // namespace stream_store::arrow

// Arrow types: format strings <-> what they mean. Pure functions.
//
// Who uses it: everything in this room.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "stream_store/arrow.h"

namespace stream_store::arrow {

enum class Kind : std::uint8_t {
  kNull,
  kBool,
  kInteger,      ///< `bits`, `is_signed`
  kFloat,        ///< `bits`
  kDate,         ///< `bits`
  kTime,         ///< `bits`, `unit`
  kTimestamp,    ///< `unit`, `zone`
  kDuration,     ///< `unit`
  kDecimal,      ///< `bits`, `precision`, `scale`
  kString,       ///< `bits` of its offsets, 0: views
  kBinary,       ///< the same
  kFixedBinary,  ///< `size` bytes
  kList,         ///< `bits` of its offsets
  kListView,     ///< `bits` of its offsets
  kFixedList,    ///< `size` items
  kStruct,
  kOther  ///< maps, unions, run-end encoding, intervals: `text` is the format
};

struct Type {
  Kind kind = Kind::kOther;
  int bits = 0;
  bool is_signed = false;
  char unit = 0;  ///< s, m (milliseconds), u, n
  int precision = 0;
  int scale = 0;
  std::int64_t size = 0;
  std::string text = {};  ///< zone, or the format of kOther

  friend bool operator==(const Type&, const Type&) = default;

  bool is_list() const noexcept {
    return kind == Kind::kList || kind == Kind::kListView || kind == Kind::kFixedList;
  }

  bool is_bytes() const noexcept { return kind == Kind::kString || kind == Kind::kBinary; }
};

/// What a format string means; kOther for what is unknown or malformed.
Type ParseFormat(const char* format);

/// The type as pyarrow writes it, without its children: "timestamp[us, tz=UTC]", "list".
std::string TypeText(const Type& type);

/// The same with children: "list<list<float32>>", "struct<a: int8>". REQUIRES: CheckSchema().
std::string TypeText(const ArrowSchema& schema);

/// The item type of fields that hold such items; nothing for lists, structs and what no field
/// holds.
std::optional<DType> DTypeOf(const Type& type);

/// The dimensions of a field that are lists: all, but for a fixed-size binary, whose one is its
/// bytes, and for nulls, which are none in any shape.
std::span<const std::uint32_t> ListShape(const Field& field);

/// The formats of a field, from the outside in; those given, or the default. Throws
/// Error(kInvalidArgument) if those given cannot be its.
std::vector<std::string> LevelsOf(const Field& field, const ArrowField& given);

}  // namespace stream_store::arrow

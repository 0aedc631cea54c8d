// Item types: the one table of the properties that follow from the type of a field's items.
//
// A DType is the type of one item of a field. The names, sizes, NumPy dtypes and Arrow formats that
// belong to it are looked up with InfoOf(); no other table of them exists, in C++ or in Python
// (stream_store.features.dtypes receives this one from the extension). Properties that a DType
// leaves open, such as a time zone or the precision of a decimal, are kept in Field::feature_json.
#pragma once

#include <cstdint>
#include <string_view>

#include "stream_store/export.h"

namespace stream_store {

/// The type of one item of a field. Persistent: never change the number of an existing one.
enum class DType : std::uint8_t {
  kNull = 0,  ///< never holds a value
  kBool = 1,
  kInt8 = 2,
  kInt16 = 3,
  kInt32 = 4,
  kInt64 = 5,
  kUInt8 = 6,
  kUInt16 = 7,
  kUInt32 = 8,
  kUInt64 = 9,  ///< stored as the int64 of the same bits
  kFloat16 = 10,
  kFloat32 = 11,
  kFloat64 = 12,
  kDate32 = 13,       ///< days since 1970-01-01
  kDate64 = 14,       ///< milliseconds since 1970-01-01
  kTime32S = 15,      ///< seconds since midnight
  kTime32Ms = 16,     ///< milliseconds since midnight
  kTime64Us = 17,     ///< microseconds since midnight
  kTime64Ns = 18,     ///< nanoseconds since midnight
  kTimestampS = 19,   ///< seconds since the start of 1970-01-01
  kTimestampMs = 20,  ///< milliseconds since then
  kTimestampUs = 21,  ///< microseconds since then
  kTimestampNs = 22,  ///< nanoseconds since then
  kDurationS = 23,    ///< seconds
  kDurationMs = 24,   ///< milliseconds
  kDurationUs = 25,   ///< microseconds
  kDurationNs = 26,   ///< nanoseconds
  kDecimal128 = 27,   ///< two words, the lower first
  kDecimal256 = 28,   ///< four words, the lowest first
  kString = 29,       ///< UTF-8, one value per byte
  kBinary = 30,       ///< one value per byte
  kFixedBinary = 31,  ///< shape {n}: n bytes, one value per byte
  kNested = 32        ///< cells of any Arrow type, see Field::nested
};

/// The number of item types. Their numbers are [0, kDTypeCount).
inline constexpr int kDTypeCount = 33;

/// Families of item types. Types of one kind are appended and decoded under the same rules.
enum class DTypeKind : std::uint8_t {
  kNull,
  kBool,
  kInt,
  kUInt,
  kFloat,
  kDate,
  kTime,
  kTimestamp,
  kDuration,
  kDecimal,
  kBytes,  ///< string, binary and fixed_binary
  kNested
};

/// Everything that follows from an item type alone.
struct DTypeInfo {
  std::string_view name;    ///< persistent, used in messages and in Python: "float32"
  DTypeKind kind;           ///< the family
  std::uint16_t bits;       ///< width of the type: float16 16, date32 32, decimal256 256, bool 1
  std::uint8_t item_bytes;  ///< size of one decoded item, that of `numpy`; of a decimal its bytes
  std::uint8_t item_words;  ///< stored words of one item, if the field is not packed
  std::string_view numpy;   ///< dtype of decoded items: "f4", "M8[us]"; "O" for decimal and null
  std::string_view arrow_format;  ///< default format of Arrow's C data interface: "f", "tsu:"; for
                                  ///< fixed_binary "w:", after which the number of bytes follows
  std::string_view unit;          ///< NumPy's unit of a date, time, timestamp or duration, else ""
};

/// The entry of an item type, or an entry named "unknown" if the number is not that of a DType, as
/// in a damaged file. The reference is always valid. Cost: one array access.
STREAM_STORE_API const DTypeInfo& InfoOf(DType dtype) noexcept;

/// "float32", "timestamp_ns", …: the name used in messages and in Python.
inline std::string_view DTypeName(DType dtype) noexcept { return InfoOf(dtype).name; }

/// Whether items are int8 to int64 or uint8 to uint64. False for bools, dates and times.
inline bool IsInteger(DType dtype) noexcept {
  return dtype >= DType::kInt8 && dtype <= DType::kUInt64;
}

/// Whether items are float16, float32 or float64.
inline bool IsFloat(DType dtype) noexcept {
  return dtype >= DType::kFloat16 && dtype <= DType::kFloat64;
}

}  // namespace stream_store

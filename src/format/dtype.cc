// The table of item types.

#include "stream_store/dtype.h"

#include <array>
#include <cstddef>

namespace stream_store {
namespace {

constexpr DTypeInfo Integer(std::string_view name, DTypeKind kind, int bytes,
                            std::string_view numpy, std::string_view arrow_format) {
  return {name,
          kind,
          static_cast<std::uint16_t>(8 * bytes),
          static_cast<std::uint8_t>(bytes),
          1,
          numpy,
          arrow_format,
          ""};
}

constexpr DTypeInfo Float(std::string_view name, int bytes, std::string_view numpy,
                          std::string_view arrow_format) {
  return Integer(name, DTypeKind::kFloat, bytes, numpy, arrow_format);
}

// NumPy's datetime64 and timedelta64 have 8 bytes, also for the 32-bit types.
constexpr DTypeInfo Temporal(std::string_view name, DTypeKind kind, int bits,
                             std::string_view numpy, std::string_view arrow_format,
                             std::string_view unit) {
  return {name, kind, static_cast<std::uint16_t>(bits), 8, 1, numpy, arrow_format, unit};
}

constexpr DTypeInfo Bytes(std::string_view name, std::string_view arrow_format) {
  return {name, DTypeKind::kBytes, 8, 1, 1, "u1", arrow_format, ""};
}

constexpr DTypeInfo Decimal(std::string_view name, int words, std::string_view arrow_format) {
  return {name,
          DTypeKind::kDecimal,
          static_cast<std::uint16_t>(64 * words),
          static_cast<std::uint8_t>(8 * words),
          static_cast<std::uint8_t>(words),
          "O",
          arrow_format,
          ""};
}

// In the order of DType.
constexpr std::array<DTypeInfo, kDTypeCount> kTable = {{
    {"null", DTypeKind::kNull, 0, 8, 0, "O", "n", ""},
    {"bool", DTypeKind::kBool, 1, 1, 1, "?", "b", ""},
    Integer("int8", DTypeKind::kInt, 1, "i1", "c"),
    Integer("int16", DTypeKind::kInt, 2, "i2", "s"),
    Integer("int32", DTypeKind::kInt, 4, "i4", "i"),
    Integer("int64", DTypeKind::kInt, 8, "i8", "l"),
    Integer("uint8", DTypeKind::kUInt, 1, "u1", "C"),
    Integer("uint16", DTypeKind::kUInt, 2, "u2", "S"),
    Integer("uint32", DTypeKind::kUInt, 4, "u4", "I"),
    Integer("uint64", DTypeKind::kUInt, 8, "u8", "L"),
    Float("float16", 2, "f2", "e"),
    Float("float32", 4, "f4", "f"),
    Float("float64", 8, "f8", "g"),
    Temporal("date32", DTypeKind::kDate, 32, "M8[D]", "tdD", "D"),
    Temporal("date64", DTypeKind::kDate, 64, "M8[ms]", "tdm", "ms"),
    Temporal("time32_s", DTypeKind::kTime, 32, "m8[s]", "tts", "s"),
    Temporal("time32_ms", DTypeKind::kTime, 32, "m8[ms]", "ttm", "ms"),
    Temporal("time64_us", DTypeKind::kTime, 64, "m8[us]", "ttu", "us"),
    Temporal("time64_ns", DTypeKind::kTime, 64, "m8[ns]", "ttn", "ns"),
    Temporal("timestamp_s", DTypeKind::kTimestamp, 64, "M8[s]", "tss:", "s"),
    Temporal("timestamp_ms", DTypeKind::kTimestamp, 64, "M8[ms]", "tsm:", "ms"),
    Temporal("timestamp_us", DTypeKind::kTimestamp, 64, "M8[us]", "tsu:", "us"),
    Temporal("timestamp_ns", DTypeKind::kTimestamp, 64, "M8[ns]", "tsn:", "ns"),
    Temporal("duration_s", DTypeKind::kDuration, 64, "m8[s]", "tDs", "s"),
    Temporal("duration_ms", DTypeKind::kDuration, 64, "m8[ms]", "tDm", "ms"),
    Temporal("duration_us", DTypeKind::kDuration, 64, "m8[us]", "tDu", "us"),
    Temporal("duration_ns", DTypeKind::kDuration, 64, "m8[ns]", "tDn", "ns"),
    Decimal("decimal128", 2, "d:38,0"),
    Decimal("decimal256", 4, "d:76,0,256"),
    Bytes("string", "u"),
    Bytes("binary", "z"),
    Bytes("fixed_binary", "w:"),
    {"nested", DTypeKind::kNested, 8, 1, 1, "O", "", ""},
}};

constexpr DTypeInfo kUnknown = {"unknown", DTypeKind::kNull, 0, 8, 0, "O", "", ""};

static_assert(kTable[static_cast<std::size_t>(DType::kUInt64)].name == "uint64");
static_assert(kTable[static_cast<std::size_t>(DType::kTime64Ns)].name == "time64_ns");
static_assert(kTable[static_cast<std::size_t>(DType::kFixedBinary)].name == "fixed_binary");

}  // namespace

const DTypeInfo& InfoOf(DType dtype) noexcept {
  // A DType read from a damaged file may have any number.
  const auto number = static_cast<std::size_t>(dtype);
  return number < kTable.size() ? kTable[number] : kUnknown;
}

}  // namespace stream_store

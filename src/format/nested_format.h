// NestedFormat: the properties that follow from the Arrow format string of a node of a nested type.
//
// The one place that interprets format strings of nested types. Used by nested_type.cc (types and
// their texts) and nested_block.cc (plans). Thread rules: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "stream_store/nested.h"

namespace stream_store::internal {

/// The values that the items of a kItem node hold. kNone for all other kinds of nodes.
enum class NestedItem : std::uint8_t {
  kNone,
  kNull,        ///< no value: one zero byte for each item
  kBool,        ///< one byte, 0 or 1
  kInt,         ///< signed integers, dates, times, timestamps and durations
  kUInt,        ///< unsigned integers
  kFloat,       ///< floats of 2, 4 or 8 bytes
  kFixedBytes,  ///< binaries of fixed size
  kOpaque       ///< decimals and intervals, given as their bytes
};

/// The properties of one format string.
struct NestedFormat {
  NestedType::Kind kind = NestedType::Kind::kItem;
  NestedItem item = NestedItem::kNone;
  bool is_text = false;    ///< of kBytes: must be UTF-8
  bool is_map = false;     ///< of kList
  std::uint32_t size = 0;  ///< as NestedType::size
  std::string canonical;   ///< the format as Arrow writes it: "d:10,2" for "d:10,2,128"
};

/// Interprets a format string. Returns nothing for a format that a nested type cannot have.
std::optional<NestedFormat> ReadNestedFormat(std::string_view format);

/// The name of a type whose format is constant, such as "int32" and "i".
struct NestedName {
  std::string_view name;
  std::string_view format;
};

/// All names of such types; the first one of a format is the canonical one.
std::span<const NestedName> NestedNames() noexcept;

/// The largest precision of a decimal of `bits` bits, or 0 if there is no such decimal.
int LargestPrecision(std::int64_t bits) noexcept;

/// Scales of decimals lie between -kMaxScale and kMaxScale.
inline constexpr std::int64_t kMaxScale = 100'000;

/// Parses a decimal number; nothing if there is anything else in `text`.
std::optional<std::int64_t> NestedNumber(std::string_view text) noexcept;

}  // namespace stream_store::internal

// Items of nested cells: copies those of a foreign array, and converts them to the type of the field.
//
// Used by nested_writer.cc. The conversion of a column is chosen once, when the import is planned.
// It never changes a value: an item that the field cannot hold exactly is reported instead.
// Thread rules: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "arrow/array_view.h"
#include "arrow/type.h"

namespace stream_store::arrow {

struct ItemsConversion;

/// Converts elements [begin, begin + count) of `array` and writes them to `out`, one after the
/// other. Returns kAllConverted, or the index of the first item that has no exact counterpart,
/// counted from `begin`; `out` is unspecified then.
using ConvertItems = std::uint64_t (*)(const ItemsConversion& conversion, const ArrayView& array,
                                       std::uint64_t begin, std::uint64_t count, std::byte* out);

inline constexpr std::uint64_t kAllConverted = ~std::uint64_t{0};

/// How the items of one column become those of a field.
struct ItemsConversion {
  ConvertItems convert = nullptr;
  Type from = {};                ///< of the column
  Type to = {};                  ///< of the field
  std::uint64_t from_bytes = 0;  ///< of an item in the column's buffer; of a bool 0
  std::uint64_t to_bytes = 0;    ///< of an item in the cell
};

/// Returns the conversion, or nothing if the types do not fit. Integers, floats and decimals of
/// equal scale fit each other, whatever their widths; any other type must be the same.
///
/// to_bytes  the bytes of an item in the cell.
std::optional<ItemsConversion> FindConversion(const Type& from, const Type& to,
                                              std::uint64_t to_bytes);

/// Describes an item that could not be converted: "300 is not a valid uint8".
std::string ConversionText(const ItemsConversion& conversion, const ArrayView& array,
                           std::uint64_t element);

}  // namespace stream_store::arrow

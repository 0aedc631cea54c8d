// Conversion of numbers of different types in one column to one type.
//
// Used by column.cc. Pure functions.
#pragma once

#include <cstddef>

#include "stream_store/store.h"

namespace stream_store::python {

/// Size of one item.
std::size_t BytesOf(Source source) noexcept;

/// The type to which the numbers of a column are converted if their types differ: kFloat64 for a
/// float field, kUInt64 for uint64, kInt64 for other fields of numbers.
///
/// The store converts each number through the same type, so the rows are those that appending the
/// numbers one by one would store.
Source CommonSource(DType dtype) noexcept;

/// Writes `count` items of type `from` as type `to`, a result of CommonSource(). Ints are rounded to
/// the nearest float64, as the store rounds them. Returns the index of the first item that an
/// integer type cannot hold, or `count`.
std::size_t ConvertItems(Source to, Source from, const std::byte* items, std::size_t count,
                         std::byte* out) noexcept;

}  // namespace stream_store::python

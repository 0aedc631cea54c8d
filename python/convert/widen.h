// Widening of numbers of different types in one column to int64, uint64 or float64, without loss.
//
// Used by column.cc. Pure functions.
#pragma once

#include <cstddef>

#include "stream_store/store.h"

namespace stream_store::python {

/// Size of one item.
std::size_t BytesOf(Source source) noexcept;

/// The type to which numbers of both types are widened: kInt64, kUInt64 or kFloat64. kUInt64 items
/// are only passed for uint64 fields, which have no negative numbers.
Source CommonSource(Source a, Source b) noexcept;

/// Writes `count` items of type `from` as type `to`, a result of CommonSource(). Returns false if
/// one of them cannot be represented exactly.
bool WidenItems(Source to, Source from, const std::byte* items, std::size_t count,
                std::byte* out) noexcept;

}  // namespace stream_store::python

// Numbers of different kinds in one column: every item as int64, uint64 or float64, bits kept.
#pragma once

#include <cstddef>

#include "stream_store/store.h"

namespace stream_store::python {

/// Bytes of one item.
std::size_t BytesOf(Source source) noexcept;

/// The kind that takes numbers of both: kInt64, kUInt64 or kFloat64. Only a uint64 field is given
/// kUInt64, and it has no negative numbers.
Source CommonSource(Source a, Source b) noexcept;

/// Writes `count` items of `from` as `to`, one of those three; false if one does not fit exactly.
bool WidenItems(Source to, Source from, const std::byte* items, std::size_t count,
                std::byte* out) noexcept;

}  // namespace stream_store::python

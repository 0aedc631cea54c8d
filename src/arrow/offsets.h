// Offsets of Arrow lists and texts, as an export writes them: 32 or 64 bits wide.
//
// Used by leaf_builder.cc, which keeps 32-bit offsets below 2^31 by ending a batch early.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace stream_store::arrow {

template <class Offset>
void FillOffsets(std::byte* offsets, std::uint64_t first, std::uint64_t count, std::uint64_t from,
                 std::uint64_t each) {
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto offset = static_cast<Offset>(from + i * each);
    std::memcpy(offsets + (first + i) * sizeof(Offset), &offset, sizeof(offset));
  }
}

/// Writes offsets [first, first + count) of an array: from, from + each, from + 2 * each, ...
///
/// wide  64-bit offsets; otherwise 32-bit ones, which every written number must fit.
inline void FillOffsetsOf(bool wide, std::byte* offsets, std::uint64_t first, std::uint64_t count,
                          std::uint64_t from, std::uint64_t each) {
  wide ? FillOffsets<std::int64_t>(offsets, first, count, from, each)
       : FillOffsets<std::int32_t>(offsets, first, count, from, each);
}

}  // namespace stream_store::arrow

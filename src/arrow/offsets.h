// Offsets of Arrow lists and texts, as an export writes them: 32 or 64 bits wide.
//
// Used by leaf_builder.cc and nested_builder.cc, which keep 32-bit offsets below 2^31 by ending a
// batch early.
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

template <class Offset>
void FillSizes(const std::byte* offsets, std::uint64_t count, std::byte* sizes) {
  for (std::uint64_t i = 0; i < count; ++i) {
    Offset begin = 0;
    Offset end = 0;
    std::memcpy(&begin, offsets + i * sizeof(Offset), sizeof(begin));
    std::memcpy(&end, offsets + (i + 1) * sizeof(Offset), sizeof(end));
    const auto size = static_cast<Offset>(end - begin);
    std::memcpy(sizes + i * sizeof(Offset), &size, sizeof(size));
  }
}

/// Writes the sizes of `count` lists, as list views have them, from their count + 1 offsets. Both
/// are 64 bits wide if `wide` is set, otherwise 32.
inline void FillSizesOf(bool wide, const std::byte* offsets, std::uint64_t count,
                        std::byte* sizes) {
  wide ? FillSizes<std::int64_t>(offsets, count, sizes)
       : FillSizes<std::int32_t>(offsets, count, sizes);
}

}  // namespace stream_store::arrow

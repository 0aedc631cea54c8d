// Copies parts of nested blocks to Arrow buffers: lengths to offsets, and items to their places
// between nulls.
//
// Used by nested_builder.cc. Pure functions over memory that the caller has checked.
#pragma once

#include <cstddef>
#include <cstdint>

namespace stream_store::arrow {

/// Returns the end of the run of equal bits that begins at bit `begin`, at most `end`.
/// REQUIRES: begin < end
std::uint64_t EndOfRun(const std::uint8_t* bits, std::uint64_t begin, std::uint64_t end) noexcept;

/// Copies bits [begin, begin + count) of `from` to those of `to` from bit `at` on, which must be 0.
/// Returns how many of them are set.
std::uint64_t CopyBits(const std::uint8_t* from, std::uint64_t begin, std::uint64_t count,
                       std::uint8_t* to, std::uint64_t at) noexcept;

/// Writes the offsets at the ends of `count` texts or lists, the first of which begins at the offset
/// `from`. Returns the last one.
///
/// wide          64-bit offsets; otherwise 32-bit ones, which every offset must fit.
/// lengths       of 1, 2, 4 or 8 bytes each.
std::uint64_t LengthsToOffsets(bool wide, int length_bytes, const std::byte* lengths,
                               std::uint64_t count, std::uint64_t from, std::byte* out) noexcept;

/// Copies the next item to the place of each set bit in [begin, begin + count), and zeros to the
/// others. Returns the address after the last item.
///
/// out  count * item_bytes bytes.
const std::byte* SpreadItems(const std::uint8_t* bits, std::uint64_t begin, std::uint64_t count,
                             std::uint64_t item_bytes, const std::byte* items,
                             std::byte* out) noexcept;

}  // namespace stream_store::arrow

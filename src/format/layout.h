// Layouts: the shape of a record, that is its fields and the number of values of each.
//
// A layout is a head word `field count << 48 | total length`, followed by one word `type id << 48 |
// length` for each field, in order of rising type ids. Word 0 of the `layouts` file is 0, the empty
// layout. Records refer to their layout by the lowest 32 bits of the number of its first word;
// records of the same shape share one.
//
// Used by append (to find the layout of a shape), recovery and every read (to check and follow it).
// Thread rules: pure functions.
#pragma once

#include <cstdint>
#include <span>

#include "base/assert.h"
#include "format/encoding.h"

namespace stream_store::internal {

inline constexpr std::uint64_t kLengthMask = (std::uint64_t{1} << 48) - 1;
inline constexpr std::uint64_t kMaxWriteValues = kLengthMask;  ///< values a field-write may have
inline constexpr std::uint64_t kLayoutMaxFields = 0xffff;      ///< fields one layout may have

/// Returns the head word of a layout.
/// REQUIRES: fields <= kLayoutMaxFields && total <= kLengthMask.
inline std::uint64_t LayoutHead(std::uint64_t fields, std::uint64_t total) noexcept {
  STREAM_STORE_ASSERT(fields <= kLayoutMaxFields && total <= kLengthMask);
  return fields << 48 | total;
}

/// Returns the word of one field.
/// REQUIRES: type < kLayoutMaxFields && length <= kLengthMask.
inline std::uint64_t LayoutWord(std::uint64_t type, std::uint64_t length) noexcept {
  STREAM_STORE_ASSERT(type < kLayoutMaxFields && length <= kLengthMask);
  return type << 48 | length;
}

/// Returns the type id of a field's word, or the field count of a head word.
inline std::uint64_t WordType(std::uint64_t word) noexcept { return word >> 48; }

/// Returns the length of a field's word, or the total of a head word.
inline std::uint64_t WordLength(std::uint64_t word) noexcept { return word & kLengthMask; }

/// Records store the lowest 32 bits of the number of their layout's first word. Returns the number
/// of the first word from `begin` on that ends in these bits. It is the right one if fewer than 2^32
/// words from `begin` on exist, and all layouts of records are there.
/// REQUIRES: layout != 0, which stands for the empty layout.
inline std::uint64_t LayoutWordFrom(std::uint64_t begin, std::uint32_t layout) noexcept {
  STREAM_STORE_ASSERT(layout != 0);
  return begin + static_cast<std::uint32_t>(layout - static_cast<std::uint32_t>(begin));
}

/// As LayoutWordFrom(), but from the end of the words: returns the number of the last word before
/// `end` that ends in these bits.
/// REQUIRES: layout != 0.
inline std::uint64_t LayoutWordBefore(std::uint64_t end, std::uint32_t layout) noexcept {
  STREAM_STORE_ASSERT(layout != 0);
  return end - static_cast<std::uint32_t>(static_cast<std::uint32_t>(end) - layout);
}

/// Returns the head of a record's layout. Of the empty one no word is loaded: it may have been
/// dropped. `layouts` is the address of word 0, and `end` the number of words.
inline std::uint64_t LayoutHeadBefore(const std::uint64_t* layouts, std::uint64_t end,
                                      std::uint32_t layout) noexcept {
  return layout == 0 ? 0 : layouts[LayoutWordBefore(end, layout)];
}

/// Returns the standard CRC32C of a layout's words, the head included. A record's checksum covers
/// this digest, so that it also protects the record's shape.
std::uint32_t LayoutDigest(std::span<const std::uint64_t> words) noexcept;

/// Returns the reason why words are not a valid layout, or null if they are.
///
/// words      the head, then the words of the fields. Their number must be that in the head.
/// encodings  of all fields of the store. Type ids must exist and rise, each length must be allowed
///            for its field, and the lengths must add up to the total in the head.
const char* CheckLayout(std::span<const std::uint64_t> words,
                        std::span<const Encoding> encodings) noexcept;

}  // namespace stream_store::internal

// Layouts: the shape of a record, that is its fields and the number of values of each.
//
// A layout is a head word `field count << 48 | total length`, followed by one word `type id << 48 |
// length` for each field, in order of rising type ids. Word 0 of the `layouts` file is 0, the empty
// layout. Records refer to their layout by its word offset; records of the same shape share one.
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

/// Returns the head of the layout at a word offset. Offset 0 is the empty layout, of which no word is
/// loaded: it may have been dropped.
inline std::uint64_t LayoutHeadAt(const std::uint64_t* layouts, std::uint32_t offset) noexcept {
  return offset == 0 ? 0 : layouts[offset];
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

// Layout words: the shape of a record.
//
// A layout is one head word `field count << 48 | total length` and then a word `type id << 48 |
// length` per field, type ids rising. Word 0 of the `layouts` file is 0: the empty layout.
//
// Used by append (to look a shape up), recovery and every read (to check and follow it). Pure
// functions.
#pragma once

#include <cstdint>
#include <span>

#include "format/encoding.h"

namespace stream_store::internal {

inline constexpr std::uint64_t kLengthMask = (std::uint64_t{1} << 48) - 1;
inline constexpr std::uint64_t kMaxWriteValues = kLengthMask;  ///< values a field-write may have
inline constexpr std::uint64_t kLayoutMaxFields = 0xffff;      ///< fields one layout may have

inline std::uint64_t LayoutHead(std::uint64_t fields, std::uint64_t total) noexcept {
  return fields << 48 | total;
}

inline std::uint64_t LayoutWord(std::uint64_t type, std::uint64_t length) noexcept {
  return type << 48 | length;
}

/// Type id of a layout's word; of its head, the field count.
inline std::uint64_t WordType(std::uint64_t word) noexcept { return word >> 48; }

inline std::uint64_t WordLength(std::uint64_t word) noexcept { return word & kLengthMask; }

/// Standard CRC32C of a layout's k + 1 words: what ties a record's check to its shape.
std::uint32_t LayoutDigest(std::span<const std::uint64_t> words) noexcept;

/// Why a layout cannot be one, or null if it can.
///
/// words      head first, then exactly as many words as it says.
/// encodings  of all fields: type ids must rise and exist, lengths be allowed and sum to the total.
const char* CheckLayout(std::span<const std::uint64_t> words,
                        std::span<const Encoding> encodings) noexcept;

}  // namespace stream_store::internal

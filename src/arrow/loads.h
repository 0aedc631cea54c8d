// Loads from foreign memory, which may be unaligned, and tests of foreign bitmaps.
//
// Used by leaf_loader.cc and leaf_gather.cc.
#pragma once

#include <cstddef>
#include <cstdint>

#include "arrow/array_view.h"
#include "arrow/bits.h"
#include "base/assert.h"
#include "format/item.h"

namespace stream_store::arrow {

using internal::ItemAt;

/// Offset i of a buffer of offsets of 32 or 64 bits.
inline std::int64_t LoadOffset(const std::byte* offsets, int bits, std::uint64_t i) noexcept {
  return bits == 64 ? ItemAt<std::int64_t>(offsets, i) : ItemAt<std::int32_t>(offsets, i);
}

/// Whether elements [begin, end) are all present. REQUIRES: validity.bits != nullptr
inline bool AllSet(const Validity& validity, std::uint64_t begin, std::uint64_t end) noexcept {
  STREAM_STORE_ASSERT(validity.bits != nullptr);
  std::uint64_t i = validity.shift + begin;
  const std::uint64_t last = validity.shift + end;
  while (i < last && i % 8 != 0) {
    if (!GetBit(validity.bits, i++)) {
      return false;
    }
  }
  for (; i + 8 <= last; i += 8) {
    if (validity.bits[i / 8] != 0xff) {
      return false;
    }
  }
  while (i < last) {
    if (!GetBit(validity.bits, i++)) {
      return false;
    }
  }
  return true;
}

/// Whether element i is present.
inline bool IsSet(const Validity& validity, std::uint64_t i) noexcept {
  return validity.bits == nullptr || GetBit(validity.bits, validity.shift + i);
}

/// The integer at `item`. A uint64 from 2^63 on is returned as INT64_MAX, which callers reject: it
/// is larger than any class or index.
inline std::int64_t LoadInteger(const Type& type, const std::byte* item) noexcept {
  switch (type.bits) {
    case 8:
      return type.is_signed ? std::int64_t{ItemAt<std::int8_t>(item, 0)}
                            : std::int64_t{ItemAt<std::uint8_t>(item, 0)};
    case 16:
      return type.is_signed ? std::int64_t{ItemAt<std::int16_t>(item, 0)}
                            : std::int64_t{ItemAt<std::uint16_t>(item, 0)};
    case 32:
      return type.is_signed ? std::int64_t{ItemAt<std::int32_t>(item, 0)}
                            : std::int64_t{ItemAt<std::uint32_t>(item, 0)};
    default: {
      const auto word = ItemAt<std::int64_t>(item, 0);
      return type.is_signed || word >= 0 ? word : INT64_MAX;
    }
  }
}

}  // namespace stream_store::arrow

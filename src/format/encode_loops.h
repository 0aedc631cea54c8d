// The tables of encoding loops that encode.cc and encode_packed.cc share.
//
// Thread rules: pure functions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/assert.h"
#include "format/encoding.h"

namespace stream_store::internal {

/// The loops for one kind of field, in the order of Source. A table instead of a switch, so that
/// appends of many rows find their loop once per column.
using LoopsBySource = std::array<EncodeLoop, 14>;

/// A loop that refuses its first item.
inline std::uint64_t RefuseItems(const Encoding&, const unsigned char*, std::uint64_t,
                                 Value*) noexcept {
  return 0;
}

/// The loops of a field that accepts bytes, and words with the loop `words`, and nothing else.
constexpr LoopsBySource LoopsOfBytes(EncodeLoop bytes, EncodeLoop words) {
  LoopsBySource loops;
  loops.fill(RefuseItems);
  loops[static_cast<std::size_t>(Source::kUInt8)] = bytes;
  loops[static_cast<std::size_t>(Source::kBytes)] = bytes;
  loops[static_cast<std::size_t>(Source::kWords)] = words;
  return loops;
}

/// The loop that makes one word of each item (several of a decimal), whether or not the field is
/// packed. In encode.cc.
EncodeLoop FindWordLoop(const Encoding& encoding, Source source) noexcept;

/// The loop of a packed or nested field. In encode_packed.cc.
/// REQUIRES: encoding.packed || encoding.block.
EncodeLoop FindPackedLoop(const Encoding& encoding, Source source) noexcept;

}  // namespace stream_store::internal

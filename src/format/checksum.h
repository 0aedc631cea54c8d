// The checksum of a record: a CRC32C over its head words, the digest of its layout and its values.
//
// One checksum covers the record's position, step, row, session, shape and values, so a record with
// a valid checksum was written completely and in this place. Used by append (which computes it word
// by word), by recovery and by verify. Thread rules: pure functions.
#pragma once

#include <cstdint>

#include "base/crc32c.h"
#include "format/record.h"

namespace stream_store::internal {

/// Returns the register after the four head words of a record: start, step, row | session << 48,
/// layout | digest << 32. The values follow, with Crc32cExtendWord() or Crc32cExtendWords().
///
/// seed    the store's checksum_seed, so that records of another store never match.
/// digest  LayoutDigest() of the record's layout.
inline std::uint32_t BeginChecksum(std::uint32_t seed, std::uint64_t start, std::int64_t step,
                                   std::uint64_t row_session, std::uint32_t layout,
                                   std::uint32_t digest) noexcept {
  std::uint32_t state = Crc32cExtendWord(seed, start);
  state = Crc32cExtendWord(state, static_cast<std::uint64_t>(step));
  state = Crc32cExtendWord(state, row_session);
  return Crc32cExtendWord(state, layout | static_cast<std::uint64_t>(digest) << 32);
}

/// Register after `count` more values. Long runs go through a function that computes three streams
/// at once; for short ones its start costs more than it saves.
inline std::uint32_t ExtendChecksum(std::uint32_t state, const std::int64_t* values,
                                    std::uint64_t count) noexcept {
  constexpr std::uint64_t kInlineWords = 24;
  if (count > kInlineWords) {
    return Crc32cExtendWords(state, values, count);
  }
  for (std::uint64_t i = 0; i < count; ++i) {
    state = Crc32cExtendWord(state, static_cast<std::uint64_t>(values[i]));
  }
  return state;
}

/// Returns the checksum that is stored: the register after the head words and all values, inverted.
inline std::uint32_t FinishChecksum(std::uint32_t state) noexcept { return ~state; }

}  // namespace stream_store::internal

// The check of a record: proves its shape, place, session and values together.
#pragma once

#include <cstdint>

#include "base/crc32c.h"
#include "format/record.h"

namespace stream_store::internal {

/// Register after the four head words of a record: start, step, row|session, layout | digest << 32.
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

/// The stored check: the register after the head words and the values, inverted.
inline std::uint32_t FinishChecksum(std::uint32_t state) noexcept { return ~state; }

}  // namespace stream_store::internal

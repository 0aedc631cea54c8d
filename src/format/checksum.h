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

/// The stored check: the register after the head words and the values, inverted.
inline std::uint32_t FinishChecksum(std::uint32_t state) noexcept { return ~state; }

}  // namespace stream_store::internal

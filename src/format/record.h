// The 32-byte record, exactly as it is stored, and the numbers of the hints.
//
// A record describes the field-writes of one row that were appended together. Several records may
// continue the same row. The last record is followed by a sentinel of which only `start` is valid:
// the end of the values. So record i covers the values [records[i].start, records[i + 1].start).
//
// Used by all of storage and store. Thread rules: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/assert.h"

namespace stream_store::internal {

/// Persistent.
struct Record {
  std::uint64_t start;        ///< position of its first value
  std::int64_t step;          ///< the step of its row
  std::uint64_t row_session;  ///< row:48 in the low bits, session:16 in the high ones
  std::uint32_t layout;       ///< lowest bits of a word's number in `layouts`; see layout.h
  std::uint32_t checksum;     ///< see checksum.h
};

static_assert(sizeof(Record) == 32 && offsetof(Record, step) == 8 &&
              offsetof(Record, row_session) == 16 && offsetof(Record, layout) == 24 &&
              offsetof(Record, checksum) == 28);

/// Hints are 64-bit numbers of records. Position hint i, in slot i of `position_hints`, is the record
/// that contains position 256 * i. Row hint i, in slot i of `row_hints`, is the first record of row
/// 256 * i. These slots are not the sync slots of `control`. Hints only speed up searches; a wrong
/// one never causes a wrong result. Persistent.
inline constexpr std::uint64_t kHintStride = 256;
inline constexpr std::uint64_t kMaxRows = std::uint64_t{1} << 48;
inline constexpr std::uint64_t kRowMask = kMaxRows - 1;
/// Positions that a store may number, dropped ones included.
inline constexpr std::uint64_t kMaxValues = std::uint64_t{1} << 56;
/// Words of `layouts` that a store may retain.
inline constexpr std::uint64_t kMaxLayoutWords = (std::uint64_t{1} << 32) - 1;

/// Returns the word Record::row_session. Only the low 16 bits of the session number are stored.
/// REQUIRES: row < kMaxRows.
inline std::uint64_t PackRowSession(std::uint64_t row, std::uint64_t session) noexcept {
  STREAM_STORE_ASSERT(row < kMaxRows);
  return (row & kRowMask) | (session << 48);
}

inline std::uint64_t RowOfRecord(std::uint64_t row_session) noexcept {
  return row_session & kRowMask;
}

inline std::uint16_t SessionOfRecord(std::uint64_t row_session) noexcept {
  return static_cast<std::uint16_t>(row_session >> 48);
}

/// Hints that `reach` positions or rows have: the number of multiples of 256 in [0, reach).
constexpr std::uint64_t HintSlots(std::uint64_t reach) noexcept {
  return (reach + kHintStride - 1) / kHintStride;
}

/// Calls visit(slot) for each hint whose position, 256·slot, is in [begin, end).
template <class Visit>
void ForEachHintSlot(std::uint64_t begin, std::uint64_t end, Visit&& visit) {
  for (std::uint64_t slot = HintSlots(begin); slot * kHintStride < end; ++slot) {
    visit(slot);
  }
}

}  // namespace stream_store::internal

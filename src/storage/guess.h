// The steps of a look-up, apart, so that a loop over many positions or rows can run them as a
// pipeline: fetch the hint, guess a record from it and fetch that, finish the look-up.
//
// Who uses it: locate.cc for single look-ups; windows, gather and rows of the store room for many.
// A guess is never trusted: RecordOfPosition() and RecordOfRow() test it and search when it is
// wrong.
#pragma once

#include <algorithm>
#include <cstdint>

#include "storage/view.h"

namespace stream_store::internal {

/// Where a record is expected: within [lo, hi], probably `at`. All three are below record_count.
struct RecordGuess {
  std::uint64_t lo = 0;
  std::uint64_t hi = 0;
  std::uint64_t at = 0;
};

inline void PrefetchLine(const void* address) noexcept { __builtin_prefetch(address, 0, 3); }

/// The guess for item `index` of `count`, from the hints of its block of 256 and the next. Hints
/// that are absent or cannot be give the whole range. REQUIRES: index < count, record_count > 0.
template <std::uint64_t Hint::* kRecord>
inline RecordGuess GuessRecord(const View& view, std::uint64_t index,
                               std::uint64_t count) noexcept {
  const std::uint64_t last = view.record_count - 1;
  const std::uint64_t slot = index / kHintStride;
  if (slot >= view.hint_slots) {
    return {0, last, last / 2};
  }
  const std::uint64_t lo = LoadOnce(view.hints[slot].*kRecord);
  if (lo > last) {
    return {0, last, last / 2};
  }
  const std::uint64_t base = slot * kHintStride;
  const bool whole = count - base > kHintStride && slot + 1 < view.hint_slots;
  const std::uint64_t hi = whole ? std::min(LoadOnce(view.hints[slot + 1].*kRecord), last) : last;
  const std::uint64_t gap = hi - lo;
  if (hi < lo || gap >= kMaxRows) {
    return {0, last, last / 2};
  }
  // Steady streams spread their records evenly: the line between the two hints is right to one
  // record.
  const std::uint64_t within = index - base;
  if (whole) {
    return {lo, hi, lo + within * gap / kHintStride};
  }
  return {lo, hi,
          lo + static_cast<std::uint64_t>(static_cast<double>(gap) * static_cast<double>(within) /
                                          static_cast<double>(count - base))};
}

inline RecordGuess GuessOfPosition(const View& view, std::uint64_t position) noexcept {
  return GuessRecord<&Hint::position_record>(view, position, view.value_count);
}

inline RecordGuess GuessOfRow(const View& view, std::uint64_t row) noexcept {
  return GuessRecord<&Hint::row_record>(view, row, view.row_count);
}

/// Asks for the hints of a position or row: the first step of the pipeline.
inline void PrefetchHintSlot(const View& view, std::uint64_t index) noexcept {
  const std::uint64_t slot = index / kHintStride;
  if (slot < view.hint_slots) {
    PrefetchLine(view.hints + slot);
  }
}

/// RecordOfPosition() and RecordOfRow() when the guess is not right: search in its range, then
/// everywhere.
std::uint64_t SearchPosition(const View& view, std::uint64_t position, const RecordGuess& guess);
std::uint64_t SearchRow(const View& view, std::uint64_t row, const RecordGuess& guess);

/// The last record with start <= position. REQUIRES: position < value_count, a guess of
/// GuessOfPosition().
inline std::uint64_t RecordFromGuess(const View& view, std::uint64_t position,
                                     const RecordGuess& guess) {
  const std::uint64_t last = view.record_count - 1;
  std::uint64_t at = guess.at;
  // One step back or on, without a branch that nobody could predict.
  at -= static_cast<std::uint64_t>(at > 0 && LoadOnce(view.records[at].start) > position);
  const std::uint64_t next = at + static_cast<std::uint64_t>(at < last);
  at = LoadOnce(view.records[next].start) <= position ? next : at;
  const bool right = LoadOnce(view.records[at].start) <= position &&
                     (at == last || LoadOnce(view.records[at + 1].start) > position);
  if (right) [[likely]] {
    return at;
  }
  return SearchPosition(view, position, guess);
}

/// The first record of a row. REQUIRES: row < row_count, a guess of GuessOfRow().
inline std::uint64_t RowRecordFromGuess(const View& view, std::uint64_t row,
                                        const RecordGuess& guess) {
  const std::uint64_t at = guess.at;
  const bool right = RowOfRecord(LoadOnce(view.records[at].row_session)) == row &&
                     (at == 0 || RowOfRecord(LoadOnce(view.records[at - 1].row_session)) < row);
  if (right) [[likely]] {
    return at;
  }
  return SearchRow(view, row, guess);
}

}  // namespace stream_store::internal

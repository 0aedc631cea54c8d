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
struct RecordHint {
  std::uint64_t lo = 0;
  std::uint64_t hi = 0;
  std::uint64_t at = 0;
};

inline void PrefetchLine(const void* address) noexcept { __builtin_prefetch(address, 0, 3); }

/// Loads a word and forgets it. A prefetch is dropped where the processor does not know the page (it
/// is not in its TLB); a load is not, and loads that nothing waits for overlap.
template <class Word>
inline void Touch(const Word& word) noexcept {
  const auto* byte = reinterpret_cast<const std::byte*>(&word);
  static_cast<void>(*static_cast<const volatile std::byte*>(byte));
}

/// Asks the processor for the lines of [begin, end), the first `most` of them.
inline void PrefetchLines(const void* begin, const void* end, std::uint64_t most) noexcept {
  constexpr std::uintptr_t kLine = 64;
  const auto first = reinterpret_cast<std::uintptr_t>(begin) & ~(kLine - 1);
  const auto last = std::min(reinterpret_cast<std::uintptr_t>(end), first + most * kLine);
  for (std::uintptr_t line = first; line < last; line += kLine) {
    PrefetchLine(reinterpret_cast<const void*>(line));  // NOLINT(performance-no-int-to-ptr)
  }
}

/// Asks for the hints of a position or row.
inline void PrefetchHintSlot(const View& view, std::uint64_t index) noexcept {
  const std::uint64_t slot = index / kHintStride;
  if (slot < view.hint_slots) {
    PrefetchLine(view.hints + slot);
  }
}

/// The guess for item `index` of `count`, from the hints of its block of 256 and the next. Hints
/// that are absent or cannot be give the whole range. REQUIRES: index < count, record_count > 0.
template <std::uint64_t Hint::* kRecord>
inline RecordHint ReadRecordHint(const View& view, std::uint64_t index,
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

inline RecordHint HintOfPosition(const View& view, std::uint64_t position) noexcept {
  return ReadRecordHint<&Hint::position_record>(view, position, view.value_count);
}

inline RecordHint HintOfRow(const View& view, std::uint64_t row) noexcept {
  return ReadRecordHint<&Hint::row_record>(view, row, view.row_count);
}

/// Guesses the records of many positions of one View. Where the records share the values evenly, a
/// division tells: the hints, a miss of the caches in a large store, are left alone.
class PositionHints {
 public:
  explicit PositionHints(const View& view) noexcept : view_(view) {
    share_ = view.record_count == 0 ? 0 : view.value_count / view.record_count;
    even_ = !view.sparse && share_ > 0 && share_ * view.record_count == view.value_count;
  }

  /// A record, below record_count. REQUIRES: position < value_count.
  std::uint64_t HintedRecord(std::uint64_t position) const noexcept {
    return even_ ? position / share_ : HintOfPosition(view_, position).at;
  }

  /// About how many records `width` values touch.
  std::uint64_t Records(std::uint64_t width) const noexcept {
    return width / std::max<std::uint64_t>(share_, 1) + 1;
  }

  /// Asks for the hints of a position, where they will be looked at.
  void Prefetch(std::uint64_t position) const noexcept {
    if (!even_) {
      PrefetchHintSlot(view_, position);
    }
  }

 private:
  const View& view_;
  std::uint64_t share_;  // values a record: of all where `even_`, else on average
  bool even_;
};

/// The same for rows.
class RowHints {
 public:
  explicit RowHints(const View& view) noexcept : view_(view) {
    share_ = view.row_count == 0 ? 0 : view.record_count / view.row_count;
    even_ = !view.sparse && share_ * view.row_count == view.record_count;
  }

  /// REQUIRES: row < row_count, record_count > 0.
  /// A record, below record_count. REQUIRES: row < row_count.
  std::uint64_t HintedRecord(std::uint64_t row) const noexcept {
    return even_ ? row * share_ : HintOfRow(view_, row).at;
  }

  /// About how many records `rows` rows have.
  std::uint64_t Records(std::uint64_t rows) const noexcept { return rows * share_; }

  void Prefetch(std::uint64_t row) const noexcept {
    if (!even_) {
      PrefetchHintSlot(view_, row);
    }
  }

 private:
  const View& view_;
  std::uint64_t share_;  // records a row: of all where `even_`, else on average, and at least 1
  bool even_;
};

/// RecordOfPosition() and RecordOfRow() when a guess is not right: search where the hints say, then
/// everywhere.
std::uint64_t SearchPosition(const View& view, std::uint64_t position);
std::uint64_t SearchRow(const View& view, std::uint64_t row);

/// The last record with start <= position. REQUIRES: position < value_count, its
/// guess.
inline std::uint64_t RecordFromHint(const View& view, std::uint64_t position, std::uint64_t at) {
  const std::uint64_t last = view.record_count - 1;
  // One step back or on, without a branch that nobody could predict.
  at -= static_cast<std::uint64_t>(at > 0 && LoadOnce(view.records[at].start) > position);
  const std::uint64_t next = at + static_cast<std::uint64_t>(at < last);
  at = LoadOnce(view.records[next].start) <= position ? next : at;
  const bool right = LoadOnce(view.records[at].start) <= position &&
                     (at == last || LoadOnce(view.records[at + 1].start) > position);
  if (right) [[likely]] {
    return at;
  }
  return SearchPosition(view, position);
}

/// The first record of a row. REQUIRES: row < row_count, its guess.
inline std::uint64_t RowRecordFromHint(const View& view, std::uint64_t row, std::uint64_t at) {
  const bool right = RowOfRecord(LoadOnce(view.records[at].row_session)) == row &&
                     (at == 0 || RowOfRecord(LoadOnce(view.records[at - 1].row_session)) < row);
  if (right) [[likely]] {
    return at;
  }
  return SearchRow(view, row);
}

}  // namespace stream_store::internal

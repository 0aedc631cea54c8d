// Finds the record of a position or row in three separate steps, so that a loop over many of them
// can run the steps as a pipeline and overlap their cache misses:
//   1. Prefetch the hint of the position or row: PositionHints::Prefetch().
//   2. Estimate the record from the hint, and prefetch that record: PositionHints::HintedRecord().
//   3. Test the estimate, and search only if it is wrong: RecordFromHint().
//
// Used by locate.cc for single look-ups, and by windows, gather and row_windows in src/store for
// many. Thread rules: pure functions of a View.
// Invariant: hints come from `position_hints` and `row_hints`, which may be missing, stale or
// hostile. They are never trusted: an estimate is only a place where a test or a search begins.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/assert.h"
#include "storage/view.h"

namespace stream_store::internal {

/// Where a record is expected: in [lo, hi], most likely `at`. All three are in
/// [begin_record, record_count).
struct RecordHint {
  std::uint64_t lo = 0;
  std::uint64_t hi = 0;
  std::uint64_t at = 0;
};

/// Asks the processor for the cache line of `address`. Never faults.
inline void PrefetchLine(const void* address) noexcept { __builtin_prefetch(address, 0, 3); }

/// Loads a word and discards it. A processor may drop a prefetch if the page is not in its TLB, but
/// not a load; and loads whose results are unused overlap like prefetches.
template <class Word>
inline void Touch(const Word& word) noexcept {
  const auto* byte = reinterpret_cast<const std::byte*>(&word);
  static_cast<void>(*static_cast<const volatile std::byte*>(byte));
}

/// Asks the processor for the cache lines of [begin, end), at most the first `most`.
inline void PrefetchLines(const void* begin, const void* end, std::uint64_t most) noexcept {
  constexpr std::uintptr_t kLine = 64;
  const auto first = reinterpret_cast<std::uintptr_t>(begin) & ~(kLine - 1);
  const auto last = std::min(reinterpret_cast<std::uintptr_t>(end), first + most * kLine);
  for (std::uintptr_t line = first; line < last; line += kLine) {
    PrefetchLine(reinterpret_cast<const void*>(line));  // NOLINT(performance-no-int-to-ptr)
  }
}

/// The hints of one kind of items, positions or rows, in a View: those in slots below `end`, of
/// `count` items.
struct HintTable {
  const std::uint64_t* hints = nullptr;
  std::uint64_t end = 0;
  std::uint64_t count = 0;

  static HintTable OfPositions(const View& view) noexcept {
    return {view.position_hints, view.position_hint_end, view.value_count};
  }

  static HintTable OfRows(const View& view) noexcept {
    return {view.row_hints, view.row_hint_end, view.row_count};
  }
};

/// Asks the processor for the hint of an item, if there is one.
inline void PrefetchHintSlot(const HintTable& table, std::uint64_t index) noexcept {
  const std::uint64_t slot = index / kHintStride;
  if (slot < table.end) {
    PrefetchLine(table.hints + slot);
  }
}

/// Returns where to expect the record of item `index`, from the hint of its block of 256 items and
/// the hint of the next block. If a hint is missing or impossible, returns the range of all records.
/// REQUIRES: index < table.count, the item was not dropped, and the view has a record.
inline RecordHint ReadRecordHint(const View& view, const HintTable& table,
                                 std::uint64_t index) noexcept {
  STREAM_STORE_ASSERT(index < table.count && HasRecords(view));
  const std::uint64_t begin = view.begin_record;
  const std::uint64_t last = view.record_count - 1;
  const RecordHint all{begin, last, begin + (last - begin) / 2};
  const std::uint64_t slot = index / kHintStride;
  if (slot >= table.end) {
    return all;
  }
  const std::uint64_t from = LoadOnce(table.hints[slot]);
  if (from > last) {
    return all;
  }
  const std::uint64_t base = slot * kHintStride;
  const bool whole = table.count - base > kHintStride && slot + 1 < table.end;
  const std::uint64_t hi = whole ? std::min(LoadOnce(table.hints[slot + 1]), last) : last;
  // The first items of the first block may have been dropped, together with the record of its hint.
  const std::uint64_t lo = std::max(from, begin);
  const std::uint64_t gap = hi - from;
  if (hi < lo || gap >= kMaxRows) {
    return all;
  }
  // Steady streams spread their records evenly, so linear interpolation between the two hints is
  // usually off by at most one record.
  const std::uint64_t within = index - base;
  if (whole) {
    return {lo, hi, std::max(from + within * gap / kHintStride, begin)};
  }
  // There is no next hint, so the estimate interpolates over the `count - base` items that are
  // left. They may be more than 256 if hints are missing, so a product of integers could overflow.
  const auto ahead =
      static_cast<std::uint64_t>(static_cast<double>(gap) * static_cast<double>(within) /
                                 static_cast<double>(table.count - base));
  return {lo, hi, std::max(from + ahead, begin)};
}

/// As ReadRecordHint(), for a position.
/// REQUIRES: view.first_position <= position && position < view.value_count.
inline RecordHint HintOfPosition(const View& view, std::uint64_t position) noexcept {
  STREAM_STORE_ASSERT(view.first_position <= position);
  return ReadRecordHint(view, HintTable::OfPositions(view), position);
}

/// As ReadRecordHint(), for a row.
/// REQUIRES: view.first_row <= row && row < view.row_count.
inline RecordHint HintOfRow(const View& view, std::uint64_t row) noexcept {
  STREAM_STORE_ASSERT(view.first_row <= row);
  return ReadRecordHint(view, HintTable::OfRows(view), row);
}

/// Estimates the records of many positions of one View, which must outlive this object.
///
/// If the values divide evenly among the records, as when every step writes the same fields, the
/// estimate is a division. That avoids loading hints, each of which is a cache miss in a large
/// store.
class PositionHints {
 public:
  explicit PositionHints(const View& view) noexcept : view_(view) {
    const std::uint64_t records = view.record_count - view.begin_record;
    const std::uint64_t values = view.value_count - view.first_position;
    share_ = records == 0 ? 0 : values / records;
    even_ = !view.sparse && share_ > 0 && share_ * records == values;
  }

  /// Returns the estimated record of a position, in [begin_record, record_count).
  /// REQUIRES: first_position <= position && position < value_count, of the View.
  std::uint64_t HintedRecord(std::uint64_t position) const noexcept {
    STREAM_STORE_ASSERT(view_.first_position <= position && position < view_.value_count);
    return even_ ? view_.begin_record + (position - view_.first_position) / share_
                 : HintOfPosition(view_, position).at;
  }

  /// Returns roughly how many records a window of `width` values touches, for prefetching.
  std::uint64_t Records(std::uint64_t width) const noexcept {
    return width / std::max<std::uint64_t>(share_, 1) + 1;
  }

  /// Prefetches the hint of a position, unless HintedRecord() does not need it.
  void Prefetch(std::uint64_t position) const noexcept {
    if (!even_) {
      PrefetchHintSlot(HintTable::OfPositions(view_), position);
    }
  }

 private:
  const View& view_;
  std::uint64_t share_;  // values per record: of every record if even_, else on average
  bool even_;
};

/// As PositionHints, for rows: a division if every row has the same number of records.
class RowHints {
 public:
  explicit RowHints(const View& view) noexcept : view_(view) {
    const std::uint64_t rows = view.row_count - view.first_row;
    const std::uint64_t records = view.record_count - view.begin_record;
    share_ = rows == 0 ? 0 : records / rows;
    even_ = !view.sparse && share_ * rows == records;
  }

  /// Returns the estimated first record of a row, in [begin_record, record_count).
  /// REQUIRES: first_row <= row && row < row_count, of the View.
  std::uint64_t HintedRecord(std::uint64_t row) const noexcept {
    STREAM_STORE_ASSERT(view_.first_row <= row && row < view_.row_count);
    return even_ ? view_.begin_record + (row - view_.first_row) * share_ : HintOfRow(view_, row).at;
  }

  /// Returns roughly how many records `rows` rows have, for prefetching.
  std::uint64_t Records(std::uint64_t rows) const noexcept { return rows * share_; }

  /// Prefetches the hint of a row, unless HintedRecord() does not need it.
  void Prefetch(std::uint64_t row) const noexcept {
    if (!even_) {
      PrefetchHintSlot(HintTable::OfRows(view_), row);
    }
  }

 private:
  const View& view_;
  std::uint64_t share_;  // records per row: of every row if even_, else on average
  bool even_;
};

/// Returns the last record with start <= position, by a search that begins where the hints point.
/// Throws Error(kCorrupt) if the records are not in order.
/// REQUIRES: view.first_position <= position && position < view.value_count, and the view has a
/// record.
std::uint64_t SearchPosition(const View& view, std::uint64_t position);

/// Returns the first record of a row, in the same way.
/// REQUIRES: view.first_row <= row && row < view.row_count, and the view has a record.
std::uint64_t SearchRow(const View& view, std::uint64_t row);

/// Returns the last record with start <= position, given its estimate `at`. Tests the estimate and
/// its neighbours; calls SearchPosition() if all are wrong.
/// REQUIRES: view.first_position <= position && position < view.value_count, and
/// view.begin_record <= at && at < view.record_count.
inline std::uint64_t RecordFromHint(const View& view, std::uint64_t position, std::uint64_t at) {
  STREAM_STORE_ASSERT(view.first_position <= position && position < view.value_count &&
                      view.begin_record <= at && at < view.record_count);
  const std::uint64_t last = view.record_count - 1;
  // The estimate is often off by one. A branch on that could not be predicted, so both corrections
  // are computed without one.
  at -= static_cast<std::uint64_t>(at > view.begin_record &&
                                   LoadOnce(view.records[at].start) > position);
  const std::uint64_t next = at + static_cast<std::uint64_t>(at < last);
  at = LoadOnce(view.records[next].start) <= position ? next : at;
  const bool right = LoadOnce(view.records[at].start) <= position &&
                     (at == last || LoadOnce(view.records[at + 1].start) > position);
  if (right) [[likely]] {
    return at;
  }
  return SearchPosition(view, position);
}

/// Returns the first record of a row, given its estimate `at`; calls SearchRow() if that is wrong.
/// REQUIRES: view.first_row <= row && row < view.row_count, and
/// view.begin_record <= at && at < view.record_count.
inline std::uint64_t RowRecordFromHint(const View& view, std::uint64_t row, std::uint64_t at) {
  STREAM_STORE_ASSERT(view.first_row <= row && row < view.row_count && view.begin_record <= at &&
                      at < view.record_count);
  const bool right =
      RowOfRecord(LoadOnce(view.records[at].row_session)) == row &&
      (at == view.begin_record || RowOfRecord(LoadOnce(view.records[at - 1].row_session)) < row);
  if (right) [[likely]] {
    return at;
  }
  return SearchRow(view, row);
}

}  // namespace stream_store::internal

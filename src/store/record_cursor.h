// RecordCursor: walks over records in order and checks that each one continues where the last one
// ended.
//
// In a valid store the values of record n + 1 start where those of record n end, and its row is the
// same or the next one. A View may be of damaged or hostile memory, so every walk checks both
// before it uses a record, and reports a violation with the functions below.
//
// Used by rows.cc, index.cc, scan.cc and segment_cuts.cc. The loops of windows.cc and gather.cc
// keep their state in registers in their own way; like reader.cc and segment_index.cc, they use
// only LoadHead() and the Throw functions.
// Thread rules: a cursor belongs to one thread. It refers to the View, which must outlive it.
#pragma once

#include <cstdint>

#include "stream_store/types.h"

#include "base/assert.h"
#include "storage/view.h"

namespace stream_store::internal {

/// The words of one record. Each is loaded once, so that the word that is used is the word that was
/// checked.
struct RecordHead {
  std::uint64_t start = 0;
  Step step = 0;
  std::uint64_t row = 0;
  std::uint32_t layout = 0;
};

/// Loads the words of a record. REQUIRES: view.begin_record <= record && record <
/// view.record_count.
inline RecordHead LoadHead(const View& view, std::uint64_t record) noexcept {
  STREAM_STORE_ASSERT(view.begin_record <= record && record < view.record_count);
  const Record& words = view.records[record];
  return {LoadOnce(words.start), LoadOnce(words.step), RowOfRecord(LoadOnce(words.row_session)),
          LoadOnce(words.layout)};
}

/// Fetches the value at `place` of a record some records further on, for walks that read a value or
/// two of each record. Records that follow each other come into the cache by themselves; their values
/// do not, because each page of values is another jump.
inline void PrefetchValueAhead(const View& view, std::uint64_t record,
                               std::uint64_t place) noexcept {
  constexpr std::uint64_t kRecordsAhead = 24;
  if (record + kRecordsAhead < view.record_count) [[likely]] {
    __builtin_prefetch(view.values + LoadOnce(view.records[record + kRecordsAhead].start) + place);
  }
}

/// Throws Error(kCorrupt): record `record` must start at `position`, where the last one ended, but
/// does not, or does not exist.
[[noreturn]] void ThrowWrongStart(const View& view, std::uint64_t record, std::uint64_t position);

/// Throws Error(kCorrupt): the record was found to be the one that holds `position`, but ends
/// before it.
[[noreturn]] void ThrowEndsBefore(const View& view, std::uint64_t record, std::uint64_t position);

/// Throws Error(kCorrupt): the record starts at `start`, outside the values of the store.
[[noreturn]] void ThrowStartsOutside(const View& view, std::uint64_t record, std::uint64_t start);

/// Throws Error(kCorrupt): `total` values, starting at `start`, do not fit into the store.
[[noreturn]] void ThrowEndsOutside(const View& view, std::uint64_t record, std::uint64_t start,
                                   std::uint64_t total);

/// Throws Error(kCorrupt): a row has more than `most` records.
[[noreturn]] void ThrowTooManyRecords(const View& view, std::uint64_t record, std::uint64_t most);

/// The most records that a row can have. Types rise within a row, so each record has at least one
/// type of its own, apart from the first, which can be empty.
inline std::uint64_t MostRecordsOfRow(const View& view) noexcept {
  return view.store_schema->schema.size() + 1;
}

/// Where a walk stands. Each record takes two steps: Enter() before its words are used, and
/// Leave() before its values are used.
struct RecordCursor {
  const View* view = nullptr;
  std::uint64_t record = 0;    ///< the next record
  std::uint64_t position = 0;  ///< where its values must start
  std::uint64_t row = 0;       ///< the row it must belong to

  /// A cursor at a record that a look-up found. REQUIRES: view.begin_record <= record && record <
  /// view.record_count.
  static RecordCursor At(const View& view, std::uint64_t record, std::uint64_t row) noexcept {
    STREAM_STORE_ASSERT(view.begin_record <= record && record < view.record_count);
    return {&view, record, LoadOnce(view.records[record].start), row};
  }

  bool AtEnd() const noexcept { return record >= view->record_count; }

  /// The row of the record at the cursor, not checked. REQUIRES: !AtEnd().
  std::uint64_t RowHere() const noexcept {
    STREAM_STORE_ASSERT(!AtEnd());
    return RowOfRecord(LoadOnce(view->records[record].row_session));
  }

  /// Whether the record at the cursor exists and belongs to `row`.
  bool AtSameRow() const noexcept { return !AtEnd() && RowHere() == row; }

  /// The record at the cursor. Throws Error(kCorrupt) unless it starts at `position` and belongs to
  /// `row`.
  RecordHead Enter() const {
    if (AtEnd()) [[unlikely]] {
      ThrowNotNext({});
    }
    const RecordHead head = LoadHead(*view, record);
    if (head.start != position || head.row != row) [[unlikely]] {
      ThrowNotNext(head);
    }
    return head;
  }

  /// Moves past the record at the cursor, whose layout has `total` values. Throws Error(kCorrupt)
  /// unless they lie inside the store. `row` does not change: a row can have several records.
  void Leave(std::uint64_t total) {
    if (position < view->first_position || total > view->value_count ||
        position > view->value_count - total) [[unlikely]] {
      ThrowEndsOutside(*view, record, position, total);
    }
    position += total;
    record += 1;
  }

  /// Throws Error(kCorrupt): the record at the cursor, `found`, is not the one expected there.
  [[noreturn]] void ThrowNotNext(const RecordHead& found) const;
};

}  // namespace stream_store::internal

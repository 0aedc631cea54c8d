// Loops over many row windows, each with the first record of its first row; see prefetch.h.
//
// Rows differ from windows of values in one way: where their values lie is known only once their
// records are in the cache. Hence the second loop over a block, TouchValues().
//
// Used by rows.cc and index.cc.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>

#include "stream_store/columns.h"

#include "base/assert.h"
#include "storage/read_ahead.h"
#include "storage/record_hints.h"
#include "storage/view.h"
#include "store/prefetch.h"

namespace stream_store::internal {

/// The row windows of a batch, length(i) rows from row(i) on each, and an estimate of where they
/// lie in memory, as ForEachBlock() wants it. Estimates may be wrong but never leave the View; they
/// are for prefetching only.
template <class RowAt, class LengthAt>
class RowPlaces {
 public:
  RowPlaces(const View& view, RowAt row, LengthAt length)
      : view_(view), row_(std::move(row)), length_(std::move(length)), guesser_(view) {}

  void PrefetchHint(std::uint64_t i) const { guesser_.Prefetch(row_(i)); }

  // Touches the first record and the one after the last; those between are usually on the same
  // pages.
  std::uint64_t TouchRecords(std::uint64_t i) const {
    const std::uint64_t first = GuessRecord(i);
    const auto [begin, end] = Records(i, first);
    Touch(*begin);
    Touch(*end);
    return first;
  }

  std::uint64_t GuessRecord(std::uint64_t i) const { return guesser_.HintedRecord(row_(i)); }

  // The first record of the place, and the one after its last one, or the last one of the View.
  std::pair<const Record*, const Record*> Records(std::uint64_t i, std::uint64_t first) const {
    return {view_.records + first, view_.records + RecordAfter(i, first)};
  }

  // Loads the records of the place, which TouchRecords() has touched.
  std::pair<const Value*, const Value*> Values(std::uint64_t i, std::uint64_t first) const {
    const auto start = [this](std::uint64_t record) {
      return view_.values + std::clamp(LoadOnce(view_.records[record].start), view_.first_position,
                                       view_.value_count);
    };
    return {start(first), start(RecordAfter(i, first))};
  }

  // As Values().
  void TouchValues(std::uint64_t i, std::uint64_t first) const {
    const auto [begin, end] = Values(i, first);
    if (begin < end) {
      Touch(*begin);
      Touch(end[-1]);
    }
  }

  void PrefetchLines(std::uint64_t i, std::uint64_t first) const {
    // The record before the first one proves that it is the first of its row.
    const std::uint64_t before = first - (first > view_.begin_record ? 1 : 0);
    internal::PrefetchLines(view_.records + before, view_.records + RecordAfter(i, first) + 1,
                            kMostLines);
    const auto [begin, end] = Values(i, first);
    internal::PrefetchLines(begin, end, kMostLines);
  }

  // Asks for all records first, then for all values: the records say where the values lie.
  void AskKernel(std::uint64_t begin, std::uint64_t end) const {
    for (std::uint64_t i = begin; i < end; ++i) {
      const std::uint64_t first = guesser_.HintedRecord(row_(i));
      ReadAhead::Ask(view_.records + first, view_.records + RecordAfter(i, first) + 1);
    }
    for (std::uint64_t i = begin; i < end; ++i) {
      if (const auto [first, last] = Values(i, guesser_.HintedRecord(row_(i))); first < last) {
        ReadAhead::Ask(first, last);
      }
    }
  }

 private:
  // The record after the last one of the place: its start is where the values of the place end.
  std::uint64_t RecordAfter(std::uint64_t i, std::uint64_t first) const {
    return std::min(first + guesser_.Records(length_(i)), view_.record_count - 1);
  }

  const View& view_;
  RowAt row_;
  LengthAt length_;
  RowHints guesser_;
};

/// Calls visit(i, first record of row(i)) for i in [0, count) in order; length(i) rows will be read
/// there. REQUIRES: view.first_row <= row(i) && row(i) < view.row_count for each i. Throws
/// Error(kCorrupt).
template <class RowAt, class LengthAt, class Visit>
void ForEachRow(const View& view, std::uint64_t count, const RowAt& row, const LengthAt& length,
                const Visit& visit) {
  if (!HasRecords(view)) {
    ThrowCorruptRecord(view, view.record_count,
                       "expected records for the rows but the store has none");
  }
  const RowPlaces places(view, row, length);
  ForEachBlock(view, count, places, [&](std::uint64_t i, std::uint64_t guess) {
    STREAM_STORE_ASSERT(view.first_row <= row(i) && row(i) < view.row_count);
    visit(i, RowRecordFromHint(view, row(i), guess));
  });
}

/// Calls visit(i, first record of rows[i]) for each row in order. REQUIRES: view.first_row <=
/// rows[i] && rows[i] < view.row_count for each i.
template <class Visit>
void ForEachRowWindow(const View& view, std::span<const Row> rows, std::uint64_t length,
                      const Visit& visit) {
  STREAM_STORE_ASSERT(std::ranges::all_of(rows, [&](Row row) {
    return view.first_row <= static_cast<std::uint64_t>(row) &&
           static_cast<std::uint64_t>(row) < view.row_count;
  }));
  ForEachRow(
      view, rows.size(), [&](std::uint64_t i) { return static_cast<std::uint64_t>(rows[i]); },
      [length](std::uint64_t) { return length; }, visit);
}

/// Calls visit(run, first record of its first row) for each run that has rows. REQUIRES:
/// view.first_row <= row && row + count <= view.row_count for each run.
template <class Visit>
void ForEachRowRun(const View& view, std::span<const RowRun> runs, const Visit& visit) {
  STREAM_STORE_ASSERT(std::ranges::all_of(runs, [&](const RowRun& run) {
    return view.first_row <= static_cast<std::uint64_t>(run.row) &&
           static_cast<std::uint64_t>(run.row) + run.count <= view.row_count;
  }));
  if (runs.empty() || view.row_count == view.first_row) {
    return;
  }
  // An empty run may begin at the end of the store, where there is no record to look up.
  const auto row = [&](std::uint64_t i) {
    return runs[i].count == 0 ? view.first_row : static_cast<std::uint64_t>(runs[i].row);
  };
  ForEachRow(
      view, runs.size(), row, [&](std::uint64_t i) { return runs[i].count; },
      [&](std::uint64_t i, std::uint64_t record) {
        if (runs[i].count > 0) {
          visit(runs[i], record);
        }
      });
}

}  // namespace stream_store::internal

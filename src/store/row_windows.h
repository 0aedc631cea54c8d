// A loop over many row windows that waits for memory as little as it can.
//
// A read of one window is so many instructions that the processor cannot look ahead to the next
// one. So a block of windows is looked through first: tight loops ask for one line of every page
// that they need, and the walks through the page tables, the longest wait of a large store, overlap.
// Then windows are read one by one, with all lines of one asked for a few windows ahead of it. What is
// not in memory at all is asked of the kernel, for all windows, before that.
//
// Who uses it: rows.cc, index.cc.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>

#include "stream_store/columns.h"

#include "storage/read_ahead.h"
#include "storage/record_hints.h"
#include "storage/view.h"

namespace stream_store::internal {

/// Throws Error(kOutOfRange) naming the first row window [row, row + length) outside the store.
void CheckRowWindows(const View& view, std::span<const Row> rows, std::uint64_t length);

/// Places to read, length(i) rows from row(i) on each, and where their records and values lie.
/// What it says of memory may be wrong, but is always inside the store: it is for asking ahead.
template <class RowAt, class LengthAt>
class RowPlaces {
 public:
  RowPlaces(const View& view, const RowAt& row, const LengthAt& length)
      : view_(view), row_(row), length_(length), guesser_(view) {}

  std::uint64_t row(std::uint64_t i) const { return row_(i); }

  std::uint64_t RecordHint(std::uint64_t i) const { return guesser_.HintedRecord(row_(i)); }

  void PrefetchHint(std::uint64_t i) const { guesser_.Prefetch(row_(i)); }

  // A record of each page that holds records of place i, the first of which is about `first`.
  void TouchRecords(std::uint64_t i, std::uint64_t first) const {
    Touch(view_.records[first]);
    Touch(view_.records[Behind(i, first)]);
  }

  // The same for values; waits for its records.
  void TouchValues(std::uint64_t i, std::uint64_t first) const {
    const auto [begin, end] = Values(i, first);
    if (begin < end) {
      Touch(*begin);
      Touch(end[-1]);
    }
  }

  void PrefetchAll(std::uint64_t i, std::uint64_t first) const {
    constexpr std::uint64_t kMostLines = 20;
    const std::uint64_t before = first - (first > 0 ? 1 : 0);  // proves the look-up
    PrefetchLines(view_.records + before, view_.records + Behind(i, first) + 1, kMostLines);
    const auto [begin, end] = Values(i, first);
    PrefetchLines(begin, end, kMostLines);
  }

  // Asks the kernel for all that places [begin, end) need.
  void AskKernel(std::uint64_t begin, std::uint64_t end) const {
    for (std::uint64_t i = begin; i < end; ++i) {
      const std::uint64_t first = RecordHint(i);
      ReadAhead::Ask(view_.records + first, view_.records + Behind(i, first) + 1);
    }
    for (std::uint64_t i = begin; i < end; ++i) {
      if (const auto [first, last] = Values(i, RecordHint(i)); first < last) {
        ReadAhead::Ask(first, last);
      }
    }
  }

 private:
  // The record behind the last, which tells where that ends.
  std::uint64_t Behind(std::uint64_t i, std::uint64_t first) const {
    return std::min(first + guesser_.Records(length_(i)), view_.record_count - 1);
  }

  std::pair<const Value*, const Value*> Values(std::uint64_t i, std::uint64_t first) const {
    const auto start = [this](std::uint64_t record) {
      return view_.values + std::min(LoadOnce(view_.records[record].start), view_.value_count);
    };
    return {start(first), start(Behind(i, first))};
  }

  const View& view_;
  const RowAt& row_;
  const LengthAt& length_;
  RowHints guesser_;
};

/// Calls visit(i, first record of row_at(i)) for i in [0, count) in order; length_at(i) rows will be
/// read there. REQUIRES: every row is in the store.
template <class RowAt, class LengthAt, class Visit>
void ForEachRow(const View& view, std::uint64_t count, const RowAt& row, const LengthAt& length,
                const Visit& visit) {
  constexpr std::uint64_t kBlock = 32;      // places whose pages are asked for together
  constexpr std::uint64_t kLinesAhead = 4;  // places between asking for lines and reading
  if (view.record_count == 0) {
    ThrowCorruptRecord(view, 0, "expected records for the rows but found none");
  }
  const RowPlaces places(view, row, length);
  ReadAhead ahead(view);
  std::uint64_t at[kBlock];
  for (std::uint64_t begin = 0; begin < count; begin += kBlock) {
    ahead.Before(begin, count,
                 [&](std::uint64_t from, std::uint64_t to) { places.AskKernel(from, to); });
    const std::uint64_t block = std::min(count - begin, kBlock);
    for (std::uint64_t i = begin + kBlock; i < std::min(count, begin + 2 * kBlock); ++i) {
      places.PrefetchHint(i);
    }
    for (std::uint64_t i = 0; i < block; ++i) {
      at[i] = places.RecordHint(begin + i);
      places.TouchRecords(begin + i, at[i]);
    }
    for (std::uint64_t i = 0; i < block; ++i) {
      places.TouchValues(begin + i, at[i]);
    }
    for (std::uint64_t i = 0; i < block; ++i) {
      if (const std::uint64_t next = i + kLinesAhead; next < block) {
        places.PrefetchAll(begin + next, at[next]);
      }
      visit(begin + i, RowRecordFromHint(view, places.row(begin + i), at[i]));
    }
    ahead.After(block);
  }
}

/// Calls visit(i, first record of rows[i]) for every row in order. REQUIRES: every row is in the
/// store.
template <class Visit>
void ForEachRowWindow(const View& view, std::span<const Row> rows, std::uint64_t length,
                      const Visit& visit) {
  ForEachRow(
      view, rows.size(), [&](std::uint64_t i) { return static_cast<std::uint64_t>(rows[i]); },
      [length](std::uint64_t) { return length; }, visit);
}

/// Calls visit(run, first record of its first row) for every run that has rows.
template <class Visit>
void ForEachRowRun(const View& view, std::span<const RowRun> runs, const Visit& visit) {
  if (runs.empty() || view.row_count == 0) {
    return;
  }
  // An empty run may begin at the end of the store, where no record is to be found.
  const auto row = [&](std::uint64_t i) {
    return runs[i].count == 0 ? 0 : static_cast<std::uint64_t>(runs[i].row);
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

// A loop over many row windows that waits for memory as little as it can.
//
// A read of one window is so many instructions that the processor cannot look ahead to the next
// one. So a block of windows is looked through first: tight loops ask for one line of every page
// that they need, and the walks through the page tables, the longest wait of a large store, overlap.
// Then windows are read one by one, with all lines of one asked for a few windows ahead of it.
//
// Who uses it: rows.cc, index.cc.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "stream_store/windows.h"

#include "storage/guess.h"
#include "storage/view.h"

namespace stream_store::internal {

/// Throws Error(kOutOfRange) naming the first row window [row, row + length) outside the store.
void CheckRowWindows(const View& view, std::span<const Row> rows, std::uint64_t length);

/// Calls visit(i, first record of row_at(i)) for i in [0, count) in order; length_at(i) rows will be
/// read there. REQUIRES: every row is in the store.
template <class RowAt, class LengthAt, class Visit>
void ForEachRow(const View& view, std::uint64_t count, const RowAt& row, const LengthAt& length,
                const Visit& visit) {
  constexpr std::uint64_t kBlock = 32;      // places whose pages are asked for together
  constexpr std::uint64_t kLinesAhead = 4;  // places between asking for lines and reading
  constexpr std::uint64_t kMostLines = 20;  // asked for per place and array
  if (view.record_count == 0) {
    ThrowCorruptRecord(view, 0, "expected records for the rows but found none");
  }
  const RowGuesser guesser(view);
  std::uint64_t at[kBlock];
  for (std::uint64_t begin = 0; begin < count; begin += kBlock) {
    const std::uint64_t block = std::min(count - begin, kBlock);
    // The record behind the last, which tells where that ends.
    const auto behind = [&](std::uint64_t i) {
      return std::min(at[i] + length(begin + i), view.record_count - 1);
    };
    const auto values_end = [&](std::uint64_t i) {
      return std::min(LoadOnce(view.records[behind(i)].start), view.value_count);
    };
    const auto ask_lines = [&](std::uint64_t i) {
      const std::uint64_t before = at[i] - (at[i] > 0 ? 1 : 0);  // proves the look-up
      PrefetchLines(view.records + before, view.records + behind(i) + 1, kMostLines);
      const std::uint64_t first = LoadOnce(view.records[at[i]].start);
      const std::uint64_t last = values_end(i);
      if (first < last) {
        PrefetchLines(view.values + first, view.values + last, kMostLines);
      }
    };
    for (std::uint64_t i = begin + kBlock; i < std::min(count, begin + 2 * kBlock); ++i) {
      guesser.Prefetch(row(i));
    }
    for (std::uint64_t i = 0; i < block; ++i) {
      at[i] = guesser.Guess(row(begin + i));
      Touch(view.records[at[i]]);
      Touch(view.records[behind(i)]);
    }
    for (std::uint64_t i = 0; i < block; ++i) {
      const std::uint64_t first = LoadOnce(view.records[at[i]].start);
      const std::uint64_t last = values_end(i);
      if (first < last) {
        Touch(view.values[first]);
        Touch(view.values[last - 1]);
      }
    }
    for (std::uint64_t i = 0; i < block; ++i) {
      if (i + kLinesAhead < block) {
        ask_lines(i + kLinesAhead);
      }
      visit(begin + i, RowRecordFromGuess(view, row(begin + i), at[i]));
    }
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

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

#include "stream_store/windows.h"

#include "storage/guess.h"
#include "storage/read_ahead.h"
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
  // The record behind the last of place i, which tells where that ends.
  const auto behind = [&](std::uint64_t i, std::uint64_t first) {
    return std::min(first + guesser.Records(length(i)), view.record_count - 1);
  };
  const auto values_at = [&](std::uint64_t record) {
    return view.values + std::min(LoadOnce(view.records[record].start), view.value_count);
  };
  const auto ask_kernel = [&](std::uint64_t begin, std::uint64_t end) {
    for (std::uint64_t i = begin; i < end; ++i) {
      const std::uint64_t first = guesser.Guess(row(i));
      ReadAhead::Ask(view.records + first, view.records + behind(i, first) + 1);
    }
    for (std::uint64_t i = begin; i < end; ++i) {
      const std::uint64_t first = guesser.Guess(row(i));
      if (const Value* last = values_at(behind(i, first)); values_at(first) < last) {
        ReadAhead::Ask(values_at(first), last);
      }
    }
  };
  ReadAhead ahead(view);
  std::uint64_t at[kBlock];
  for (std::uint64_t begin = 0; begin < count; begin += kBlock) {
    ahead.Before(begin, count, ask_kernel);
    const std::uint64_t block = std::min(count - begin, kBlock);
    for (std::uint64_t i = begin + kBlock; i < std::min(count, begin + 2 * kBlock); ++i) {
      guesser.Prefetch(row(i));
    }
    for (std::uint64_t i = 0; i < block; ++i) {
      at[i] = guesser.Guess(row(begin + i));
      Touch(view.records[at[i]]);
      Touch(view.records[behind(begin + i, at[i])]);
    }
    for (std::uint64_t i = 0; i < block; ++i) {
      const Value* first = values_at(at[i]);
      const Value* last = values_at(behind(begin + i, at[i]));
      if (first < last) {
        Touch(*first);
        Touch(last[-1]);
      }
    }
    for (std::uint64_t i = 0; i < block; ++i) {
      if (const std::uint64_t next = i + kLinesAhead; next < block) {
        const std::uint64_t last = behind(begin + next, at[next]);
        const std::uint64_t before = at[next] - (at[next] > 0 ? 1 : 0);  // proves the look-up
        PrefetchLines(view.records + before, view.records + last + 1, kMostLines);
        PrefetchLines(values_at(at[next]), values_at(last), kMostLines);
      }
      visit(begin + i, RowRecordFromGuess(view, row(begin + i), at[i]));
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

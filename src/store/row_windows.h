// A loop over many row windows as a pipeline: hints far ahead, records nearer, values nearer still.
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
  constexpr std::uint64_t kHintAhead = 12;
  constexpr std::uint64_t kRecordAhead = 8;
  constexpr std::uint64_t kValuesAhead = 4;
  constexpr std::uint64_t kRing = 16;  // a power of two above kRecordAhead
  constexpr std::uint64_t kMostLines = 16;
  if (view.record_count == 0) {
    ThrowCorruptRecord(view, 0, "expected records for the rows but found none");
  }
  RecordGuess ring[kRing];
  const auto ask_records = [&](std::uint64_t i) {
    const RecordGuess guess = GuessOfRow(view, row(i));
    ring[i % kRing] = guess;
    const std::uint64_t most = std::min({view.record_count - guess.at, length(i), 2 * kMostLines});
    for (std::uint64_t j = 0; j < most; j += 2) {
      PrefetchLine(view.records + guess.at + j);
    }
  };
  const auto ask_values = [&](std::uint64_t i) {
    const std::uint64_t at = ring[i % kRing].at;
    const std::uint64_t end = std::min(at + length(i), view.record_count - 1);
    const std::uint64_t first = LoadOnce(view.records[at].start);
    const std::uint64_t last = std::min(LoadOnce(view.records[end].start), view.value_count);
    if (first >= last) {
      return;
    }
    const std::uint64_t most = std::min(last - first, kMostLines * 8);
    for (std::uint64_t j = 0; j < most; j += 8) {
      PrefetchLine(view.values + first + j);
    }
  };
  for (std::uint64_t i = 0; i < std::min(count, kHintAhead); ++i) {
    PrefetchHintSlot(view, row(i));
  }
  for (std::uint64_t i = 0; i < std::min(count, kRecordAhead); ++i) {
    ask_records(i);
  }
  for (std::uint64_t i = 0; i < count; ++i) {
    if (i + kHintAhead < count) {
      PrefetchHintSlot(view, row(i + kHintAhead));
    }
    if (i + kRecordAhead < count) {
      ask_records(i + kRecordAhead);
    }
    if (i + kValuesAhead < count) {
      ask_values(i + kValuesAhead);
    }
    visit(i, RowRecordFromGuess(view, row(i), ring[i % kRing]));
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

// Contiguous windows: one look-up each, then block copies.
//
// A loop over the starts runs as a pipeline: ask for the hint of a window far ahead, guess and ask
// for the records of a nearer one, fill this one. Filling goes by runs of records of equal layout:
// steps record by record, the rest as copies from the layout's template. Nothing is stored beyond a
// window but what its own next record overwrites, and nothing beyond its end.
#include <algorithm>

#include "stream_store/error.h"

#include "base/str_cat.h"
#include "storage/guess.h"
#include "storage/locate.h"
#include "store/number.h"
#include "store/reads.h"
#include "store/template_cache.h"
#include "store/wide.h"

namespace stream_store::internal {
namespace {

constexpr std::uint64_t kHintAhead = 8;    // windows between asking for a hint and filling
constexpr std::uint64_t kRecordAhead = 4;  // windows between asking for records and filling
constexpr std::uint64_t kGuessRing = 8;    // a power of two above kRecordAhead
constexpr std::uint64_t kMostLines =
    16;  // cache lines asked for per window and array; hardware follows on
constexpr std::uint64_t kInlineWords = 512;  // longer copies are memcpy's

// One window on its way. `done` counts the values written to every wanted column.
struct Fill {
  const View& view;
  TemplateCache& cache;
  WindowsOut out;  // at the window's first value
  std::uint64_t start;
  std::uint64_t width;
  std::uint64_t done = 0;
};

bool WantsExtra(const WindowsOut& out) {
  return out.number != nullptr || out.offset != nullptr || out.row != nullptr;
}

[[noreturn]] [[gnu::noinline]] void ThrowWrongStart(const View& view, std::uint64_t record,
                                                    std::uint64_t expected) {
  if (record >= view.record_count) {
    ThrowCorruptRecord(
        view, record,
        StrCat("expected to start at position ", expected, " but there is no such record"));
  }
  ThrowCorruptRecord(view, record,
                     StrCat("expected to start at position ", expected, " but found ",
                            LoadOnce(view.records[record].start)));
}

[[noreturn]] [[gnu::noinline]] void ThrowNotHeld(const View& view, std::uint64_t record,
                                                 std::uint64_t position) {
  ThrowCorruptRecord(view, record,
                     StrCat("expected to hold position ", position, " but it ends before"));
}

// Copies `count` values of a template column that repeats, from phase `skip` on.
STREAM_STORE_INLINE void CopyColumn(const LayoutTemplate& layout, TemplateColumn& column,
                                    std::uint64_t skip, std::int64_t* out, std::uint64_t count) {
  if (count <= layout.total - skip) {
    CopyWords(out, column.values.data() + skip, count);
    return;
  }
  if (column.period_values == 0) RepeatColumn(layout, column);
  const std::int64_t* from = column.values.data() + skip;
  const std::uint64_t most = column.period_values;
  for (; count > most; count -= most, out += most) CopyWords(out, from, most);
  CopyWords(out, from, count);
}

// The columns that few ask for, of the run of records from `record` on.
[[gnu::noinline]] void FillExtraRun(const Fill& fill, LayoutTemplate& layout, const Record* record,
                                    std::uint64_t skip, std::uint64_t begin, std::uint64_t count) {
  const WindowsOut& out = fill.out;
  if (out.offset != nullptr) CopyColumn(layout, OffsetsOf(layout), skip, out.offset + begin, count);
  if (out.number != nullptr) {
    FillNumbers(fill.view, layout, skip, fill.view.values + fill.start + begin, count,
                out.number + begin);
  }
  if (out.row == nullptr) return;
  for (std::uint64_t done = 0; done < count; ++record) {
    const std::uint64_t part = std::min(layout.total - skip, count - done);
    FillWords(out.row + begin + done, static_cast<Row>(RowOfRecord(LoadOnce(record->row_session))),
              part);
    done += part;
    skip = 0;
  }
}

// One record of a layout too long for a template: its words say what lies where.
[[gnu::noinline]] void FillLong(Fill& fill, const Record* record, std::uint32_t layout,
                                std::uint64_t skip, std::uint64_t total) {
  const std::uint64_t count = std::min(total - skip, fill.width - fill.done);
  const std::uint64_t end = skip + count;
  const WindowsOut& out = fill.out;
  const Value* values = fill.view.values + fill.start + fill.done;
  ForEachField(fill.view, layout, [&](TypeId type, std::uint64_t begin, std::uint64_t length) {
    const std::uint64_t first = std::max(begin, skip);
    const std::uint64_t last = std::min(begin + length, end);
    if (first >= last) return;
    const std::uint64_t at = fill.done + (first - skip);
    const std::uint64_t n = last - first;
    if (out.types != nullptr) std::fill_n(out.types + at, n, type);
    if (out.offset != nullptr) {
      for (std::uint64_t i = 0; i < n; ++i)
        out.offset[at + i] = static_cast<std::int64_t>(first - begin + i);
    }
    if (out.number == nullptr) return;
    const Encoding& encoding = fill.view.meaning->encodings[type];
    for (std::uint64_t i = 0; i < n; ++i)
      out.number[at + i] = NumberOf(encoding, values[first - skip + i]);
  });
  if (out.steps != nullptr) std::fill_n(out.steps + fill.done, count, LoadOnce(record->step));
  if (out.row != nullptr) {
    std::fill_n(out.row + fill.done, count,
                static_cast<Row>(RowOfRecord(LoadOnce(record->row_session))));
  }
  fill.done += count;
}

// Records that follow each other: of one layout, each starting where the one before ended.
struct Run {
  const Record* record;  // the next one
  const Record* end;     // no record from here on
  std::uint64_t start;   // where the next one must start
  std::uint64_t total;   // values of each
  std::uint32_t layout;
};

STREAM_STORE_INLINE bool Continues(const Run& run) {
  return run.record != run.end && LoadOnce(run.record->layout) == run.layout &&
         LoadOnce(run.record->start) == run.start;
}

// Fills the steps of whole records while kGroups wide stores each (0: as many as it takes) stay
// inside the window. Returns the new `done`. Everything by value: a loop over words in registers is
// what makes it fast.
template <std::uint64_t kGroups>
STREAM_STORE_INLINE std::uint64_t FillWhole(Run& out_run, Step* steps, std::uint64_t done,
                                            std::uint64_t width) {
  Run run = out_run;
  const std::uint64_t padded = kGroups > 0 ? kGroups * kWide : PaddedWords(run.total);
  while (done + padded <= width && Continues(run)) {
    const Step step = LoadOnce(run.record->step);
    if constexpr (kGroups > 0) {
      for (std::uint64_t i = 0; i < kGroups; ++i) StoreWide(steps + done + i * kWide, step);
    } else {
      FillPadded(steps + done, step, run.total);
    }
    done += run.total;
    run.start += run.total;
    ++run.record;
  }
  out_run = run;
  return done;
}

STREAM_STORE_INLINE std::uint64_t FillWholeRecords(Run& run, Step* steps, std::uint64_t done,
                                                   std::uint64_t width) {
  switch (PaddedWords(run.total) / kWide) {
    case 1:
      return FillWhole<1>(run, steps, done, width);
    case 2:
      return FillWhole<2>(run, steps, done, width);
    case 3:
      return FillWhole<3>(run, steps, done, width);
    case 4:
      return FillWhole<4>(run, steps, done, width);
    default:
      return FillWhole<0>(run, steps, done, width);
  }
}

// Fills the steps of a run, the first record from `skip` on; `run` stands at that record and ends
// behind the last one used. Returns the new `done`.
STREAM_STORE_INLINE std::uint64_t FillSteps(Run& run, Step* steps, std::uint64_t skip,
                                            std::uint64_t done, std::uint64_t width) {
  std::uint64_t count = std::min(run.total - skip, width - done);
  do {
    if (steps != nullptr) {
      const Step step = LoadOnce(run.record->step);
      if (done + PaddedWords(count) <= width) {
        FillPadded(steps + done, step, count);
      } else {
        FillWords(steps + done, step, count);
      }
    }
    done += count;
    run.start += run.total;
    ++run.record;
    if (steps != nullptr && done < width) done = FillWholeRecords(run, steps, done, width);
    count = std::min(run.total, width - done);
  } while (done < width && Continues(run));
  return done;
}

// The record that must start at `start`: the one at `record`, or the last of the empty ones there.
STREAM_STORE_INLINE const Record* CheckNext(const View& view, const Record* record,
                                            std::uint64_t start, bool empty) {
  auto index = static_cast<std::uint64_t>(record - view.records);
  if (empty) index = std::max(index, RecordOfPosition(view, static_cast<Position>(start)));
  if (index >= view.record_count || LoadOnce(view.records[index].start) != start)
    ThrowWrongStart(view, index, start);
  return view.records + index;
}

// Fills every column but `values` of a window whose first record is known.
STREAM_STORE_INLINE void FillWindow(Fill& fill, std::uint64_t first) {
  const View& view = fill.view;
  const WindowsOut& out = fill.out;
  Run run{view.records + first, view.records + view.record_count,
          LoadOnce(view.records[first].start), 0, 0};
  std::uint64_t skip = fill.start - run.start;
  for (;;) {
    run.layout = LoadOnce(run.record->layout);
    LayoutTemplate* layout = fill.cache.Find(view, run.layout);
    run.total = layout != nullptr ? layout->total : LayoutAt(view, run.layout).total;
    if (skip < run.total && layout != nullptr) [[likely]] {
      const Record* record = run.record;
      const std::uint64_t begin = fill.done;
      const std::uint64_t done = FillSteps(run, out.steps, skip, begin, fill.width);
      if (out.types != nullptr)
        CopyColumn(*layout, layout->types, skip, out.types + begin, done - begin);
      if (WantsExtra(out)) [[unlikely]]
        FillExtraRun(fill, *layout, record, skip, begin, done - begin);
      fill.done = done;
    } else {
      // Only an empty record between two others holds nothing.
      if (skip >= run.total && (run.total > 0 || fill.done == 0)) {
        ThrowNotHeld(view, static_cast<std::uint64_t>(run.record - view.records), fill.start);
      }
      if (run.total > 0) FillLong(fill, run.record, run.layout, skip, run.total);
      run.start += run.total;
      ++run.record;
    }
    if (fill.done == fill.width) return;
    run.record = CheckNext(view, run.record, run.start, run.total == 0);
    skip = 0;
  }
}

STREAM_STORE_INLINE void PrefetchWords(const void* from, std::uint64_t bytes) {
  const char* line = static_cast<const char*>(from);
  const std::uint64_t lines = std::min(bytes / 64 + 1, kMostLines);
  for (std::uint64_t i = 0; i < lines; ++i) PrefetchLine(line + i * 64);
}

struct Batch {
  const View& view;
  std::span<const Position> starts;
  std::uint64_t width;
  const WindowsOut& out;

  std::uint64_t start(std::uint64_t i) const { return static_cast<std::uint64_t>(starts[i]); }
};

STREAM_STORE_INLINE RecordGuess PrepareWindow(const Batch& batch, std::uint64_t i) {
  const RecordGuess guess = GuessOfPosition(batch.view, batch.start(i));
  const std::uint64_t per_window = (guess.hi - guess.lo) * batch.width / kHintStride + 1;
  const std::uint64_t records = std::min(per_window, batch.view.record_count - guess.at);
  PrefetchWords(batch.view.records + guess.at, records * sizeof(Record) - 1);
  return guess;
}

STREAM_STORE_INLINE void AskAhead(const Batch& batch, std::uint64_t i) {
  PrefetchHintSlot(batch.view, batch.start(i));
  if (batch.out.values != nullptr)
    PrefetchWords(batch.view.values + batch.start(i), batch.width * sizeof(Value));
}

WindowsOut OutAt(const WindowsOut& out, std::uint64_t index) {
  const auto at = [index](auto* column) { return column == nullptr ? nullptr : column + index; };
  return {at(out.values), at(out.types),  at(out.steps),
          at(out.number), at(out.offset), at(out.row)};
}

STREAM_STORE_INLINE void FillOne(const Batch& batch, TemplateCache& cache, std::uint64_t i,
                                 const RecordGuess& guess) {
  const std::uint64_t start = batch.start(i);
  Fill fill{batch.view, cache, OutAt(batch.out, i * batch.width), start, batch.width};
  const std::uint64_t record = RecordFromGuess(batch.view, start, guess);
  if (fill.out.values != nullptr) {
    if (batch.width <= kInlineWords) {
      CopyWords(fill.out.values, batch.view.values + start, batch.width);
    } else {
      std::memcpy(fill.out.values, batch.view.values + start, batch.width * sizeof(Value));
    }
  }
  FillWindow(fill, record);
}

STREAM_STORE_INLINE void FillAll(const Batch& batch) {
  TemplateCache& cache = TemplateCache::ForThread();
  const std::uint64_t count = batch.starts.size();
  RecordGuess ring[kGuessRing];
  for (std::uint64_t i = 1; i < std::min(count, kHintAhead); ++i) AskAhead(batch, i);
  for (std::uint64_t i = 0; i < std::min(count, kRecordAhead); ++i)
    ring[i % kGuessRing] = PrepareWindow(batch, i);
  for (std::uint64_t i = 0; i < count; ++i) {
    if (i + kHintAhead < count) AskAhead(batch, i + kHintAhead);
    if (i + kRecordAhead < count)
      ring[(i + kRecordAhead) % kGuessRing] = PrepareWindow(batch, i + kRecordAhead);
    FillOne(batch, cache, i, ring[i % kGuessRing]);
  }
}

void FillAllBaseline(const Batch& batch) { FillAll(batch); }

STREAM_STORE_AVX2 void FillAllAvx2(const Batch& batch) { FillAll(batch); }

void CopyValuesOnly(const Batch& batch) {
  const std::uint64_t count = batch.starts.size();
  for (std::uint64_t i = 0; i < count; ++i) {
    if (i + kRecordAhead < count) {
      PrefetchWords(batch.view.values + batch.start(i + kRecordAhead), batch.width * sizeof(Value));
    }
    std::memcpy(batch.out.values + i * batch.width, batch.view.values + batch.start(i),
                batch.width * sizeof(Value));
  }
}

[[noreturn]] void ThrowOutside(const View& view, Position start, std::uint64_t width) {
  throw Error(ErrorCode::kOutOfRange, StrCat("window [", start, ", ", start, " + ", width,
                                             ") is outside [0, ", view.value_count, ")"));
}

void CheckStarts(const View& view, std::span<const Position> starts, std::uint64_t width) {
  if (starts.empty()) return;
  if (width > view.value_count) ThrowOutside(view, starts[0], width);
  const std::uint64_t last = view.value_count - width;
  bool outside = false;
  for (const Position start : starts) outside |= static_cast<std::uint64_t>(start) > last;
  if (!outside) return;
  for (const Position start : starts) {
    if (static_cast<std::uint64_t>(start) > last) ThrowOutside(view, start, width);
  }
}

}  // namespace

void ReadWindows(const View& view, std::span<const Position> starts, std::uint64_t width,
                 const WindowsOut& out) {
  CheckStarts(view, starts, width);
  if (starts.empty() || width == 0) return;
  const Batch batch{view, starts, width, out};
  if (out.types == nullptr && out.steps == nullptr && !WantsExtra(out)) {
    if (out.values != nullptr) CopyValuesOnly(batch);
    return;
  }
  if (view.record_count == 0) ThrowWrongStart(view, 0, 0);
  if (Avx2InUse()) {
    FillAllAvx2(batch);
  } else {
    FillAllBaseline(batch);
  }
}

}  // namespace stream_store::internal

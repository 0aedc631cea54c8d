// Contiguous windows of values: each takes one look-up, then block copies.
//
// ForEachBlock() (prefetch.h) brings the memory of many windows into the cache and guesses the
// first record of each. A window is then filled run by run, where a run is consecutive records of
// equal layout: values are one copy for the whole window, types and other columns are copies from
// the layout's template (template_cache.h), and only steps are written record by record.
//
// Nothing is written after the last window. Within a window, stores may overshoot a record into
// elements that the next record or the next window overwrites later; hence windows are filled in
// order, and each knows how much room is left.
#include <algorithm>

#include "base/assert.h"
#include "storage/locate.h"
#include "storage/read_ahead.h"
#include "storage/record_hints.h"
#include "store/number.h"
#include "store/prefetch.h"
#include "store/read_functions.h"
#include "store/record_cursor.h"
#include "store/template_cache.h"
#include "store/vector_copy.h"

namespace stream_store::internal {
namespace {

constexpr std::uint64_t kInlineWords = 512;  // longer copies are left to memcpy

// One window while it is filled.
struct WindowFill {
  const View& view;
  TemplateCache& cache;
  WindowsOut out;  // at the window's first value
  std::uint64_t start = 0;
  std::uint64_t width = 0;
  std::uint64_t room = 0;  // elements that this window and those after it have in each column
  std::uint64_t done = 0;  // elements written to each wanted column
};

// Whether the call wants columns that are filled separately, since few calls want them.
bool WantsExtra(const WindowsOut& out) {
  return out.number != nullptr || out.offset != nullptr || out.row != nullptr;
}

// Copies `count` elements of a template column from phase `skip` (template_cache.h) on, repeating
// the column as often as needed. REQUIRES: skip < layout.total.
STREAM_STORE_INLINE void CopyColumn(const LayoutTemplate& layout, TemplateColumn& column,
                                    std::uint64_t skip, std::int64_t* out, std::uint64_t count) {
  STREAM_STORE_ASSERT(skip < layout.total);
  if (count <= layout.total - skip) {
    CopyWords(out, column.values.data() + skip, count);
    return;
  }
  if (column.period_values == 0) {
    RepeatColumn(layout, column);
  }
  const std::int64_t* from = column.values.data() + skip;
  const std::uint64_t most = column.period_values;
  for (; count > most; count -= most, out += most) {
    CopyWords(out, from, most);
  }
  CopyWords(out, from, count);
}

// Fills the extra columns for a run of records from `record` on. Not inlined: its code would take
// registers from the loops that nearly all calls use.
[[gnu::noinline]] void FillExtraRun(const WindowFill& fill, LayoutTemplate& layout,
                                    const Record* record, std::uint64_t skip, std::uint64_t begin,
                                    std::uint64_t count) {
  const WindowsOut& out = fill.out;
  if (out.offset != nullptr) {
    CopyColumn(layout, OffsetsOf(layout), skip, out.offset + begin, count);
  }
  if (out.number != nullptr) {
    FillNumbers(fill.view, layout, skip, fill.view.values + fill.start + begin, count,
                out.number + begin);
  }
  if (out.row == nullptr) {
    return;
  }
  for (std::uint64_t done = 0; done < count; ++record) {
    const std::uint64_t part = std::min(layout.total - skip, count - done);
    FillWords(out.row + begin + done, static_cast<Row>(RowOfRecord(LoadOnce(record->row_session))),
              part);
    done += part;
    skip = 0;
  }
}

// Fills from one record whose layout is too long for a template, by walking the layout's words.
[[gnu::noinline]] void FillLong(WindowFill& fill, const Record* record, std::uint32_t layout,
                                std::uint64_t skip, std::uint64_t total) {
  const std::uint64_t count = std::min(total - skip, fill.width - fill.done);
  const std::uint64_t end = skip + count;
  const WindowsOut& out = fill.out;
  const Value* values = fill.view.values + fill.start + fill.done;
  ForEachField(fill.view, layout, [&](TypeId type, std::uint64_t begin, std::uint64_t length) {
    const std::uint64_t first = std::max(begin, skip);
    const std::uint64_t last = std::min(begin + length, end);
    if (first >= last) {
      return;
    }
    const std::uint64_t at = fill.done + (first - skip);
    const std::uint64_t n = last - first;
    if (out.types != nullptr) {
      std::fill_n(out.types + at, n, type);
    }
    if (out.offset != nullptr) {
      for (std::uint64_t i = 0; i < n; ++i) {
        out.offset[at + i] = static_cast<std::int64_t>(first - begin + i);
      }
    }
    if (out.number == nullptr) {
      return;
    }
    const Encoding& encoding = fill.view.store_schema->encodings[type];
    for (std::uint64_t i = 0; i < n; ++i) {
      out.number[at + i] = NumberOf(encoding, values[first - skip + i]);
    }
  });
  if (out.step != nullptr) {
    std::fill_n(out.step + fill.done, count, LoadOnce(record->step));
  }
  if (out.row != nullptr) {
    std::fill_n(out.row + fill.done, count,
                static_cast<Row>(RowOfRecord(LoadOnce(record->row_session))));
  }
  fill.done += count;
}

// Consecutive records of one layout, each starting where the last one ended.
struct Run {
  const Record* record = nullptr;  // the next one
  const Record* end = nullptr;     // after the last record of the store
  std::uint64_t start = 0;         // where the next one must start
  std::uint64_t total = 0;         // values of each
  std::uint64_t skip = 0;          // values of the next one that lie before the window
  std::uint32_t layout = 0;
};

STREAM_STORE_INLINE bool Continues(const Run& run) {
  return run.record != run.end && LoadOnce(run.record->layout) == run.layout &&
         LoadOnce(run.record->start) == run.start;
}

// Writes the step of each record of a run with kGroups 32-byte stores. They may overshoot the
// record; the excess is overwritten when the next record or window is filled. Stops before it would
// overshoot `room`. Returns the new `done`, which may be more than `width`.
//
// The run is copied into a local variable so that the loop works on registers, and it has no branch
// on where in a record the window begins: both are needed for its speed.
template <std::uint64_t kGroups>
STREAM_STORE_INLINE std::uint64_t FillWhole(Run& out_run, Step* steps, std::uint64_t done,
                                            std::uint64_t width, std::uint64_t room) {
  if (room < kGroups * kWide) {
    return done;
  }
  const std::uint64_t last = std::min(width - 1, room - kGroups * kWide);
  Run run = out_run;
  while (done <= last && Continues(run)) {
    const Step step = LoadOnce(run.record->step);
    for (std::uint64_t i = 0; i < kGroups; ++i) {
      StoreWide(steps + done + i * kWide, step);
    }
    done += run.total - run.skip;
    run.skip = 0;
    run.start += run.total;
    ++run.record;
  }
  out_run = run;
  return done;
}

STREAM_STORE_INLINE std::uint64_t FillWholeRecords(Run& run, Step* steps, std::uint64_t done,
                                                   std::uint64_t width, std::uint64_t room) {
  switch (PaddedWords(run.total) / kWide) {
    case 1:
      return FillWhole<1>(run, steps, done, width, room);
    case 2:
      return FillWhole<2>(run, steps, done, width, room);
    case 3:
      return FillWhole<3>(run, steps, done, width, room);
    case 4:
      return FillWhole<4>(run, steps, done, width, room);
    default:
      return done;
  }
}

// Writes the steps of a run, or only walks over it if `steps` is null, and moves `run` past the
// records used. Records too large for FillWhole(), and the end of the room, go through the second
// loop. Returns the new `done`.
STREAM_STORE_INLINE std::uint64_t FillSteps(Run& run, Step* steps, std::uint64_t done,
                                            std::uint64_t width, std::uint64_t room) {
  if (steps != nullptr) {
    done = FillWholeRecords(run, steps, done, width, room);
  }
  while (done < width && Continues(run)) {
    const std::uint64_t count = std::min(run.total - run.skip, width - done);
    if (steps != nullptr) {
      FillWords(steps + done, LoadOnce(run.record->step), count);
    }
    done += count;
    run.skip = 0;
    run.start += run.total;
    ++run.record;
  }
  return std::min(done, width);
}

// The record at which the window continues: `record`, which must start at `start`. If the record
// before it was empty (`empty`), more empty records may start there; then it is the last record
// that does.
STREAM_STORE_INLINE const Record* CheckNext(const View& view, const Record* record,
                                            std::uint64_t start, bool empty) {
  auto index = static_cast<std::uint64_t>(record - view.records);
  if (empty) {
    index = std::max(index, RecordOfPosition(view, static_cast<Position>(start)));
  }
  if (index >= view.record_count || LoadOnce(view.records[index].start) != start) {
    ThrowWrongStart(view, index, start);
  }
  return view.records + index;
}

// Fills all columns but `values` from the run at `run`, whose layout has a template. REQUIRES:
// run.skip < run.total.
STREAM_STORE_INLINE void FillRun(WindowFill& fill, LayoutTemplate& layout, Run& run) {
  STREAM_STORE_ASSERT(run.skip < run.total);
  const WindowsOut& out = fill.out;
  const Record* first = run.record;
  const std::uint64_t skip = run.skip;
  const std::uint64_t begin = fill.done;
  fill.done = FillSteps(run, out.step, begin, fill.width, fill.room);
  const std::uint64_t count = fill.done - begin;
  if (out.types != nullptr) {
    CopyColumn(layout, layout.types, skip, out.types + begin, count);
  }
  if (WantsExtra(out)) [[unlikely]] {
    FillExtraRun(fill, layout, first, skip, begin, count);
  }
}

// Fills from one record that is empty or too long for a template.
[[gnu::noinline]] void FillOther(WindowFill& fill, Run& run) {
  // A record without values is valid between two others, but not as the first of a window.
  if (run.skip >= run.total && (run.total > 0 || fill.done == 0)) {
    ThrowEndsBefore(fill.view, static_cast<std::uint64_t>(run.record - fill.view.records),
                    fill.start);
  }
  if (run.total > 0) {
    FillLong(fill, run.record, run.layout, run.skip, run.total);
  }
  run.start += run.total;
  ++run.record;
}

// Fills all columns but `values` of a window whose first record is `first`, run by run.
STREAM_STORE_INLINE void FillWindow(WindowFill& fill, std::uint64_t first) {
  const View& view = fill.view;
  Run run;
  run.record = view.records + first;
  run.end = view.records + view.record_count;
  run.start = LoadOnce(run.record->start);
  run.skip = fill.start - run.start;
  for (;;) {
    run.layout = LoadOnce(run.record->layout);
    LayoutTemplate* layout = fill.cache.Find(view, run.layout);
    run.total = layout != nullptr ? layout->total : LayoutAt(view, run.layout).total;
    if (layout != nullptr && run.skip < run.total) [[likely]] {
      FillRun(fill, *layout, run);
    } else {
      FillOther(fill, run);
    }
    if (fill.done == fill.width) {
      return;
    }
    run.record = CheckNext(view, run.record, run.start, run.total == 0);
    run.skip = 0;
  }
}

// The windows of one call, with the functions that ForEachBlock() calls. The place of a window's
// values is known, so they are touched together with its records; only its records must be guessed.
struct Batch {
  const View& view;
  std::span<const Position> starts;
  std::uint64_t width;
  const WindowsOut& out;
  PositionHints guesser{view};
  std::uint64_t records = guesser.Records(width);  // records of a window, roughly

  std::uint64_t start(std::uint64_t i) const { return static_cast<std::uint64_t>(starts[i]); }

  STREAM_STORE_INLINE void PrefetchHint(std::uint64_t i) const { guesser.Prefetch(start(i)); }

  STREAM_STORE_INLINE std::uint64_t TouchRecords(std::uint64_t i) const {
    const std::uint64_t first = guesser.HintedRecord(start(i));
    Touch(view.records[first]);
    Touch(view.records[LastRecord(first)]);
    if (out.values != nullptr) {
      Touch(view.values[start(i)]);
      Touch(view.values[start(i) + width - 1]);
    }
    return first;
  }

  STREAM_STORE_INLINE void TouchValues(std::uint64_t /*i*/, std::uint64_t /*first*/) const {}

  STREAM_STORE_INLINE void PrefetchLines(std::uint64_t i, std::uint64_t first) const {
    internal::PrefetchLines(view.records + first, view.records + LastRecord(first) + 1, kMostLines);
    PrefetchValues(i);
  }

  STREAM_STORE_INLINE void PrefetchValues(std::uint64_t i) const {
    if (out.values != nullptr) {
      const Value* values = view.values + start(i);
      internal::PrefetchLines(values, values + width, kMostLines);
    }
  }

  [[gnu::noinline]] void AskKernel(std::uint64_t begin, std::uint64_t end) const {
    const bool has_records = HasRecords(view);
    for (std::uint64_t i = begin; has_records && i < end; ++i) {
      const std::uint64_t first = guesser.HintedRecord(start(i));
      ReadAhead::Ask(view.records + first, view.records + LastRecord(first) + 1);
    }
    for (std::uint64_t i = begin; out.values != nullptr && i < end; ++i) {
      const Value* values = view.values + start(i);
      ReadAhead::Ask(values, values + width);
    }
  }

  // A guess of the last record of a window whose first record is `first`; it is inside the store.
  std::uint64_t LastRecord(std::uint64_t first) const {
    return std::min(first + records, view.record_count - 1);
  }
};

// Fills one window; `guess` is the guess of its first record.
STREAM_STORE_INLINE void FillOne(const Batch& batch, TemplateCache& cache, std::uint64_t i,
                                 std::uint64_t guess) {
  const std::uint64_t start = batch.start(i);
  WindowFill fill{batch.view, cache,       batch.out.From(i * batch.width),
                  start,      batch.width, (batch.starts.size() - i) * batch.width};
  const std::uint64_t record = RecordFromHint(batch.view, start, guess);
  if (fill.out.values != nullptr) {
    if (batch.width <= kInlineWords) {
      CopyWords(fill.out.values, batch.view.values + start, batch.width);
    } else {
      std::memcpy(fill.out.values, batch.view.values + start, batch.width * sizeof(Value));
    }
  }
  FillWindow(fill, record);
}

// Fills all windows. Compiled twice, for the baseline instruction set and for AVX2.
STREAM_STORE_INLINE void FillAll(const Batch& batch) {
  TemplateCache& cache = TemplateCache::ForThread();
  ForEachBlock(batch.view, batch.starts.size(), batch,
               [&](std::uint64_t i, std::uint64_t guess)
                   STREAM_STORE_INLINE_LAMBDA { FillOne(batch, cache, i, guess); });
}

void FillAllBaseline(const Batch& batch) { FillAll(batch); }

STREAM_STORE_AVX2 void FillAllAvx2(const Batch& batch) { FillAll(batch); }

// Without columns that depend on records, a window is one copy: there is nothing to guess, so no
// block is needed. Lines are prefetched across the whole call.
void CopyValuesOnly(const Batch& batch) {
  const std::uint64_t count = batch.starts.size();
  ForEachPart(
      batch.view, 0, count, 1,
      [&](std::uint64_t from, std::uint64_t to) { batch.AskKernel(from, to); },
      [&](std::uint64_t i, std::uint64_t) {
        if (i + kLinesAhead < count) {
          batch.PrefetchValues(i + kLinesAhead);
        }
        std::memcpy(batch.out.values + i * batch.width, batch.view.values + batch.start(i),
                    batch.width * sizeof(Value));
      });
}

}  // namespace

void ReadWindows(const View& view, std::span<const Position> starts, std::uint64_t width,
                 const WindowsOut& out) {
  CheckWindows(view, starts, width);
  if (starts.empty() || width == 0) {
    return;
  }
  const Batch batch{view, starts, width, out};
  if (out.types == nullptr && out.step == nullptr && !WantsExtra(out)) {
    if (out.values != nullptr) {
      CopyValuesOnly(batch);
    }
    return;
  }
  if (!HasRecords(view)) {
    ThrowWrongStart(view, view.record_count, view.first_position);
  }
  if (Avx2InUse()) {
    FillAllAvx2(batch);
  } else {
    FillAllBaseline(batch);
  }
}

}  // namespace stream_store::internal

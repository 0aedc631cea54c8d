// Contiguous windows: one look-up each, then block copies.
//
// A loop over the starts runs as a pipeline: ask for the hint of a window far ahead, guess and ask
// for the records of a nearer one, fill this one. Filling goes by runs of records of equal layout:
// steps record by record, the rest as copies from the layout's template. Nothing is stored beyond a
// window but what its own next record overwrites, and nothing beyond its end.
#include <algorithm>

#include "stream_store/error.h"

#include "base/str_cat.h"
#include "storage/locate.h"
#include "storage/read_ahead.h"
#include "storage/record_hints.h"
#include "store/number.h"
#include "store/read_functions.h"
#include "store/template_cache.h"
#include "store/vector_copy.h"

namespace stream_store::internal {
namespace {

constexpr std::uint64_t kBlock = 32;         // windows whose pages are asked for together
constexpr std::uint64_t kLinesAhead = 4;     // windows between asking for lines and filling
constexpr std::uint64_t kMostLines = 20;     // cache lines asked for per window and array
constexpr std::uint64_t kInlineWords = 512;  // longer copies are memcpy's

// One window on its way. `done` counts the values written to every wanted column.
struct WindowFill {
  const View& view;
  TemplateCache& cache;
  WindowsOut out;  // at the window's first value
  std::uint64_t start = 0;
  std::uint64_t width = 0;
  std::uint64_t room = 0;  // elements of every column that this and later windows fill
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

// The columns that few ask for, of the run of records from `record` on.
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

// One record of a layout too long for a template: its words say what lies where.
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

// Records that follow each other: of one layout, each starting where the one before ended.
struct Run {
  const Record* record = nullptr;  // the next one
  const Record* end = nullptr;     // no record from here on
  std::uint64_t start = 0;         // where the next one must start
  std::uint64_t total = 0;         // values of each
  std::uint64_t skip = 0;          // values of the next one that lie before the window
  std::uint32_t layout = 0;
};

STREAM_STORE_INLINE bool Continues(const Run& run) {
  return run.record != run.end && LoadOnce(run.record->layout) == run.layout &&
         LoadOnce(run.record->start) == run.start;
}

// Fills the steps of a run with kGroups wide stores a record, whatever part of the record the
// window needs: what is too much lies where the next record, or the next window, is filled later.
// Stops where that would pass `room`. Everything by value: a loop over words in registers, without
// a branch that depends on where the window begins in a record, is what makes it fast. Returns the
// new `done`, which may be past `width`.
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

// Fills the steps of a run; `run` stands at its first record and ends behind the last one used.
// Returns the new `done`.
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

// The record that must start at `start`: the one at `record`, or the last of the empty ones there.
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

// Fills from the run at `run`, whose layout has a template. REQUIRES: run.skip < run.total.
STREAM_STORE_INLINE void FillRun(WindowFill& fill, LayoutTemplate& layout, Run& run) {
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
  // Only an empty record between two others holds nothing.
  if (run.skip >= run.total && (run.total > 0 || fill.done == 0)) {
    ThrowNotHeld(fill.view, static_cast<std::uint64_t>(run.record - fill.view.records), fill.start);
  }
  if (run.total > 0) {
    FillLong(fill, run.record, run.layout, run.skip, run.total);
  }
  run.start += run.total;
  ++run.record;
}

// Fills every column but `values` of a window whose first record is known.
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

struct Batch {
  const View& view;
  std::span<const Position> starts;
  std::uint64_t width;
  const WindowsOut& out;
  PositionHints guesser{view};
  std::uint64_t records = guesser.Records(width);  // of a window, about

  std::uint64_t start(std::uint64_t i) const { return static_cast<std::uint64_t>(starts[i]); }

  // About the last record of a window whose first is `first`; inside the store.
  std::uint64_t LastRecord(std::uint64_t first) const {
    return std::min(first + records, view.record_count - 1);
  }
};

// A block of windows on their way, as row_windows.h does it: a line of each end of what a window
// needs for all of them, then all lines of one a few windows ahead of it.
class BlockAhead {
 public:
  BlockAhead(const Batch& batch, std::uint64_t begin, std::uint64_t count)
      : batch_(batch), begin_(begin), count_(count) {}

  STREAM_STORE_INLINE void AskEnds() {
    const View& view = batch_.view;
    for (std::uint64_t i = 0; i < count_; ++i) {
      const std::uint64_t start = batch_.start(begin_ + i);
      at_[i] = batch_.guesser.HintedRecord(start);
      Touch(view.records[at_[i]]);
      Touch(view.records[batch_.LastRecord(at_[i])]);
      if (batch_.out.values != nullptr) {
        Touch(view.values[start]);
        Touch(view.values[start + batch_.width - 1]);
      }
    }
  }

  STREAM_STORE_INLINE void AskLines(std::uint64_t i) const {
    const View& view = batch_.view;
    PrefetchLines(view.records + at_[i], view.records + batch_.LastRecord(at_[i]) + 1, kMostLines);
    if (batch_.out.values != nullptr) {
      const Value* values = view.values + batch_.start(begin_ + i);
      PrefetchLines(values, values + batch_.width, kMostLines);
    }
  }

  std::uint64_t guess(std::uint64_t i) const { return at_[i]; }

 private:
  const Batch& batch_;
  std::uint64_t begin_;
  std::uint64_t count_;
  std::uint64_t at_[kBlock];
};

WindowsOut OutAt(const WindowsOut& out, std::uint64_t index) {
  const auto at = [index](auto* column) { return column == nullptr ? nullptr : column + index; };
  return {at(out.values), at(out.types), at(out.step), at(out.number), at(out.offset), at(out.row)};
}

STREAM_STORE_INLINE void FillOne(const Batch& batch, TemplateCache& cache, std::uint64_t i,
                                 std::uint64_t guess) {
  const std::uint64_t start = batch.start(i);
  WindowFill fill{batch.view, cache,       OutAt(batch.out, i * batch.width),
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

// Asks the kernel for all that windows [begin, end) need.
[[gnu::noinline]] void AskKernel(const Batch& batch, std::uint64_t begin, std::uint64_t end) {
  const View& view = batch.view;
  const bool records = view.record_count > 0;
  for (std::uint64_t i = begin; records && i < end; ++i) {
    const std::uint64_t first = batch.guesser.HintedRecord(batch.start(i));
    ReadAhead::Ask(view.records + first, view.records + batch.LastRecord(first) + 1);
  }
  for (std::uint64_t i = begin; batch.out.values != nullptr && i < end; ++i) {
    const Value* values = view.values + batch.start(i);
    ReadAhead::Ask(values, values + batch.width);
  }
}

STREAM_STORE_INLINE void FillAll(const Batch& batch) {
  TemplateCache& cache = TemplateCache::ForThread();
  const std::uint64_t count = batch.starts.size();
  ReadAhead read_ahead(batch.view);
  for (std::uint64_t begin = 0; begin < count; begin += kBlock) {
    read_ahead.Before(begin, count,
                      [&](std::uint64_t from, std::uint64_t to) { AskKernel(batch, from, to); });
    const std::uint64_t block = std::min(count - begin, kBlock);
    for (std::uint64_t i = begin + kBlock; i < std::min(count, begin + 2 * kBlock); ++i) {
      batch.guesser.Prefetch(batch.start(i));
    }
    BlockAhead ahead(batch, begin, block);
    ahead.AskEnds();
    for (std::uint64_t i = 0; i < block; ++i) {
      if (i + kLinesAhead < block) {
        ahead.AskLines(i + kLinesAhead);
      }
      FillOne(batch, cache, begin + i, ahead.guess(i));
    }
    read_ahead.After(block);
  }
}

void FillAllBaseline(const Batch& batch) { FillAll(batch); }

STREAM_STORE_AVX2 void FillAllAvx2(const Batch& batch) { FillAll(batch); }

void CopyValuesOnly(const Batch& batch) {
  const std::uint64_t count = batch.starts.size();
  ReadAhead read_ahead(batch.view);
  for (std::uint64_t i = 0; i < count; ++i) {
    read_ahead.Before(i, count,
                      [&](std::uint64_t from, std::uint64_t to) { AskKernel(batch, from, to); });
    if (i + kLinesAhead < count) {
      const Value* values = batch.view.values + batch.start(i + kLinesAhead);
      PrefetchLines(values, values + batch.width, kMostLines);
    }
    std::memcpy(batch.out.values + i * batch.width, batch.view.values + batch.start(i),
                batch.width * sizeof(Value));
    read_ahead.After(1);
  }
}

[[noreturn]] void ThrowOutside(const View& view, Position start, std::uint64_t width) {
  throw Error(ErrorCode::kOutOfRange, StrCat("window [", start, ", ", start, " + ", width,
                                             ") is outside [0, ", view.value_count, ")"));
}

void CheckStarts(const View& view, std::span<const Position> starts, std::uint64_t width) {
  if (starts.empty()) {
    return;
  }
  if (width > view.value_count) {
    ThrowOutside(view, starts[0], width);
  }
  const std::uint64_t last = view.value_count - width;
  bool outside = false;
  for (const Position start : starts) {
    outside |= static_cast<std::uint64_t>(start) > last;
  }
  if (!outside) {
    return;
  }
  for (const Position start : starts) {
    if (static_cast<std::uint64_t>(start) > last) {
      ThrowOutside(view, start, width);
    }
  }
}

}  // namespace

void ReadWindows(const View& view, std::span<const Position> starts, std::uint64_t width,
                 const WindowsOut& out) {
  CheckStarts(view, starts, width);
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
  if (view.record_count == 0) {
    ThrowWrongStart(view, 0, 0);
  }
  if (Avx2InUse()) {
    FillAllAvx2(batch);
  } else {
    FillAllBaseline(batch);
  }
}

}  // namespace stream_store::internal

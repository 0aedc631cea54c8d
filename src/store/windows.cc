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

constexpr std::uint64_t kHintAhead = 12;   // windows between asking for a hint and filling
constexpr std::uint64_t kRecordAhead = 6;  // windows between asking for records and filling
constexpr std::uint64_t kGuessRing = 8;    // a power of two above kRecordAhead
constexpr std::uint64_t kMostLines =
    24;  // cache lines asked for per window and array; hardware follows on
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

// The words of a record that a window needs, each loaded once.
struct Head {
  std::uint64_t record;
  std::uint64_t start;
  Step step;
  Row row;
  std::uint32_t layout;
};

template <bool kExtra>
STREAM_STORE_INLINE Head LoadHead(const View& view, std::uint64_t record) {
  const Record& words = view.records[record];
  Row row = 0;
  if constexpr (kExtra) row = static_cast<Row>(RowOfRecord(LoadOnce(words.row_session)));
  return {record, LoadOnce(words.start), LoadOnce(words.step), row, LoadOnce(words.layout)};
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

// The columns that few ask for, of one run.
[[gnu::noinline]] void FillExtraRun(Fill& fill, LayoutTemplate& layout, std::uint64_t skip,
                                    std::uint64_t begin, std::uint64_t count) {
  if (fill.out.offset != nullptr)
    CopyColumn(layout, OffsetsOf(layout), skip, fill.out.offset + begin, count);
  if (fill.out.number == nullptr) return;
  FillNumbers(fill.view, layout, skip, fill.view.values + fill.start + begin, count,
              fill.out.number + begin);
}

// One record of a layout too long for a template: its words say what lies where.
[[gnu::noinline]] void FillLong(Fill& fill, const Head& head, std::uint64_t skip,
                                std::uint64_t total) {
  const std::uint64_t count = std::min(total - skip, fill.width - fill.done);
  const std::uint64_t end = skip + count;
  const WindowsOut& out = fill.out;
  const Value* values = fill.view.values + fill.start + fill.done;
  ForEachField(fill.view, head.layout, [&](TypeId type, std::uint64_t begin, std::uint64_t length) {
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
  if (out.steps != nullptr) std::fill_n(out.steps + fill.done, count, head.step);
  if (out.row != nullptr) std::fill_n(out.row + fill.done, count, head.row);
  fill.done += count;
}

// Fills from records of one layout for as long as they follow each other; `head` is the first on
// entry and the last one used on return.
template <bool kExtra>
STREAM_STORE_INLINE void FillRun(Fill& fill, LayoutTemplate& layout, Head& head,
                                 std::uint64_t skip) {
  const View& view = fill.view;
  const WindowsOut out = fill.out;
  const std::uint64_t width = fill.width;
  const std::uint64_t begin = fill.done;
  const std::uint64_t total = layout.total;
  const auto fill_record = [&](std::uint64_t done, std::uint64_t count)
                               __attribute__((always_inline)) {
                                 if (done + PaddedWords(count) <= width) {
                                   if (out.steps != nullptr)
                                     FillPadded(out.steps + done, head.step, count);
                                   if constexpr (kExtra) {
                                     if (out.row != nullptr)
                                       FillPadded(out.row + done, head.row, count);
                                   }
                                 } else {
                                   if (out.steps != nullptr)
                                     FillWords(out.steps + done, head.step, count);
                                   if constexpr (kExtra) {
                                     if (out.row != nullptr)
                                       FillWords(out.row + done, head.row, count);
                                   }
                                 }
                               };
  std::uint64_t done = begin;
  std::uint64_t count = std::min(total - skip, width - done);
  for (;;) {
    fill_record(done, count);
    done += count;
    if (done == width || head.record + 1 >= view.record_count) break;
    const Head next = LoadHead<kExtra>(view, head.record + 1);
    if (next.layout != head.layout || next.start != head.start + total) break;
    head = next;
    count = std::min(total, width - done);
  }
  fill.done = done;
  if (out.types != nullptr) CopyColumn(layout, layout.types, skip, out.types + begin, done - begin);
  if constexpr (kExtra) FillExtraRun(fill, layout, skip, begin, done - begin);
}

// The record after `head`, which must begin where that one ends; one of a row of empty ones: the
// last of them.
template <bool kExtra>
STREAM_STORE_INLINE Head NextHead(const View& view, const Head& head, std::uint64_t total) {
  const std::uint64_t expected = head.start + total;
  std::uint64_t record = head.record + 1;
  if (total == 0)
    record = std::max(record, RecordOfPosition(view, static_cast<Position>(expected)));
  if (record >= view.record_count) ThrowWrongStart(view, record, expected);
  const Head next = LoadHead<kExtra>(view, record);
  if (next.start != expected) ThrowWrongStart(view, record, expected);
  return next;
}

// Fills every column but `values` of a window whose first record is known.
template <bool kExtra>
STREAM_STORE_INLINE void FillWindow(Fill& fill, std::uint64_t record) {
  const View& view = fill.view;
  Head head = LoadHead<kExtra>(view, record);
  std::uint64_t skip = fill.start - head.start;
  for (;;) {
    LayoutTemplate* layout = fill.cache.Find(view, head.layout);
    const std::uint64_t total =
        layout != nullptr ? layout->total : LayoutAt(view, head.layout).total;
    if (skip >= total) [[unlikely]] {
      // Only an empty record between two others holds nothing.
      if (total > 0 || fill.done == 0) ThrowNotHeld(view, head.record, fill.start);
    } else if (layout != nullptr) [[likely]] {
      FillRun<kExtra>(fill, *layout, head, skip);
    } else {
      FillLong(fill, head, skip, total);
    }
    if (fill.done == fill.width) return;
    head = NextHead<kExtra>(view, head, total);
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

template <bool kExtra>
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
  FillWindow<kExtra>(fill, record);
}

template <bool kExtra>
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
    FillOne<kExtra>(batch, cache, i, ring[i % kGuessRing]);
  }
}

template <bool kExtra>
void FillAllBaseline(const Batch& batch) {
  FillAll<kExtra>(batch);
}

template <bool kExtra>
STREAM_STORE_AVX2 void FillAllAvx2(const Batch& batch) {
  FillAll<kExtra>(batch);
}

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
  const bool extra = out.number != nullptr || out.offset != nullptr || out.row != nullptr;
  if (!extra && out.types == nullptr && out.steps == nullptr) {
    if (out.values != nullptr) CopyValuesOnly(batch);
    return;
  }
  if (view.record_count == 0) ThrowWrongStart(view, 0, 0);
  if (HasAvx2()) {
    extra ? FillAllAvx2<true>(batch) : FillAllAvx2<false>(batch);
  } else {
    extra ? FillAllBaseline<true>(batch) : FillAllBaseline<false>(batch);
  }
}

}  // namespace stream_store::internal

// Scattered positions: runs of neighbours go the way of windows, the rest one by one as a pipeline.
#include <algorithm>

#include "stream_store/error.h"

#include "base/str_cat.h"
#include "storage/read_ahead.h"
#include "storage/record_hints.h"
#include "store/read_functions.h"
#include "store/template_cache.h"

namespace stream_store::internal {
namespace {

constexpr std::uint64_t kHintAhead = 24;    // positions between asking for a hint and reading
constexpr std::uint64_t kRecordAhead = 12;  // positions between asking for a record and reading
constexpr std::uint64_t kGuessRing = 16;    // a power of two above kRecordAhead
constexpr std::uint64_t kTogether = 256;    // positions that are one pipeline
constexpr std::uint64_t kLeastRun = 8;      // neighbours that make a window worth its look-up

// The record that held the last position: the next one is often in it, too.
struct CurrentRecord {
  std::uint64_t start = 0;
  std::uint64_t total = 0;  // 0: nothing held yet
  Step step = 0;
  Row row = 0;
  std::uint32_t layout = 0;
};

CurrentRecord HoldRecord(const View& view, TemplateCache& cache, std::uint64_t record,
                         std::uint64_t position) {
  const Record& words = view.records[record];
  CurrentRecord held;
  held.start = LoadOnce(words.start);
  held.step = LoadOnce(words.step);
  held.row = static_cast<Row>(RowOfRecord(LoadOnce(words.row_session)));
  held.layout = LoadOnce(words.layout);
  const LayoutTemplate* layout = cache.Find(view, held.layout);
  held.total = layout != nullptr ? layout->total : LayoutAt(view, held.layout).total;
  if (position - held.start >= held.total) {
    ThrowCorruptRecord(view, record,
                       StrCat("expected to hold position ", position, " but it ends before"));
  }
  return held;
}

struct Place {
  TypeId type = 0;
  std::uint64_t offset = 0;
};

// Which field-write of the record a value belongs to. REQUIRES: skip < held.total.
Place PlaceIn(const View& view, TemplateCache& cache, const CurrentRecord& held, std::uint64_t skip,
              bool want_offset) {
  LayoutTemplate* layout = cache.Find(view, held.layout);
  if (layout != nullptr && skip < layout->total) {
    const auto type = static_cast<TypeId>(layout->types.values[skip]);
    const std::uint64_t offset =
        want_offset ? static_cast<std::uint64_t>(OffsetsOf(*layout).values[skip]) : 0;
    return {type, offset};
  }
  Place place;
  ForEachField(view, held.layout, [&](TypeId type, std::uint64_t begin, std::uint64_t length) {
    if (skip - begin < length) {
      place = {type, skip - begin};
    }
  });
  return place;
}

void ReadOne(const View& view, TemplateCache& cache, const CurrentRecord& held,
             std::uint64_t position, std::uint64_t at, const WindowsOut& out) {
  const Value value = view.values[position];
  if (out.values != nullptr) {
    out.values[at] = value;
  }
  if (out.step != nullptr) {
    out.step[at] = held.step;
  }
  if (out.row != nullptr) {
    out.row[at] = held.row;
  }
  if (out.types == nullptr && out.offset == nullptr && out.number == nullptr) {
    return;
  }
  const Place place = PlaceIn(view, cache, held, position - held.start, out.offset != nullptr);
  if (out.types != nullptr) {
    out.types[at] = place.type;
  }
  if (out.offset != nullptr) {
    out.offset[at] = static_cast<std::int64_t>(place.offset);
  }
  if (out.number != nullptr) {
    out.number[at] = NumberOf(view.store_schema->encodings[place.type], value);
  }
}

WindowsOut OutAt(const WindowsOut& out, std::uint64_t index) {
  const auto at = [index](auto* column) { return column == nullptr ? nullptr : column + index; };
  return {at(out.values), at(out.types), at(out.step), at(out.number), at(out.offset), at(out.row)};
}

// How many positions from `at` on are neighbours, one after the other.
std::uint64_t RunLength(std::span<const Position> positions, std::uint64_t at) {
  std::uint64_t end = at + 1;
  while (end < positions.size() && positions[end] == positions[end - 1] + 1) {
    ++end;
  }
  return end - at;
}

// Reads positions[begin, end) one by one.
void GatherSome(const View& view, TemplateCache& cache, std::span<const Position> positions,
                std::uint64_t begin, std::uint64_t end, const WindowsOut& out) {
  const auto position = [&](std::uint64_t i) { return static_cast<std::uint64_t>(positions[i]); };
  const PositionHints guesser(view);
  std::uint64_t ring[kGuessRing];
  const auto prepare = [&](std::uint64_t i) {
    ring[i % kGuessRing] = guesser.HintedRecord(position(i));
    PrefetchLine(view.records + ring[i % kGuessRing]);
    PrefetchLine(view.values + position(i));
  };
  for (std::uint64_t i = begin; i < std::min(end, begin + kHintAhead); ++i) {
    guesser.Prefetch(position(i));
  }
  for (std::uint64_t i = begin; i < std::min(end, begin + kRecordAhead); ++i) {
    prepare(i);
  }
  CurrentRecord held;
  for (std::uint64_t i = begin; i < end; ++i) {
    if (i + kHintAhead < end) {
      guesser.Prefetch(position(i + kHintAhead));
    }
    if (i + kRecordAhead < end) {
      prepare(i + kRecordAhead);
    }
    if (position(i) - held.start >= held.total) {
      held = HoldRecord(view, cache, RecordFromHint(view, position(i), ring[i % kGuessRing]),
                        position(i));
    }
    ReadOne(view, cache, held, position(i), i, out);
  }
}

// The same for any number, in parts between which it is seen whether reading waits for a disk.
void GatherScattered(const View& view, TemplateCache& cache, std::span<const Position> positions,
                     std::uint64_t begin, std::uint64_t end, const WindowsOut& out) {
  const PositionHints guesser(view);
  ReadAhead ahead(view);
  for (std::uint64_t next = begin; begin < end; begin = next) {
    ahead.Before(begin, end, [&](std::uint64_t from, std::uint64_t to) {
      for (std::uint64_t i = from; i < to; ++i) {
        const auto position = static_cast<std::uint64_t>(positions[i]);
        const Record* record = view.records + guesser.HintedRecord(position);
        ReadAhead::Ask(record, record + 1);
        ReadAhead::Ask(view.values + position, view.values + position + 1);
      }
    });
    next = std::min(end, begin + kTogether);
    GatherSome(view, cache, positions, begin, next, out);
    ahead.After(next - begin);
  }
}

void CheckPositions(const View& view, std::span<const Position> positions) {
  for (const Position position : positions) {
    if (static_cast<std::uint64_t>(position) >= view.value_count) {
      throw Error(ErrorCode::kOutOfRange,
                  StrCat("position ", position, " is outside [0, ", view.value_count, ")"));
    }
  }
}

}  // namespace

void Gather(const View& view, std::span<const Position> positions, const WindowsOut& out) {
  CheckPositions(view, positions);
  if (positions.empty()) {
    return;
  }
  if (view.record_count == 0) {
    ThrowCorruptRecord(view, 0, "expected records for the values but found none");
  }
  TemplateCache& cache = TemplateCache::ForThread();
  std::uint64_t scattered = 0;  // positions from here on wait to be read one by one
  for (std::uint64_t i = 0; i < positions.size();) {
    const std::uint64_t run = RunLength(positions, i);
    if (run >= kLeastRun) {
      GatherScattered(view, cache, positions, scattered, i, out);
      ReadWindows(view, positions.subspan(i, 1), run, OutAt(out, i));
      scattered = i + run;
    }
    i += run;
  }
  GatherScattered(view, cache, positions, scattered, positions.size(), out);
}

}  // namespace stream_store::internal

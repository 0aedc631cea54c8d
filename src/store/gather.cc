// Values at scattered positions. Runs of consecutive positions are read as windows; the others are
// read one by one, with their memory prefetched some positions ahead.
#include <algorithm>

#include "base/assert.h"
#include "storage/read_ahead.h"
#include "storage/record_hints.h"
#include "store/prefetch.h"
#include "store/read_functions.h"
#include "store/record_cursor.h"
#include "store/template_cache.h"

namespace stream_store::internal {
namespace {

constexpr std::uint64_t kHintAhead = 24;    // positions between prefetching a hint and reading
constexpr std::uint64_t kRecordAhead = 12;  // positions between prefetching a record and reading
constexpr std::uint64_t kGuessRing = 16;    // a power of two above kRecordAhead
constexpr std::uint64_t kTogether = 256;    // positions of one pipeline
constexpr std::uint64_t kLeastRun = 8;      // consecutive positions that are read as a window
static_assert(kGuessRing > kRecordAhead);

// The record that holds the last position: sorted positions are often in one record.
struct CurrentRecord {
  std::uint64_t start = 0;
  std::uint64_t total = 0;  // 0 before the first record, so that no position is in it
  Step step = 0;
  Row row = 0;
  std::uint32_t layout = 0;
  // The template of the layout, with the same total; null if the layout is too long for one. Valid
  // until the next LoadRecord().
  LayoutTemplate* written_out = nullptr;
};

// Loads the record that holds a position; checks that it does.
CurrentRecord LoadRecord(const View& view, TemplateCache& cache, std::uint64_t record,
                         std::uint64_t position) {
  const RecordHead head = LoadHead(view, record);
  LayoutTemplate* layout = cache.Find(view, head.layout);
  const std::uint64_t total = layout != nullptr ? layout->total : LayoutAt(view, head.layout).total;
  const CurrentRecord loaded{head.start,  total, head.step, static_cast<Row>(head.row),
                             head.layout, layout};
  if (position - loaded.start >= loaded.total) {
    ThrowEndsBefore(view, record, position);
  }
  return loaded;
}

// The field-write that a value belongs to, and the index of the value in it.
struct FieldPlace {
  TypeId type = 0;
  std::uint64_t offset = 0;
};

// The field-write of value `skip` of the record. REQUIRES: skip < current.total.
FieldPlace FieldPlaceOf(const View& view, const CurrentRecord& current, std::uint64_t skip,
                        bool want_offset) {
  STREAM_STORE_ASSERT(skip < current.total);
  if (LayoutTemplate* const layout = current.written_out; layout != nullptr) {
    const auto type = static_cast<TypeId>(layout->types.values[skip]);
    const std::uint64_t offset =
        want_offset ? static_cast<std::uint64_t>(OffsetsOf(*layout).values[skip]) : 0;
    return {type, offset};
  }
  FieldPlace place;
  ForEachField(view, current.layout, [&](TypeId type, std::uint64_t begin, std::uint64_t length) {
    if (skip - begin < length) {
      place = {type, skip - begin};
    }
  });
  return place;
}

// Writes the wanted columns of one position to element `at`.
void ReadOne(const View& view, const CurrentRecord& current, std::uint64_t position,
             std::uint64_t at, const WindowsOut& out) {
  const Value value = view.values[position];
  if (out.values != nullptr) {
    out.values[at] = value;
  }
  if (out.step != nullptr) {
    out.step[at] = current.step;
  }
  if (out.row != nullptr) {
    out.row[at] = current.row;
  }
  if (out.types == nullptr && out.offset == nullptr && out.number == nullptr) {
    return;
  }
  const FieldPlace place =
      FieldPlaceOf(view, current, position - current.start, out.offset != nullptr);
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

// How many positions from `at` on are consecutive.
std::uint64_t RunLength(std::span<const Position> positions, std::uint64_t at) {
  std::uint64_t end = at + 1;
  while (end < positions.size() && positions[end] == positions[end - 1] + 1) {
    ++end;
  }
  return end - at;
}

// Reads positions[begin, end) one by one, as a pipeline: the hint of a position is prefetched
// kHintAhead positions before it is read, its record and value kRecordAhead before. This is not
// ForEachBlock(): reading a position is only a few loads, less than the time one cache miss takes,
// and a block would drain the misses under way at its end, after every 32 positions.
void GatherPipeline(const View& view, TemplateCache& cache, std::span<const Position> positions,
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
  CurrentRecord current;
  for (std::uint64_t i = begin; i < end; ++i) {
    if (i + kHintAhead < end) {
      guesser.Prefetch(position(i + kHintAhead));
    }
    if (i + kRecordAhead < end) {
      prepare(i + kRecordAhead);
    }
    if (position(i) - current.start >= current.total) {
      current = LoadRecord(view, cache, RecordFromHint(view, position(i), ring[i % kGuessRing]),
                           position(i));
    }
    ReadOne(view, current, position(i), i, out);
  }
}

// Reads positions[begin, end) one by one. They are cut into pipelines, because only between two
// pipelines can ReadAhead see whether the thread waits for a disk.
void GatherScattered(const View& view, TemplateCache& cache, std::span<const Position> positions,
                     std::uint64_t begin, std::uint64_t end, const WindowsOut& out) {
  const PositionHints guesser(view);
  const auto ask_kernel = [&](std::uint64_t from, std::uint64_t to) {
    for (std::uint64_t i = from; i < to; ++i) {
      const auto position = static_cast<std::uint64_t>(positions[i]);
      const Record* record = view.records + guesser.HintedRecord(position);
      ReadAhead::Ask(record, record + 1);
      ReadAhead::Ask(view.values + position, view.values + position + 1);
    }
  };
  ForEachPart(view, begin, end, kTogether, ask_kernel, [&](std::uint64_t from, std::uint64_t to) {
    GatherPipeline(view, cache, positions, from, to, out);
  });
}

}  // namespace

void Gather(const View& view, std::span<const Position> positions, const WindowsOut& out) {
  CheckPositions(view, positions);
  if (positions.empty()) {
    return;
  }
  if (!HasRecords(view)) {
    ThrowCorruptRecord(view, view.record_count,
                       "expected records for the values but the store has none");
  }
  TemplateCache& cache = TemplateCache::ForThread();
  std::uint64_t scattered = 0;  // the first position that was not read yet
  for (std::uint64_t i = 0; i < positions.size();) {
    const std::uint64_t run = RunLength(positions, i);
    if (run >= kLeastRun) {
      GatherScattered(view, cache, positions, scattered, i, out);
      ReadWindows(view, positions.subspan(i, 1), run, out.From(i));
      scattered = i + run;
    }
    i += run;
  }
  GatherScattered(view, cache, positions, scattered, positions.size(), out);
}

}  // namespace stream_store::internal

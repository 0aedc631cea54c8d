#include "storage/safe_copy.h"

#include <algorithm>
#include <array>

#include "base/assert.h"
#include "base/str_cat.h"
#include "format/layout.h"

namespace stream_store::internal {
namespace {

// Reads all of `out`. Throws Error(kCorrupt) if the file has been truncated.
void ReadAll(const File& file, std::span<std::byte> out, std::uint64_t offset) {
  const std::size_t there = file.ReadAt(out, offset);
  if (there != out.size()) {
    throw Error(ErrorCode::kCorrupt,
                StrCat(file.path(), ": expected at least ", offset + out.size(),
                       " bytes but found ", offset + there, ": it was cut short"));
  }
}

Record ReadRecord(const StoreFiles& files, std::uint64_t i) {
  Record record{};
  ReadAll(files.records.file(), std::as_writable_bytes(std::span(&record, 1)), i * sizeof(Record));
  return record;
}

// Returns the first of `count` records for which `after` is true, else `count`, by binary search
// with one pread() per probe.
template <class After>
std::uint64_t FirstRecord(const StoreFiles& files, std::uint64_t count, const After& after) {
  std::uint64_t begin = 0;
  while (begin < count) {
    const std::uint64_t middle = begin + (count - begin) / 2;
    if (after(ReadRecord(files, middle))) {
      count = middle;
    } else {
      begin = middle + 1;
    }
  }
  return begin;
}

}  // namespace

SafeCopy::SafeCopy(const StoreFiles& files, const View& view)
    : files_(files),
      view_(view),
      values_(Mapping::Private(view.value_count * sizeof(Value))),
      records_(Mapping::Private((view.record_count + 1) * sizeof(Record))),
      layouts_(Mapping::Private(view.layout_words * sizeof(std::uint64_t))),
      hints_(Mapping::Private((std::max(view.value_count, view.row_count) / kHintStride + 2) *
                              sizeof(Hint))) {
  view_.values = reinterpret_cast<const Value*>(values_.data());
  view_.records = reinterpret_cast<const Record*>(records_.data());
  view_.layouts = reinterpret_cast<const std::uint64_t*>(layouts_.data());
  view_.hints = reinterpret_cast<const Hint*>(hints_.data());
  const std::uint64_t reach = std::max(view.value_count, view.row_count);
  view_.hint_slots = HintSlots(reach);
  view_.sparse = true;
  view_.mapping_key = CacheKey(NewMapsKey(), *view_.store_schema);
  view_.mappings = nullptr;
}

std::uint64_t SafeCopy::HintedRecord(std::uint64_t slot, bool of_row) const {
  Hint hint{};
  files_.hints.file().ReadAt(std::as_writable_bytes(std::span(&hint, 1)), slot * sizeof(Hint));
  return of_row ? hint.row_record : hint.position_record;
}

// Returns the last record with start <= 256 * slot, or the last record of all if that position is
// beyond the values. Here `slot` is the number of a hint. Tests the stored hint, searches if it is
// wrong, and puts the right record into the hints of the copy. Each hint is resolved once.
std::uint64_t SafeCopy::PositionBorder(std::uint64_t slot) {
  const std::uint64_t last = view_.record_count - 1;
  const std::uint64_t place = slot * kHintStride;
  if (place >= view_.value_count) {
    return last;
  }
  const auto [known, fresh] = position_borders_.try_emplace(slot, 0);
  if (!fresh) {
    return known->second;
  }
  std::uint64_t record = HintedRecord(slot, /*of_row=*/false);
  const bool right = record <= last && ReadRecord(files_, record).start <= place &&
                     (record == last || ReadRecord(files_, record + 1).start > place);
  if (!right) {
    const std::uint64_t after = FirstRecord(files_, view_.record_count,
                                            [place](const Record& at) { return at.start > place; });
    record = after == 0 ? 0 : after - 1;
  }
  reinterpret_cast<Hint*>(hints_.data())[slot].position_record = record;
  return known->second = record;
}

// Returns the first record of row 256 * slot, or the last record of all if that row is beyond the
// rows. As PositionBorder().
std::uint64_t SafeCopy::RowBorder(std::uint64_t slot) {
  const std::uint64_t last = view_.record_count - 1;
  const std::uint64_t row = slot * kHintStride;
  if (row >= view_.row_count) {
    return last;
  }
  const auto [known, fresh] = row_borders_.try_emplace(slot, 0);
  if (!fresh) {
    return known->second;
  }
  const auto row_of = [this](std::uint64_t i) {
    return RowOfRecord(ReadRecord(files_, i).row_session);
  };
  std::uint64_t record = HintedRecord(slot, /*of_row=*/true);
  const bool right =
      record <= last && row_of(record) == row && (record == 0 || row_of(record - 1) < row);
  if (!right) {
    record = FirstRecord(files_, view_.record_count,
                         [row](const Record& at) { return RowOfRecord(at.row_session) >= row; });
    record = std::min(record, last);
  }
  reinterpret_cast<Hint*>(hints_.data())[slot].row_record = record;
  return known->second = record;
}

void SafeCopy::Merge(std::vector<Range>& ranges) {
  std::ranges::sort(ranges, {}, &Range::begin);
  std::size_t kept = 0;
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    if (kept > 0 && ranges[i].begin <= ranges[kept - 1].end) {
      ranges[kept - 1].end = std::max(ranges[kept - 1].end, ranges[i].end);
    } else {
      ranges[kept++] = ranges[i];
    }
  }
  ranges.resize(kept);
}

// Copies ranges of records and the layouts that they use. Each range is extended by one record
// before it and two after it: the test of a look-up loads the neighbours of a record, and the end
// of a record is the start of the next one.
void SafeCopy::FetchRecords(std::vector<Range> ranges) {
  for (Range& range : ranges) {
    range.begin -= range.begin > 0 ? 1 : 0;
    range.end = std::min(range.end + 2, view_.record_count);
  }
  Merge(ranges);
  for (const Range& range : ranges) {
    auto* records = reinterpret_cast<Record*>(records_.data());
    const std::span<Record> part(records + range.begin, range.end - range.begin);
    ReadAll(files_.records.file(), std::as_writable_bytes(part), range.begin * sizeof(Record));
    for (const Record& record : part) {
      FetchLayout(record.layout);
    }
  }
}

// Copies at most as many words as a valid layout can have; the read function reports an invalid
// one.
void SafeCopy::FetchLayout(std::uint32_t offset) {
  constexpr std::uint64_t kAtOnce = 32;
  if (offset >= view_.layout_words || !layouts_there_.insert(offset).second) {
    return;
  }
  auto* words = reinterpret_cast<std::uint64_t*>(layouts_.data());
  const auto bytes = [words](std::uint64_t begin, std::uint64_t end) {
    return std::as_writable_bytes(std::span(words + begin, end - begin));
  };
  const File& file = files_.layouts.file();
  // Most layouts are short, so one pread() of 32 words is usually enough. A writer that closes
  // trims the file after its last layout, so some of these words may not exist.
  const std::uint64_t ahead = std::min(offset + kAtOnce, view_.layout_words);
  const std::uint64_t there =
      offset +
      file.ReadAt(bytes(offset, ahead), offset * sizeof(std::uint64_t)) / sizeof(std::uint64_t);
  const std::uint64_t fields = there > offset ? WordType(words[offset]) : 0;
  if (fields > view_.store_schema->schema.size()) {
    return;
  }
  const std::uint64_t wanted = std::min(offset + fields + 1, view_.layout_words);
  if (wanted > there) {
    ReadAll(file, bytes(there, wanted), there * sizeof(std::uint64_t));
  }
}

// Copies ranges of values. Ranges from corrupt records may be empty or outside the store; they are
// left to the read function to report.
void SafeCopy::FetchValues(std::vector<Range> ranges) {
  std::erase_if(ranges, [this](const Range& range) {
    return range.begin >= range.end || range.end > view_.value_count;
  });
  Merge(ranges);
  for (const Range& range : ranges) {
    auto* values = reinterpret_cast<Value*>(values_.data());
    const std::span<Value> part(values + range.begin, range.end - range.begin);
    ReadAll(files_.values.file(), std::as_writable_bytes(part), range.begin * sizeof(Value));
  }
}

void SafeCopy::FetchWindows(std::span<const Position> starts, std::uint64_t width) {
  if (view_.record_count == 0 || width == 0 || width > view_.value_count) {
    return;
  }
  std::vector<Range> records;
  std::vector<Range> values;
  for (const Position start : starts) {
    const auto begin = static_cast<std::uint64_t>(start);
    if (start < 0 || begin > view_.value_count - width) {
      continue;
    }
    // After a record without values, the read function looks the next position up again, so it may
    // use the hint of any block inside the window.
    const std::uint64_t slot = begin / kHintStride;
    const std::uint64_t end = (begin + width - 1) / kHintStride + 1;
    for (std::uint64_t between = slot + 1; between < end; ++between) {
      PositionBorder(between);
    }
    records.push_back({PositionBorder(slot), PositionBorder(end)});
    values.push_back({begin, begin + width});
  }
  FetchRecords(std::move(records));
  FetchValues(std::move(values));
}

// Returns the first record of a row, searching the records [low, high], which are copied together
// with the record after them. REQUIRES: low <= high && low < view_.record_count.
std::uint64_t SafeCopy::FirstOfRow(std::uint64_t row, std::uint64_t low, std::uint64_t high) const {
  STREAM_STORE_ASSERT(low <= high && low < view_.record_count);
  const std::span<const Record> part(view_.records + low,
                                     std::min(high + 2, view_.record_count) - low);
  const auto found = std::ranges::lower_bound(
      part, row, {}, [](const Record& record) { return RowOfRecord(record.row_session); });
  return low + static_cast<std::uint64_t>(found - part.begin());
}

void SafeCopy::FetchRows(std::span<const Row> rows, std::uint64_t length, bool values) {
  std::vector<RowRun> runs(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    runs[i] = {.row = rows[i], .count = length};
  }
  FetchRows(runs, values);
}

void SafeCopy::FetchRows(std::span<const RowRun> runs, bool values) {
  if (view_.record_count == 0) {
    return;
  }
  std::vector<Range> records;
  const auto inside = [&](const RowRun& run) {
    return run.row >= 0 && run.count > 0 && run.count <= view_.row_count &&
           static_cast<std::uint64_t>(run.row) <= view_.row_count - run.count;
  };
  for (const RowRun& run : runs) {
    if (!inside(run)) {
      continue;
    }
    const auto begin = static_cast<std::uint64_t>(run.row);
    const std::uint64_t slot = begin / kHintStride;
    // The look-up of the first row uses the hints of its block and of the next one.
    RowBorder(slot + 1);
    const std::uint64_t low = RowBorder(slot);
    const std::uint64_t high = RowBorder((begin + run.count - 1) / kHintStride + 1);
    records.push_back({low, std::max(low, high)});  // hostile records may not be in order
  }
  FetchRecords(records);
  if (!values) {
    return;
  }
  std::vector<Range> needed;
  std::size_t i = 0;
  for (const RowRun& run : runs) {
    if (!inside(run)) {
      continue;
    }
    const auto begin = static_cast<std::uint64_t>(run.row);
    const Range& range = records[i++];
    const std::uint64_t first = FirstOfRow(begin, range.begin, range.end);
    const std::uint64_t end = FirstOfRow(begin + run.count, range.begin, range.end);
    const auto start_of = [this](std::uint64_t record) {
      return record < view_.record_count ? view_.records[record].start : view_.value_count;
    };
    needed.push_back({start_of(first), start_of(end)});
  }
  FetchValues(std::move(needed));
}

Row SafeCopy::RowAtStep(const StoreFiles& files, const View& view, Step step, bool after) {
  const std::uint64_t record = FirstRecord(
      files, view.record_count,
      [step, after](const Record& at) { return after ? at.step > step : at.step >= step; });
  if (record == view.record_count) {
    return static_cast<Row>(view.row_count);
  }
  const std::uint64_t row = RowOfRecord(ReadRecord(files, record).row_session);
  if (row >= view.row_count) {
    ThrowCorruptRecord(view, record,
                       StrCat("expected a row below ", view.row_count, " but found ", row));
  }
  return static_cast<Row>(row);
}

}  // namespace stream_store::internal

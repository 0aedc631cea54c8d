#include "storage/safe_copy.h"

#include <algorithm>
#include <array>

#include "base/assert.h"
#include "base/str_cat.h"
#include "format/layout.h"

namespace stream_store::internal {
namespace {

// Reads items from number `first` on. Returns how many there are. All reads of this source are made
// here.
template <class T>
std::uint64_t ReadItems(const DataFile& file, std::span<T> out, std::uint64_t first) {
  return file.ReadAt(std::as_writable_bytes(out), first * sizeof(T)) / sizeof(T);
}

// Reads all of `out`. Throws Error(kCorrupt) if the file has been truncated.
template <class T>
void ReadAll(const DataFile& file, std::span<T> out, std::uint64_t first) {
  const std::uint64_t there = ReadItems(file, out, first);
  if (there != out.size()) {
    throw Error(ErrorCode::kCorrupt,
                StrCat(file.path(), ": expected at least ", (first + out.size()) * sizeof(T),
                       " bytes but found ", (first + there) * sizeof(T), ": it was cut short"));
  }
}

Record ReadRecord(const StoreFiles& files, std::uint64_t i) {
  Record record{};
  ReadAll(files.records, std::span(&record, 1), i);
  return record;
}

// Returns a hint, or 0 if there is none. It is not trusted.
std::uint64_t ReadHint(const DataFile& hints, std::uint64_t slot) {
  std::uint64_t record = 0;
  ReadItems(hints, std::span(&record, 1), slot);
  return record;
}

// Returns the first record of [begin, end) for which `after` is true, else `end`, by binary search
// with one pread() per probe.
template <class After>
std::uint64_t FirstRecord(const StoreFiles& files, std::uint64_t begin, std::uint64_t end,
                          const After& after) {
  while (begin < end) {
    const std::uint64_t middle = begin + (end - begin) / 2;
    if (after(ReadRecord(files, middle))) {
      end = middle;
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
      values_(view.first_position, view.value_count),
      records_(view.begin_record, view.record_count),
      layouts_(view.layout_begin, view.layout_words),
      position_hints_(view.first_position / kHintStride, HintSlots(view.value_count)),
      row_hints_(view.first_row / kHintStride, HintSlots(view.row_count)) {
  view_.values = values_.items();
  view_.records = records_.items();
  view_.layouts = layouts_.items();
  view_.position_hints = position_hints_.items();
  view_.row_hints = row_hints_.items();
  view_.position_hint_end = HintSlots(view.value_count);
  view_.row_hint_end = HintSlots(view.row_count);
  view_.sparse = true;
  view_.mapping_key = CacheKey(NewMapsKey(), *view_.store_schema);
  view_.mappings = nullptr;
}

// Returns the last record with start <= 256 * slot, the first record of all if that position was
// dropped, or the last one if it is beyond the values. Here `slot` is the number of a hint. Tests
// the stored hint, searches if it is wrong, and puts the right record into the hints of the copy.
// Each hint is resolved once.
std::uint64_t SafeCopy::PositionBorder(std::uint64_t slot) {
  const std::uint64_t begin = view_.begin_record;
  const std::uint64_t last = view_.record_count - 1;
  const std::uint64_t place = slot * kHintStride;
  if (place >= view_.value_count) {
    return last;
  }
  const auto [known, fresh] = position_borders_.try_emplace(slot, begin);
  if (!fresh) {
    return known->second;
  }
  std::uint64_t record = std::max(ReadHint(files_.position_hints, slot), begin);
  if (place < view_.first_position) {
    record = begin;
  } else {
    const bool right = record <= last && ReadRecord(files_, record).start <= place &&
                       (record == last || ReadRecord(files_, record + 1).start > place);
    if (!right) {
      const std::uint64_t after =
          FirstRecord(files_, begin, view_.record_count,
                      [place](const Record& at) { return at.start > place; });
      record = after == begin ? begin : after - 1;
    }
  }
  position_hints_.items()[slot] = record;
  return known->second = record;
}

// Returns the first record of row 256 * slot, the first record of all if that row was dropped, or
// the last one if it is beyond the rows. As PositionBorder().
std::uint64_t SafeCopy::RowBorder(std::uint64_t slot) {
  const std::uint64_t begin = view_.begin_record;
  const std::uint64_t last = view_.record_count - 1;
  const std::uint64_t row = slot * kHintStride;
  if (row >= view_.row_count) {
    return last;
  }
  const auto [known, fresh] = row_borders_.try_emplace(slot, begin);
  if (!fresh) {
    return known->second;
  }
  const auto row_of = [this](std::uint64_t i) {
    return RowOfRecord(ReadRecord(files_, i).row_session);
  };
  std::uint64_t record = std::max(ReadHint(files_.row_hints, slot), begin);
  if (row < view_.first_row) {
    record = begin;
  } else {
    const bool right =
        record <= last && row_of(record) == row && (record == begin || row_of(record - 1) < row);
    if (!right) {
      record = FirstRecord(files_, begin, view_.record_count,
                           [row](const Record& at) { return RowOfRecord(at.row_session) >= row; });
      record = std::min(record, last);
    }
  }
  row_hints_.items()[slot] = record;
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
    range.begin -= range.begin > view_.begin_record ? 1 : 0;
    range.end = std::min(range.end + 2, view_.record_count);
  }
  Merge(ranges);
  for (const Range& range : ranges) {
    const std::span<Record> part = records_.Items(range.begin, range.end);
    ReadAll(files_.records, part, range.begin);
    for (const Record& record : part) {
      FetchLayout(record.layout);
    }
  }
}

// Copies at most as many words as a valid layout can have; the read function reports an invalid
// one.
void SafeCopy::FetchLayout(std::uint32_t layout) {
  constexpr std::uint64_t kAtOnce = 32;
  const std::uint64_t word = ResolveLayout(view_, layout);
  if (layout == 0 || word >= view_.layout_words || !layouts_there_.insert(word).second) {
    return;
  }
  // Most layouts are short, so one pread() of 32 words is usually enough. A writer that closes
  // trims the file after its last layout, so some of these words may not exist.
  const std::uint64_t ahead = std::min(word + kAtOnce, view_.layout_words);
  const std::uint64_t there = word + ReadItems(files_.layouts, layouts_.Items(word, ahead), word);
  const std::uint64_t fields = there > word ? WordType(layouts_.items()[word]) : 0;
  if (fields > view_.store_schema->schema.size()) {
    return;
  }
  const std::uint64_t wanted = std::min(word + fields + 1, view_.layout_words);
  if (wanted > there) {
    ReadAll(files_.layouts, layouts_.Items(there, wanted), there);
  }
}

// Copies ranges of values. Ranges from corrupt records may be empty or outside the store; they are
// left to the read function to report.
void SafeCopy::FetchValues(std::vector<Range> ranges) {
  std::erase_if(ranges, [this](const Range& range) {
    return range.begin < view_.first_position || range.begin >= range.end ||
           range.end > view_.value_count;
  });
  Merge(ranges);
  for (const Range& range : ranges) {
    ReadAll(files_.values, values_.Items(range.begin, range.end), range.begin);
  }
}

void SafeCopy::FetchWindows(std::span<const Position> starts, std::uint64_t width) {
  if (!HasRecords(view_) || width == 0 || width > view_.value_count) {
    return;
  }
  std::vector<Range> records;
  std::vector<Range> values;
  for (const Position start : starts) {
    const auto begin = static_cast<std::uint64_t>(start);
    if (start < 0 || begin < view_.first_position || begin > view_.value_count - width) {
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
// with the record after them. REQUIRES: view_.begin_record <= low && low <= high &&
// low < view_.record_count.
std::uint64_t SafeCopy::FirstOfRow(std::uint64_t row, std::uint64_t low, std::uint64_t high) const {
  STREAM_STORE_ASSERT(view_.begin_record <= low && low <= high && low < view_.record_count);
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
  if (!HasRecords(view_)) {
    return;
  }
  std::vector<Range> records;
  const auto inside = [&](const RowRun& run) {
    const auto row = static_cast<std::uint64_t>(run.row);
    return run.row >= 0 && row >= view_.first_row && run.count > 0 &&
           run.count <= view_.row_count && row <= view_.row_count - run.count;
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
      files, view.begin_record, view.record_count,
      [step, after](const Record& at) { return after ? at.step > step : at.step >= step; });
  if (record == view.record_count) {
    return static_cast<Row>(view.row_count);
  }
  const std::uint64_t row = RowOfRecord(ReadRecord(files, record).row_session);
  if (row < view.first_row || row >= view.row_count) {
    ThrowCorruptRecord(
        view, record,
        StrCat("expected a row in [", view.first_row, ", ", view.row_count, ") but found ", row));
  }
  return static_cast<Row>(row);
}

}  // namespace stream_store::internal

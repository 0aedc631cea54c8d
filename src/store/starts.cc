#include "store/starts.h"

#include <algorithm>
#include <mutex>
#include <optional>

#include "stream_store/error.h"

#include "base/assert.h"
#include "base/str_cat.h"
#include "store/read_functions.h"
#include "store/search_many.h"

namespace stream_store::internal {
namespace {

StartRule RuleOf(const SamplerOptions& options) {
  if (options.unit == SampleUnit::kRow) {
    return {StartRule::Count::kRows, options.length};
  }
  return {options.align == SampleAlign::kRow ? StartRule::Count::kRowsByValues
                                             : StartRule::Count::kValues,
          options.length};
}

// A row that may count from the end, as in Python; clamped into the rows of the extent.
std::uint64_t ResolveRow(Row row, const EpochExtent& extent) {
  const auto most = static_cast<Row>(extent.rows);
  return static_cast<std::uint64_t>(
      std::clamp<Row>(row < 0 ? row + most : row, static_cast<Row>(extent.first_row), most));
}

}  // namespace

StoreStarts::StoreStarts(Reader reader, const SamplerOptions& options)
    : reader_(std::move(reader)), options_(options), rule_(RuleOf(options)) {
  if (options_.segment_by.empty()) {
    return;
  }
  index_ = SegmentIndex::SharedFor(reader_, options_.segment_by, options_.lanes);
  // Padded windows start (or end) at every row, so their starts are a range and need no counts;
  // only Pad() looks at the segments.
  if (!padded()) {
    const std::scoped_lock lock(index_->mutex());
    counts_ = index_->CountsOf(rule_, view().first_row);
  }
}

const View& StoreStarts::view() const noexcept { return ReaderAccess::ViewOf(reader_); }

std::uint64_t StoreStarts::UnscannedRows() {
  if (!by_segments()) {
    return 0;
  }
  Reader now = reader_;  // an epoch keeps its own, which has its rows
  now.Refresh();
  const std::scoped_lock lock(index_->mutex());
  return now.num_rows() - std::clamp(index_->rows(), now.first_row(), now.num_rows());
}

// --- the extent ---

void StoreStarts::Follow() {
  reader_.Refresh();
  // Sampling calls this for each batch, so if nothing was appended, it returns at once. A last row
  // that was not final may have become final without a new record, so then it does not.
  const EpochExtent& extent = numbering_.extent;
  const bool same =
      followed_ && view().record_count == seen_records_ && view().begin_record == seen_begin_;
  if (same && extent.last_row == LastRow::kFinal && extent.rows == view().row_count) {
    return;
  }
  Number(ExtentNow(), numbering_);
  seen_begin_ = view().begin_record;
  seen_records_ = view().record_count;
  followed_ = true;
}

std::uint64_t StoreStarts::CountNow() {
  StoreStarts now(reader_, options_);  // an epoch keeps its Reader, which has its rows
  now.Follow();
  return now.count();
}

// The extent of the rows and values stored now. Windows of values without segments take all of
// them. Other windows take only rows that are final, that is, cannot grow any more. If no writer
// has the store open, they also take a last row that is not final, since it may stay like that.
EpochExtent StoreStarts::ExtentNow() {
  const bool needs_whole_rows = !in_values() || by_segments();
  std::uint64_t final_rows = ReaderAccess::FinalRows(reader_);
  bool all = final_rows == view().row_count;
  if (!all && needs_whole_rows && !reader_.live()) {
    // The writer may have appended between the last refresh and its end: look again, now that it is
    // known to be gone.
    reader_.Refresh();
    final_rows = ReaderAccess::FinalRows(reader_);
    all = true;
  }
  EpochExtent extent;
  extent.first_row = view().first_row;
  extent.rows = all || !needs_whole_rows ? view().row_count : final_rows;
  extent.values = EndPositionOf(extent.rows);
  if (by_segments()) {
    const std::unique_lock lock = LockIndexTo(final_rows);
    // If the index holds more rows, another sampler has seen the row become final and indexed it.
    if (extent.rows > final_rows && index_->rows() == final_rows) {
      extent.last_row = index_->NextBegins(reader_) ? LastRow::kBegins : LastRow::kJoins;
    }
  } else if (extent.rows > final_rows) {
    extent.last_row = LastRow::kJoins;
  }
  return extent;
}

// Locks the index and extends it to `final_rows` rows. Other samplers may have extended it further.
// One with a newer Reader may have left out rows that this Reader has; then another index is needed.
std::unique_lock<ForkMutex> StoreStarts::LockIndexTo(std::uint64_t final_rows) {
  std::unique_lock lock(index_->mutex());
  while (index_->complete_from() > view().first_row) {
    lock.unlock();
    index_ = SegmentIndex::SharedFor(reader_, options_.segment_by, options_.lanes);
    head_cuts_.clear();
    lock = std::unique_lock(index_->mutex());
    counts_ = padded() ? nullptr : index_->CountsOf(rule_, view().first_row);
  }
  if (index_->rows() < final_rows) {
    index_->Extend(reader_, final_rows);
  }
  return lock;
}

void StoreStarts::Restore(const EpochExtent& extent) {
  reader_.Refresh();
  const bool empty = extent.rows == extent.first_row;
  if (extent.last_row > LastRow::kBegins || extent.first_row > extent.rows ||
      (extent.last_row != LastRow::kFinal && empty)) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat("sampler state: expected a last row of kind 0 to 2, and 0 without rows, but "
                       "found kind ",
                       static_cast<std::uint64_t>(extent.last_row), " with rows [",
                       extent.first_row, ", ", extent.rows, ")"));
  }
  const std::uint64_t first = view().first_row;
  if (extent.first_row < first && empty) {  // nothing is missing
    return Restore({.rows = first, .values = view().first_position, .first_row = first});
  }
  if (extent.first_row < first) {
    throw Error(ErrorCode::kDropped,
                StrCat("sampler state: its epoch covers rows [", extent.first_row, ", ",
                       extent.rows, ") but rows [", extent.first_row, ", ",
                       std::min(first, extent.rows), ") were dropped"));
  }
  if (extent.rows > view().row_count || extent.values > view().value_count) {
    throw Error(
        ErrorCode::kInvalidArgument,
        StrCat("sampler state: its epoch covers ", extent.rows, " rows and ", extent.values,
               " values but the store has ", view().row_count, " and ", view().value_count));
  }
  if (const std::uint64_t begin = EndPositionOf(extent.first_row); extent.values < begin) {
    throw Error(
        ErrorCode::kInvalidArgument,
        StrCat("sampler state: its epoch covers ", extent.values, " values but its first row, row ",
               extent.first_row, ", is at position ", begin));
  }
  if (by_segments()) {
    const std::uint64_t final_rows = ReaderAccess::FinalRows(reader_);
    const std::unique_lock lock = LockIndexTo(final_rows);
    if (index_->rows() < extent.rows - (extent.last_row == LastRow::kFinal ? 0 : 1)) {
      throw Error(ErrorCode::kInvalidArgument,
                  StrCat("sampler state: its epoch covers ", extent.rows,
                         " final rows but the store has ", index_->rows()));
    }
  }
  Number(extent, numbering_);
  followed_ = false;
}

// Where the values of the rows before `row` end.
std::uint64_t StoreStarts::EndPositionOf(std::uint64_t row) const {
  if (row == view().first_row) {
    return view().first_position;
  }
  return row < view().row_count ? PositionOfRow(reader_, row) : view().value_count;
}

// Counts the starts of an extent. `made` is filled in place, since its vectors keep their memory
// from one batch to the next.
void StoreStarts::Number(const EpochExtent& extent, Numbering& made) {
  made.extent = extent;
  made.first_position = EndPositionOf(extent.first_row);
  made.first_row = ResolveRow(options_.first_row, extent);
  made.end_row = options_.last_row ? ResolveRow(*options_.last_row, extent) : extent.rows;
  if (by_segments() && !padded()) {
    CountSegments(made);
  } else {
    CountRange(made);
  }
}

// --- without segments: one range of starts [first, end) ---

void StoreStarts::CountRange(Numbering& made) const {
  const std::uint64_t length = options_.length;
  const std::uint64_t rows = made.extent.rows;
  std::uint64_t end = 0;
  made.first = made.first_row;
  if (padded()) {
    end = made.end_row;
  } else if (!in_values()) {
    // The last row of a window is (length - 1) * lanes rows after its first.
    const std::uint64_t reach = (length - 1) * options_.lanes;  // no overflow: both are below 2^32
    end = reach >= rows ? 0 : std::min(made.end_row, rows - reach);
  } else if (made.extent.values - made.first_position >= length) {
    const std::uint64_t last = made.extent.values - length;  // the last position that can start
    if (rows_by_values()) {
      end = std::min(made.end_row, RowOfPosition(reader_, last) + 1);
    } else {
      made.first = made.first_row == made.extent.first_row ? made.first_position
                   : made.first_row == rows                ? made.extent.values
                                                           : PositionOfRow(reader_, made.first_row);
      end = made.end_row == rows ? last + 1
                                 : std::min(last + 1, PositionOfRow(reader_, made.end_row));
    }
  }
  made.count = end > made.first ? end - made.first : 0;
}

void StoreStarts::ResolveRange(std::span<const std::uint64_t> numbers,
                               std::span<const std::uint64_t> places,
                               const WindowStarts& windows) const {
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    windows.starts[places[i]] = static_cast<std::int64_t>(numbering_.first + numbers[i]);
  }
}

// --- with segments: starts counted segment by segment, lane after lane ---

// How many of the first `rows` rows of the store belong to the lane.
std::uint64_t StoreStarts::RowsOfLane(std::uint64_t lane, std::uint64_t rows) const {
  return internal::RowsOfLane(lane, options_.lanes, rows);
}

// The segments of a lane within the extent. The index may hold more rows than the extent. If the
// extent's last row was not final, the index is used only up to the row before it.
StoreStarts::LaneSegments StoreStarts::SegmentsOf(const EpochExtent& extent, std::uint64_t lane) {
  const WordList& begins = index_->begins(lane);
  LaneSegments segments;
  segments.first = RowsOfLane(lane, extent.first_row);
  segments.rows = RowsOfLane(lane, extent.rows);
  const bool has_open_row =
      extent.last_row != LastRow::kFinal && (extent.rows - 1) % options_.lanes == lane;
  const std::uint64_t known = segments.rows - (has_open_row ? 1 : 0);  // rows known to the index
  // The last segment that begins before row `known`, or with the first row. Unless the store has
  // grown since the epoch began, that is the last one of the index, and the search is saved.
  const std::uint64_t last_row = std::max(known, segments.first + 1) - 1;
  segments.last = begins.size() - 1;
  if (begins[segments.last] > last_row) {
    segments.last = SearchOne(begins.data(), begins.size(), last_row);
  }
  segments.has_extra =
      has_open_row && extent.last_row == LastRow::kBegins && known > segments.first;
  segments.last_end = segments.has_extra ? known : segments.rows;
  FindHead(extent, lane, segments);
  return segments;
}

// Finds the segments of the lane that the extent has from their begin on, and what is before them.
void StoreStarts::FindHead(const EpochExtent& extent, std::uint64_t lane, LaneSegments& segments) {
  const WordList& begins = index_->begins(lane);
  const std::uint64_t first = segments.first;
  segments.head_end = first;
  if (begins[0] == first) {
    return;  // nothing was dropped since the index began
  }
  segments.next = SearchOne(begins.data(), segments.last + 1, first);
  if (begins[segments.next] == first) {
    return;
  }
  segments.next += 1;
  if (segments.next <= segments.last && !CutHolds(lane, first, begins[segments.next])) {
    segments.next += 1;
  }
  segments.head_end = segments.next <= segments.last ? begins[segments.next] : segments.last_end;
  if (!padded()) {
    segments.head_starts = StartsBetween(extent, first, segments.head_end);
  }
}

// Whether the row `cut` of the lane still begins a segment if all before `first` were dropped. A
// change needs an earlier row with another value: a sampler that is opened now, or that resumes in
// another process, sees no more than the rows from `first` on, and must find the same segments.
bool StoreStarts::CutHolds(std::uint64_t lane, std::uint64_t first, std::uint64_t cut) {
  if (index_->by() == CutBy::kTrue) {
    return true;
  }
  head_cuts_.resize(options_.lanes);
  HeadCut& known = head_cuts_[lane];
  if (known.first != first || known.cut != cut) {
    known = {first, cut, index_->AnyKnown(reader_, lane, first, cut)};
  }
  return known.holds;
}

// Starts of a segment with rows [begin, end), which must end within the extent.
std::uint64_t StoreStarts::StartsBetween(const EpochExtent& extent, std::uint64_t begin,
                                         std::uint64_t end) const {
  const bool by_rows = rule_.count == StartRule::Count::kRows;
  const std::uint64_t end_position = by_rows              ? 0
                                     : end == extent.rows ? extent.values
                                                          : PositionOfRow(reader_, end);
  return StartsIn(reader_, rule_, begin, end, end_position);
}

// Starts of the lane in the rows before `row`.
std::uint64_t StoreStarts::StartsBefore(const EpochExtent& extent, std::uint64_t lane,
                                        const LaneSegments& segments, std::uint64_t row) const {
  const WordList& begins = index_->begins(lane);
  const WordList& sums = counts_->of(lane);
  const auto before = [&](std::uint64_t begin, std::uint64_t end) {
    const std::uint64_t starts = rule_.count == StartRule::Count::kValues
                                     ? PositionOfRow(reader_, row) - PositionOfRow(reader_, begin)
                                     : row - begin;
    return std::min(starts, StartsBetween(extent, begin, end));
  };
  if (row <= segments.first) {
    return 0;
  }
  if (row < segments.head_end) {
    return before(segments.first, segments.head_end);
  }
  if (row < segments.last_end) {
    const std::uint64_t segment = SearchOne(begins.data(), segments.last + 1, row);
    const std::uint64_t end = segment == segments.last ? segments.last_end : begins[segment + 1];
    return segments.head_starts + sums[segment] - sums[segments.next] +
           before(begins[segment], end);
  }
  // The sums hold the segments that have ended in the index. Those the extent cuts short, the last
  // one and the extra one, are counted here.
  std::uint64_t starts = segments.head_starts;
  if (segments.next <= segments.last) {
    starts += sums[segments.last] - sums[segments.next] +
              StartsBetween(extent, begins[segments.last], segments.last_end);
  }
  if (row >= segments.rows && segments.has_extra) {
    starts += StartsBetween(extent, segments.last_end, segments.rows);
  }
  return starts;
}

void StoreStarts::CountSegments(Numbering& made) {
  const std::scoped_lock lock(index_->mutex());
  // Another sampler may have counted with a newer Reader, which lacks rows of this extent.
  if (counts_->complete_from() > made.extent.first_row) {
    counts_ = index_->CountsOf(rule_, made.extent.first_row);
  }
  index_->ExtendCounts(reader_, *counts_);
  made.lanes.resize(options_.lanes);
  made.lane_begins.resize(options_.lanes);
  made.count = 0;
  for (std::uint64_t lane = 0; lane < options_.lanes; ++lane) {
    LaneSegments segments = SegmentsOf(made.extent, lane);
    const std::uint64_t first = RowsOfLane(lane, made.first_row);
    const std::uint64_t end = RowsOfLane(lane, made.end_row);
    segments.skipped = StartsBefore(made.extent, lane, segments, first);
    const std::uint64_t before_end = StartsBefore(made.extent, lane, segments, end);
    made.lanes[lane] = segments;
    made.lane_begins[lane] = made.count;
    made.count += before_end > segments.skipped ? before_end - segments.skipped : 0;
  }
}

// Where to search for start `number` of the lane among the sums; starts of the head have none.
std::uint64_t StoreStarts::KeyOf(std::uint64_t lane, std::uint64_t number) const {
  const LaneSegments& segments = numbering_.lanes[lane];
  const WordList& sums = counts_->of(lane);
  if (segments.next > segments.last) {
    return sums[segments.last];
  }
  return sums[segments.next] + number - std::min(number, segments.head_starts);
}

// The place of the start that is `into` starts after row `begin` of the lane.
inline std::uint64_t StoreStarts::PlaceIn(std::uint64_t lane, std::uint64_t begin,
                                          std::uint64_t into) const {
  return rule_.count == StartRule::Count::kValues ? PositionOfRow(reader_, begin) + into
                                                  : (begin + into) * options_.lanes + lane;
}

// Start `number` of the lane, counted from the lane's first start, including starts before
// first_row. `segment` is the last segment of the index whose sum is <= its KeyOf(). Inlined by
// force, because a compiler may not inline a function with two callers.
[[gnu::always_inline]] inline std::uint64_t StoreStarts::StartIn(std::uint64_t lane,
                                                                 std::uint64_t segment,
                                                                 std::uint64_t number) const {
  const LaneSegments& segments = numbering_.lanes[lane];
  if (number < segments.head_starts) [[unlikely]] {
    return PlaceIn(lane, segments.first, number);
  }
  std::uint64_t into = number - segments.head_starts;
  std::uint64_t begin = segments.last_end;  // of the extra segment, if only that follows the head
  if (segments.next <= segments.last) [[likely]] {
    const WordList& sums = counts_->of(lane);
    begin = index_->begins(lane)[segment];
    into += sums[segments.next] - sums[segment];
    // The extra segment has no sum of its own: its starts follow those of the last one.
    if (segments.has_extra && segment == segments.last) {
      const std::uint64_t in_last = StartsBetween(numbering_.extent, begin, segments.last_end);
      if (into >= in_last) {
        into -= in_last;
        begin = segments.last_end;
      }
    }
  }
  return PlaceIn(lane, begin, into);
}

void StoreStarts::ResolveSegments(std::span<const std::uint64_t> numbers,
                                  std::span<const std::uint64_t> places,
                                  const WindowStarts& windows) {
  const std::scoped_lock lock(index_->mutex());
  const std::vector<LaneSegments>& lanes = numbering_.lanes;
  if (lanes.size() == 1) {
    // All searches are in one list, so they can run side by side.
    keys_.resize(numbers.size());
    found_.resize(numbers.size());
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      keys_[i] = KeyOf(0, numbers[i] + lanes[0].skipped);
    }
    SearchMany(counts_->of(0).data(), lanes[0].last + 1, keys_, found_);
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      windows.starts[places[i]] =
          static_cast<std::int64_t>(StartIn(0, found_[i], numbers[i] + lanes[0].skipped));
    }
    return;
  }
  const std::vector<std::uint64_t>& begins = numbering_.lane_begins;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const std::uint64_t lane = SearchOne(begins.data(), begins.size(), numbers[i]);
    const std::uint64_t number = numbers[i] - begins[lane] + lanes[lane].skipped;
    const std::uint64_t segment =
        SearchOne(counts_->of(lane).data(), lanes[lane].last + 1, KeyOf(lane, number));
    windows.starts[places[i]] = static_cast<std::int64_t>(StartIn(lane, segment, number));
  }
}

// --- padding ---

// Turns the row that a padded window starts at (kLeft: ends at) into its first stored row, and
// writes how many rows it has and how many empty places come before them. Segments are looked up
// here, window by window, as every row is a start and no counting was needed.
void StoreStarts::Pad(std::span<const std::uint64_t> places, const WindowStarts& windows) {
  std::optional<std::scoped_lock<ForkMutex>> lock;
  if (by_segments()) {
    lock.emplace(index_->mutex());
  }
  const EpochExtent& extent = numbering_.extent;
  const std::uint64_t lanes = options_.lanes;
  std::uint64_t lane_of_segments = lanes;  // `lanes`: `segments` is of no lane yet
  LaneSegments segments;
  for (const std::uint64_t place : places) {
    const auto row = static_cast<std::uint64_t>(windows.starts[place]);
    const std::uint64_t lane = row % lanes;
    const std::uint64_t at = row / lanes;
    std::uint64_t begin = RowsOfLane(lane, extent.first_row);
    std::uint64_t end = RowsOfLane(lane, extent.rows);
    if (by_segments()) {
      if (lane != lane_of_segments) {
        segments = SegmentsOf(extent, lane);
        lane_of_segments = lane;
      }
      if (segments.has_extra && at == segments.last_end) {
        begin = at;
      } else if (at < segments.head_end) {
        end = segments.head_end;
      } else {
        const WordList& begins = index_->begins(lane);
        const std::uint64_t segment = SearchOne(begins.data(), segments.last + 1, at);
        begin = begins[segment];
        end = segment == segments.last ? segments.last_end : begins[segment + 1];
      }
    }
    std::uint64_t count = std::min(options_.length, end - at);
    if (options_.pad == SamplePad::kLeft) {
      count = std::min(options_.length, at - begin + 1);
      windows.starts[place] = static_cast<std::int64_t>(row - (count - 1) * lanes);
    }
    windows.count[place] = static_cast<std::uint32_t>(count);
    windows.lead[place] =
        static_cast<std::uint32_t>(options_.pad == SamplePad::kLeft ? options_.length - count : 0);
  }
}

// Windows of values that start at rows are drawn as rows; here they become positions.
void StoreStarts::ToPositions(std::span<const std::uint64_t> places,
                              const WindowStarts& windows) const {
  std::vector<Row> rows(places.size());
  std::vector<Position> positions(places.size());
  for (std::size_t i = 0; i < places.size(); ++i) {
    rows[i] = windows.starts[places[i]];
  }
  reader_.PositionOf(rows, positions);
  for (std::size_t i = 0; i < places.size(); ++i) {
    windows.starts[places[i]] = positions[i];
  }
}

void StoreStarts::Resolve(std::span<const std::uint64_t> numbers,
                          std::span<const std::uint64_t> places, const WindowStarts& windows) {
  STREAM_STORE_ASSERT(
      std::ranges::all_of(numbers, [&](auto number) { return number < count(); }) &&
      std::ranges::all_of(places, [&](auto place) { return place < windows.starts.size(); }) &&
      numbers.size() == places.size());
  if (numbers.empty()) {
    return;
  }
  if (by_segments() && !padded()) {
    ResolveSegments(numbers, places, windows);
  } else {
    ResolveRange(numbers, places, windows);
  }
  if (rows_by_values()) {
    ToPositions(places, windows);
  } else if (padded()) {
    Pad(places, windows);
  }
}

std::string StoreStarts::Describe() {
  const auto counted = [](std::uint64_t count, const char* unit) {
    return StrCat(count, " ", unit, count == 1 ? "" : "s");
  };
  const EpochExtent& extent = numbering_.extent;
  std::string text =
      in_values() ? StrCat(counted(view().value_count - view().first_position, "value"), " in ")
                  : "";
  text += counted(view().row_count - view().first_row, "row");
  if (extent.rows != view().row_count) {
    text += StrCat(" (", extent.rows - extent.first_row, " complete)");
  }
  if (by_segments()) {
    const std::scoped_lock lock(index_->mutex());
    const bool none = extent.rows == extent.first_row;
    text += StrCat(" in ", counted(none ? 0 : index_->SegmentsFrom(extent.first_row), "segment"));
  }
  return text;
}

}  // namespace stream_store::internal

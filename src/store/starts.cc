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

// Whether the extent is the end of the store. A last row that was not final may become final without a
// new record, so then it is not.
bool StoreStarts::IsSettled() const noexcept {
  const EpochExtent& extent = numbering_.extent;
  return extent.last_row == LastRow::kFinal && extent.rows == view().row_count;
}

bool StoreStarts::MoveToEnd() {
  reader_.Refresh();
  // Sampling calls this for each batch, so if nothing was appended, it returns at once.
  const bool same =
      followed_ && view().record_count == seen_records_ && view().begin_record == seen_begin_;
  if (same && IsSettled()) {
    return true;
  }
  Number(FollowExtent(), numbering_);
  seen_begin_ = view().begin_record;
  seen_records_ = view().record_count;
  followed_ = true;
  return IsSettled();
}

std::uint64_t StoreStarts::CountNow() {
  StoreStarts now(reader_, options_);  // an epoch keeps its Reader, which has its rows
  now.Follow();
  return now.count();
}

// The extent of the rows and values stored now. Windows of values without segments take all of
// them, other windows only whole rows.
EpochExtent StoreStarts::FollowExtent() {
  ExtentNow now = FindExtent(reader_, !in_values() || by_segments());
  if (by_segments()) {
    const std::unique_lock lock = LockIndexTo(now.final_rows);
    // If the index holds more rows, another sampler has seen the row become final and indexed it.
    if (now.extent.rows > now.final_rows && index_->rows() == now.final_rows) {
      now.extent.last_row = index_->NextBegins(reader_) ? LastRow::kBegins : LastRow::kJoins;
    } else {
      now.extent.last_row = LastRow::kFinal;
    }
  }
  return now.extent;
}

// Locks the index and extends it to `final_rows` rows. Other samplers may have extended it further.
// One with a newer Reader may have left out rows that this Reader has; then another index is needed.
// That is so if the index holds mostly segments that were dropped.
std::unique_lock<ForkMutex> StoreStarts::LockIndexTo(std::uint64_t final_rows) {
  std::unique_lock lock(index_->mutex());
  while (index_->complete_from() > view().first_row || index_->IsMostlyDropped(view().first_row)) {
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

void StoreStarts::Restore(const EpochExtent& wanted) {
  Moved();
  reader_.Refresh();
  const EpochExtent extent = CheckExtent(reader_, wanted);
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

// Counts the starts of an extent. `made` is filled in place, since its vectors keep their memory
// from one batch to the next.
void StoreStarts::Number(const EpochExtent& extent, Numbering& made) {
  made.extent = extent;
  made.first_position = EndPositionOf(reader_, extent.first_row);
  made.first_row = ResolveRow(options_.first_row, extent);
  made.end_row = options_.last_row ? ResolveRow(*options_.last_row, extent) : extent.rows;
  if (by_segments() && options_.lanes > 1) {
    RequireRegularLanes(made);
  }
  if (by_segments() && !padded()) {
    CountSegments(made);
  } else {
    CountRange(made);
  }
}

// Refuses lanes whose rows alternate between segments where windows start: these are the rows of
// several environments.
void StoreStarts::RequireRegularLanes(const Numbering& made) {
  const std::scoped_lock lock(index_->mutex());
  RefuseAlternation(index_->alternation(), made.first_row, made.end_row, options_.lanes,
                    reader_.schema()[options_.segment_by[0]].name);
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

// --- padding ---

// `lane_rows`, the rows of the lane within the extent, reduced to the segment of row `at`. `segment`
// is the last one of the index that begins at that row or before it.
StoreStarts::LaneRows StoreStarts::SegmentAround(std::uint64_t lane, const LaneSegments& segments,
                                                 LaneRow row, LaneRows lane_rows) const {
  if (segments.has_extra && row.at == segments.last_end) {
    return {.begin = row.at, .end = lane_rows.end};
  }
  if (row.at < segments.head_end) {
    return {.begin = lane_rows.begin, .end = segments.head_end};
  }
  const WordList& begins = index_->begins(lane);
  return {.begin = begins[row.segment],
          .end = row.segment == segments.last ? segments.last_end : begins[row.segment + 1]};
}

// Whether the segment of the lane that has its last row in the extent before row `end` has ended.
bool StoreStarts::HasEnded(std::uint64_t lane, const LaneSegments& segments,
                           std::uint64_t end) const {
  if (end < segments.rows) {
    return true;
  }
  const WordList& begins = index_->begins(lane);
  if (index_->by() != CutBy::kTrue || segments.has_extra) {
    return false;
  }
  const std::uint64_t read = RowsOfLane(lane, index_->rows());
  return read == end
             ? index_->HasEnded(lane)
             : read > end && segments.last + 1 < begins.size() && begins[segments.last + 1] == end;
}

// The segment of row `row` of the lane, as a batch has it.
WindowSegment StoreStarts::SegmentOf(std::uint64_t lane, const LaneSegments& segments,
                                     LaneRow row) const {
  const std::uint64_t lanes = options_.lanes;
  LaneRows around{.begin = RowsOfLane(lane, numbering_.extent.first_row),
                  .end = RowsOfLane(lane, numbering_.extent.rows)};
  bool ended = false;
  if (by_segments()) {
    around = SegmentAround(lane, segments, row, around);
    ended = HasEnded(lane, segments, around.end);
  }
  return {.first = static_cast<Row>(around.begin * lanes + lane),
          .end = static_cast<Row>((around.end - 1) * lanes + lane + 1),
          .complete = ended};
}

// Writes the segments of the anchors of the only lane. The searches are in one list, so they can run
// side by side; most segments are neither the first nor the last of the extent.
void StoreStarts::FindSegmentsOfOneLane(std::span<const std::uint64_t> places,
                                        const WindowStarts& windows) {
  const LaneSegments segments = SegmentsOf(numbering_.extent, 0);
  const std::uint64_t* begins = index_->begins(0).data();
  if (!found_segments_) {
    keys_.resize(places.size());
    found_.resize(places.size());
    for (std::size_t i = 0; i < places.size(); ++i) {
      keys_[i] = static_cast<std::uint64_t>(windows.anchors[places[i]]);
    }
    SearchMany(begins, segments.last + 1, keys_, found_);
  }
  for (std::size_t i = 0; i < places.size(); ++i) {
    const std::uint64_t segment = found_[i];
    if (segment >= segments.next && segment < segments.last) [[likely]] {
      windows.segments[places[i]] = {.first = static_cast<Row>(begins[segment]),
                                     .end = static_cast<Row>(begins[segment + 1]),
                                     .complete = true};
    } else {
      const auto at = static_cast<std::uint64_t>(windows.anchors[places[i]]);
      windows.segments[places[i]] = SegmentOf(0, segments, {at, segment});
    }
  }
}

// Writes the segments of the anchors.
void StoreStarts::FindSegments(std::span<const std::uint64_t> places, const WindowStarts& windows) {
  const std::uint64_t lanes = options_.lanes;
  std::optional<std::scoped_lock<ForkMutex>> lock;
  if (by_segments()) {
    lock.emplace(index_->mutex());
    if (lanes == 1) {
      FindSegmentsOfOneLane(places, windows);
      return;
    }
  }
  LaneSegments segments;
  std::uint64_t lane_of_segments = lanes;  // `lanes`: `segments` is of no lane yet
  for (const std::uint64_t place : places) {
    const auto row = static_cast<std::uint64_t>(windows.anchors[place]);
    const std::uint64_t lane = row % lanes;
    LaneRow at{.at = row / lanes, .segment = 0};
    if (by_segments()) {
      if (lane != lane_of_segments) {
        segments = SegmentsOf(numbering_.extent, lane);
        lane_of_segments = lane;
      }
      at.segment = SearchOne(index_->begins(lane).data(), segments.last + 1, at.at);
    }
    windows.segments[place] = SegmentOf(lane, segments, at);
  }
}

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
    LaneRows around{.begin = RowsOfLane(lane, extent.first_row),
                    .end = RowsOfLane(lane, extent.rows)};
    if (by_segments()) {
      if (lane != lane_of_segments) {
        segments = SegmentsOf(extent, lane);
        lane_of_segments = lane;
      }
      const std::uint64_t segment = SearchOne(index_->begins(lane).data(), segments.last + 1, at);
      around = SegmentAround(lane, segments, {at, segment}, around);
    }
    std::uint64_t count = std::min(options_.length, around.end - at);
    if (options_.pad == SamplePad::kLeft) {
      count = std::min(options_.length, at - around.begin + 1);
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
  found_segments_ = false;
  if (by_segments() && !padded()) {
    ResolveSegments(numbers, places, windows);
  } else {
    ResolveRange(numbers, places, windows);
  }
  if (rows_by_values()) {
    ToPositions(places, windows);
  }
  if (!windows.anchors.empty()) {
    for (const std::uint64_t place : places) {
      windows.anchors[place] = windows.starts[place];
    }
  }
  if (!windows.segments.empty()) {
    FindSegments(places, windows);
  }
  if (padded()) {
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

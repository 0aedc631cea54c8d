#include "store/indexed_starts.h"

#include <algorithm>
#include <utility>

#include "stream_store/error.h"

#include "base/assert.h"
#include "base/str_cat.h"
#include "store/permutation.h"
#include "store/read_functions.h"

namespace stream_store::internal {
namespace {

LaneRules RulesOf(const SamplerOptions& options) {
  return {.fields = {.lane_by = options.lane_by,
                     .segment_by = options.segment_by,
                     .where = options.where,
                     .require = options.require,
                     .time = options.time_field},
          .lanes = options.lanes,
          .exclude = options.exclude};
}

}  // namespace

IndexedStarts::IndexedStarts(Reader reader, const SamplerOptions& options)
    : reader_(std::move(reader)),
      options_(options),
      rules_(RulesOf(options)),
      index_(LaneIndex::SharedFor(reader_, rules_)) {
  if (options_.time_field) {
    timed_.emplace(options_);
  }
  for (const FieldOffsets& field : timed_ ? std::vector<FieldOffsets>{} : options_.offsets) {
    for (const std::int64_t offset : field.offsets) {
      before_ = std::max(before_, static_cast<std::uint64_t>(std::max<std::int64_t>(-offset, 0)));
      after_ = std::max(after_, static_cast<std::uint64_t>(std::max<std::int64_t>(offset, 0)));
    }
  }
  if (options_.whole_segments) {
    need_ = Need::kWhole;
  } else if (options_.offsets.empty()) {
    need_ = options_.pad == SamplePad::kNone ? Need::kAll : Need::kNothing;
    after_ = options_.length - 1;
  } else if (options_.outside == SampleOutside::kShift) {
    need_ = Need::kRoom;
  } else if (options_.outside != SampleOutside::kSkip) {
    need_ = Need::kNothing;
  } else if (timed_) {
    need_ = Need::kTimes;
  }
  Forget();
}

std::uint64_t IndexedStarts::UnscannedRows() {
  Reader now = reader_;  // an epoch keeps its own, which has its rows
  now.Refresh();
  const std::scoped_lock lock(index_->mutex());
  return now.num_rows() - std::clamp(index_->rows(), now.first_row(), now.num_rows());
}

// Whether the extent is the end of the store. A last row that was not final may become final without a
// new record, so then it is not.
bool IndexedStarts::IsSettled() const noexcept {
  return extent_.last_row == LastRow::kFinal &&
         extent_.rows == ReaderAccess::ViewOf(reader_).row_count;
}

bool IndexedStarts::MoveToEnd() {
  reader_.Refresh();
  // Sampling calls this for each batch, so if nothing was appended, it returns at once.
  const View& view = ReaderAccess::ViewOf(reader_);
  const bool same =
      followed_ && view.record_count == seen_records_ && view.begin_record == seen_begin_;
  if (same && IsSettled()) {
    return true;
  }
  MoveTo(FindExtent(reader_, /*whole_rows=*/true).extent);
  seen_begin_ = ReaderAccess::ViewOf(reader_).begin_record;
  seen_records_ = ReaderAccess::ViewOf(reader_).record_count;
  followed_ = true;
  return IsSettled();
}

std::uint64_t IndexedStarts::CountNow() {
  if (now_ == nullptr) {
    now_ = std::make_unique<IndexedStarts>(reader_, options_);
  }
  now_->Follow();
  return now_->count();
}

void IndexedStarts::Restore(const EpochExtent& wanted) {
  Moved();
  reader_.Refresh();
  const EpochExtent extent = CheckExtent(reader_, wanted);
  const std::uint64_t final_rows = ReaderAccess::FinalRows(reader_);
  if (extent.rows - (extent.last_row == LastRow::kFinal ? 0 : 1) > final_rows) {
    throw Error(ErrorCode::kInvalidArgument, StrCat("sampler state: its epoch covers ", extent.rows,
                                                    " final rows but the store has ", final_rows));
  }
  MoveTo(extent);
  followed_ = false;
}

// Locks an index that has the rows of the Reader up to `rows`.
std::unique_lock<ForkMutex> IndexedStarts::LockIndexTo(std::uint64_t rows) {
  std::unique_lock lock(index_->mutex());
  while (!index_->Fits(reader_.first_row())) {
    lock.unlock();
    index_ = LaneIndex::SharedFor(reader_, rules_);
    Forget();
    lock = std::unique_lock(index_->mutex());
  }
  if (index_->rows() < rows) {
    index_->Extend(reader_, rows);
  }
  return lock;
}

void IndexedStarts::Forget() {
  anchors_ = RowSet(reader_.first_row());
  current_.clear();
  undecided_.clear();
  first_row_ = reader_.first_row();
  rows_ = first_row_;
  changes_ = {};
}

void IndexedStarts::MoveTo(const EpochExtent& extent) {
  const bool open = extent.last_row != LastRow::kFinal;
  const std::optional<std::uint64_t> open_row =
      open ? std::optional(extent.rows - 1) : std::nullopt;
  if (rules_.open_row != open_row) {
    rules_.open_row = open_row;
    index_ = LaneIndex::SharedFor(reader_, rules_);
    Forget();
  }
  const std::unique_lock lock = LockIndexTo(extent.rows);
  index_->RequireTimes(extent.rows);
  if (options_.lanes > 1 && !options_.segment_by.empty()) {
    const std::uint64_t end =
        options_.last_row ? ResolveRow(*options_.last_row, extent) : extent.rows;
    RefuseAlternation(index_->alternation(), ResolveRow(options_.first_row, extent), end,
                      options_.lanes, reader_.schema()[options_.segment_by[0]].name);
  }
  if (extent.rows < rows_ || extent.first_row < first_row_) {
    Forget();
  }
  if (extent.first_row > first_row_) {
    first_row_ = extent.first_row;
    anchors_.RemoveBefore(first_row_);
    if (rows_ <= first_row_) {
      rows_ = first_row_;
    } else {
      CutHeads();
    }
  }
  EnterRowsTo(extent.rows);
  anchors_.Count();
  extent_ = extent;
  limits_ = {ResolveRow(options_.first_row, extent),
             options_.last_row ? ResolveRow(*options_.last_row, extent) : extent.rows};
  first_ = anchors_.Rank(limits_.first);
  const std::uint64_t end = anchors_.Rank(limits_.second);
  count_ = end > first_ ? end - first_ : 0;
}

// The first row of a segment that is retained, counted in the lane.
std::uint64_t IndexedStarts::BeginOf(std::uint64_t lane, const LaneSegment& segment) const {
  if (first_row_ <= index_->first_row() || index_->RowAt(lane, segment.begin) >= first_row_) {
    return segment.begin;
  }
  return index_->RowsBefore(lane, first_row_);
}

void IndexedStarts::AddAnchor(std::uint64_t lane, std::uint64_t at) {
  const std::uint64_t row = index_->RowAt(lane, at);
  if (index_->HasRequired(row) && IsOfThisRank(row)) {
    anchors_.Add(row);
    if (!changes_.all) {
      changes_.added.push_back(row);
    }
  }
}

void IndexedStarts::RemoveAnchor(std::uint64_t row) {
  anchors_.Remove(row);
  if (!changes_.all) {
    changes_.removed.push_back(row);
  }
}

// With priorities, each rank has its own share of the anchors.
bool IndexedStarts::IsOfThisRank(std::uint64_t row) const noexcept {
  constexpr std::uint64_t kShare = 0x7368617265U;  // "share" in ASCII
  return !options_.priorities || options_.world_size == 1 ||
         MixKeys(kShare, row) % options_.world_size == options_.rank;
}

std::uint64_t IndexedStarts::AnchorOf(std::uint64_t number) const {
  STREAM_STORE_ASSERT(number < count());
  const std::uint64_t rank = first_ + number;
  std::uint64_t row = 0;
  anchors_.Select({&rank, 1}, {&row, 1});
  return row;
}

void IndexedStarts::FindNumbers(std::span<const std::uint64_t> rows,
                                std::span<std::uint64_t> numbers) {
  STREAM_STORE_ASSERT(numbers.size() == rows.size());
  std::ranges::transform(rows, numbers.begin(), [this](std::uint64_t row) {
    const bool in_limits = limits_.first <= row && row < limits_.second;
    const bool known = first_row_ <= row && row < rows_ && in_limits;
    return known && IsAnchor(row) ? anchors_.Rank(row) - first_ : kNoStart;
  });
}

IndexedStarts::Changes IndexedStarts::TakeChanges() {
  return std::exchange(changes_, Changes{.all = false, .added = {}, .removed = {}});
}

// Adds the anchor of a whole segment, whose rows end before row `end` of the lane.
void IndexedStarts::EndSegment(std::uint64_t lane, std::uint64_t segment, std::uint64_t end) {
  const LaneSegment ended = index_->Segments(lane)[segment];
  const std::uint64_t begin = BeginOf(lane, ended);
  const bool fits = options_.length == 0 || end - std::min(begin, end) <= options_.length;
  if (ended.dead == 0 && begin < end && fits) {
    AddAnchor(lane, begin);
  }
}

// Adds the anchors that become valid with the rows from rows_ to `end`. A lane is a list of its own in
// memory: many rows are taken lane by lane, because going from lane to lane with each row waits for
// memory each time. They are taken in parts, whose bits in anchors_ stay in a cache. Changes are listed in
// the order of the rows.
void IndexedStarts::EnterRowsTo(std::uint64_t end) {
  constexpr std::uint64_t kManyRows = 16;  // of a lane: finding its first one costs as much
  constexpr std::uint64_t kPart = std::uint64_t{1} << 17;  // rows: 16 KiB of bits
  constexpr std::uint64_t kPartOfLane = 256;               // so that finding them costs little
  if (end <= rows_) {
    return;
  }
  const std::uint64_t lanes = index_->lanes();
  current_.resize(lanes, 0);
  undecided_.resize(lanes, 0);
  while (changes_.all && rows_ < end && end - rows_ >= kManyRows * lanes) {
    const std::uint64_t part_end = std::min(end, rows_ + std::max(kPart, kPartOfLane * lanes));
    for (std::uint64_t lane = 0; lane < lanes; ++lane) {
      EnterRows({lane, index_->RowsBefore(lane, rows_), index_->RowsBefore(lane, part_end)});
    }
    rows_ = part_end;
  }
  for (; rows_ < end; ++rows_) {
    index_->PrefetchAfter(rows_, after_);
    const auto [lane, at] = index_->PlaceOf(rows_);
    EnterRows({lane, at, at + 1});
  }
}

// Adds the anchors that become valid with these rows.
void IndexedStarts::EnterRows(const LaneRows& rows) {
  std::uint64_t& current = current_[rows.lane];
  for (std::uint64_t at = rows.begin; at < rows.end;) {
    const std::span<const LaneSegment> segments = index_->Segments(rows.lane);
    while (current + 1 < segments.size() && segments[current + 1].begin <= at) {
      ++current;
    }
    const bool has_next = current + 1 < segments.size();
    const std::uint64_t end =
        has_next ? std::min<std::uint64_t>(segments[current + 1].begin, rows.end) : rows.end;
    EnterSegment(current, {rows.lane, at, end});
    at = end;
  }
}

// The same for rows of one segment.
void IndexedStarts::EnterSegment(std::uint64_t segment, const LaneRows& rows) {
  const std::span<const LaneSegment> segments = index_->Segments(rows.lane);
  if (need_ == Need::kWhole) {
    if (segment > 0 && segments[segment].begin == rows.begin) {
      EndSegment(rows.lane, segment - 1, rows.begin);
    }
    if (HasEnded(segments, segment, rows.end)) {
      EndSegment(rows.lane, segment, rows.end);
    }
    return;
  }
  if (segments[segment].dead != 0) {
    return;
  }
  const std::uint64_t begin = BeginOf(rows.lane, segments[segment]);
  if (need_ == Need::kTimes) {
    AddTimedAnchors({rows.lane, begin, rows.end});
    return;
  }
  if (need_ == Need::kNothing) {
    AddAnchors(rows);
    return;
  }
  const std::uint64_t enough = begin + before_ + after_;  // with this row, a segment has a window
  if (rows.end <= enough) {
    return;
  }
  if (need_ == Need::kAll) {
    AddAnchors({rows.lane, std::max(rows.begin, enough) - after_, rows.end - after_});
  } else {
    AddAnchors({rows.lane, rows.begin > enough ? rows.begin : begin, rows.end});
  }
}

void IndexedStarts::AddAnchors(const LaneRows& rows) {
  if (changes_.all && rules_.fields.require.empty() && !options_.priorities) {
    index_->VisitRows(rows.lane, rows.begin, rows.end,
                      [this](std::uint64_t row) { anchors_.Add(row); });
    return;
  }
  for (std::uint64_t at = rows.begin; at < rows.end; ++at) {
    AddAnchor(rows.lane, at);
  }
}

// Adds the anchors that the last of these rows of a segment decides.
void IndexedStarts::AddTimedAnchors(const LaneRows& rows) {
  std::uint64_t& at = undecided_[rows.lane];
  at = std::max(at, rows.begin);
  for (; at < rows.end && timed_->IsDecided(*index_, rows, at); ++at) {
    if (timed_->AllWithin(*index_, rows, at)) {
      AddAnchor(rows.lane, at);
    }
  }
}

// Removes the anchors that need rows before these.
void IndexedStarts::CutTimedAnchors(const LaneRows& rows) {
  const std::uint64_t end = std::min(rows.end, undecided_[rows.lane]);
  for (std::uint64_t at = rows.begin; at < end && timed_->MayNeedEarlier(*index_, rows, at); ++at) {
    if (!timed_->AllWithin(*index_, rows, at)) {
      RemoveAnchor(index_->RowAt(rows.lane, at));
    }
  }
}

// Rows were dropped: the first segment of each lane may have lost rows that its anchors need.
void IndexedStarts::CutHeads() {
  if (need_ == Need::kNothing || (need_ == Need::kAll && before_ == 0)) {
    return;
  }
  for (std::uint64_t lane = 0; lane < index_->lanes(); ++lane) {
    const std::uint64_t first = index_->RowsBefore(lane, first_row_);
    const std::uint64_t rows = index_->RowsBefore(lane, rows_);
    if (first >= rows) {
      continue;
    }
    const std::span<const LaneSegment> segments = index_->Segments(lane);
    const std::uint64_t number = SegmentAt(segments, first);
    const std::uint64_t end = number + 1 < segments.size()
                                  ? std::min<std::uint64_t>(segments[number + 1].begin, rows)
                                  : rows;
    if (segments[number].begin == first || segments[number].dead != 0) {
      continue;
    }
    if (need_ != Need::kWhole) {
      CutHead({lane, first, end});
    } else if (HasEnded(segments, number, rows)) {
      EndSegment(lane, number, end);
    }
  }
}

// Removes the anchors of what is left of a segment that need the rows before it.
void IndexedStarts::CutHead(const LaneRows& rows) {
  if (need_ == Need::kTimes) {
    CutTimedAnchors(rows);
    return;
  }
  const std::uint64_t reach = before_ + after_;
  const std::uint64_t lost = need_ == Need::kAll ? std::min(rows.begin + before_, rows.end)
                             : rows.end - rows.begin <= reach ? rows.end
                                                              : rows.begin;
  for (std::uint64_t at = rows.begin; at < lost; ++at) {
    RemoveAnchor(index_->RowAt(rows.lane, at));
  }
}

std::string IndexedStarts::Describe() {
  const auto counted = [](std::uint64_t count, const char* unit) {
    return StrCat(count, " ", unit, count == 1 ? "" : "s");
  };
  std::string text = counted(reader_.kept_rows(), "row");
  if (extent_.rows != reader_.num_rows()) {
    text += StrCat(" (", extent_.rows - extent_.first_row, " complete)");
  }
  const std::scoped_lock lock(index_->mutex());
  std::uint64_t lanes = 0;
  std::uint64_t live = 0;
  for (std::uint64_t lane = 0; lane < index_->lanes(); ++lane) {
    const std::uint64_t first = index_->RowsBefore(lane, first_row_);
    const std::uint64_t rows = index_->RowsBefore(lane, rows_);
    if (first >= rows) {
      continue;
    }
    ++lanes;
    for (const LaneSegment& segment :
         index_->Segments(lane).subspan(SegmentAt(index_->Segments(lane), first))) {
      live += segment.begin < rows && segment.dead == 0 ? 1 : 0;
    }
  }
  return text + StrCat(" in ", counted(live, "segment"), " of ", counted(lanes, "lane"));
}

}  // namespace stream_store::internal

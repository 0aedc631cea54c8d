// StoreStarts with segments: starts are counted segment by segment, lane after lane.
#include <algorithm>
#include <mutex>

#include "base/assert.h"
#include "store/search_many.h"
#include "store/starts.h"

namespace stream_store::internal {

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

// Finds the segments of the lane that the extent has from their begin on, and the part before them.
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

// The start of the lane whose key is `key`; `segment` is the last segment of the index whose sum is
// <= key. Inlined by force, because a compiler may not inline a function with two callers.
[[gnu::always_inline]] inline std::uint64_t StoreStarts::StartAt(std::uint64_t lane,
                                                                 std::uint64_t segment,
                                                                 std::uint64_t key) const {
  const LaneSegments& segments = numbering_.lanes[lane];
  std::uint64_t begin = index_->begins(lane)[segment];
  std::uint64_t into = key - counts_->of(lane)[segment];
  // The extra segment has no sum of its own: its starts follow those of the last one.
  if (segments.has_extra && segment == segments.last) {
    const std::uint64_t in_last = StartsBetween(numbering_.extent, begin, segments.last_end);
    if (into >= in_last) {
      into -= in_last;
      begin = segments.last_end;
    }
  }
  return PlaceIn(lane, begin, into);
}

// Start `number` of the lane, counted from the lane's first start, including starts before
// first_row, of a lane that may begin within a segment. `key` is its KeyOf().
std::uint64_t StoreStarts::StartIn(std::uint64_t lane, std::uint64_t segment, std::uint64_t key,
                                   std::uint64_t number) const {
  const LaneSegments& segments = numbering_.lanes[lane];
  if (number < segments.head_starts) {
    return PlaceIn(lane, segments.first, number);
  }
  if (segments.next > segments.last) {  // only the extra segment follows the head
    return PlaceIn(lane, segments.last_end, number - segments.head_starts);
  }
  return StartAt(lane, segment, key);
}

// The number of the start at a row of the extent, the reverse of ResolveSegments(): the starts of its
// lane before it are counted. It is a start if one more is before the next row.
std::uint64_t StoreStarts::NumberOf(std::uint64_t row) const {
  const std::uint64_t lane = row % options_.lanes;
  const std::uint64_t at = row / options_.lanes;
  const LaneSegments& segments = numbering_.lanes[lane];
  const std::uint64_t before = StartsBefore(numbering_.extent, lane, segments, at);
  if (StartsBefore(numbering_.extent, lane, segments, at + 1) == before) {
    return kNoStart;
  }
  return numbering_.lane_begins[lane] + before - segments.skipped;
}

void StoreStarts::FindNumbers(std::span<const std::uint64_t> rows,
                              std::span<std::uint64_t> numbers) {
  STREAM_STORE_ASSERT(numbers.size() == rows.size() && !in_values());
  if (!by_segments() || padded()) {
    std::ranges::transform(rows, numbers.begin(), [this](std::uint64_t row) {
      const bool is_start = row >= numbering_.first && row - numbering_.first < numbering_.count;
      return is_start ? row - numbering_.first : kNoStart;
    });
    return;
  }
  const std::scoped_lock lock(index_->mutex());
  std::ranges::transform(rows, numbers.begin(), [this](std::uint64_t row) {
    const bool wanted = row >= numbering_.first_row && row < numbering_.end_row;
    return wanted ? NumberOf(row) : kNoStart;
  });
}

void StoreStarts::ResolveSegments(std::span<const std::uint64_t> numbers,
                                  std::span<const std::uint64_t> places,
                                  const WindowStarts& windows) {
  const std::scoped_lock lock(index_->mutex());
  const std::vector<LaneSegments>& lanes = numbering_.lanes;
  if (lanes.size() == 1) {
    // All searches are in one list, so they can run side by side.
    const std::uint64_t skipped = lanes[0].skipped;
    // Without a head, keys are numbers plus a constant.
    const bool whole = lanes[0].head_starts == 0 && lanes[0].next <= lanes[0].last;
    const std::uint64_t base = whole ? KeyOf(0, skipped) : 0;
    keys_.resize(numbers.size());
    found_.resize(numbers.size());
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      keys_[i] = whole ? base + numbers[i] : KeyOf(0, numbers[i] + skipped);
    }
    SearchMany(counts_->of(0).data(), lanes[0].last + 1, keys_, found_);
    found_segments_ = whole;
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      const std::uint64_t start = whole ? StartAt(0, found_[i], keys_[i])
                                        : StartIn(0, found_[i], keys_[i], numbers[i] + skipped);
      windows.starts[places[i]] = static_cast<std::int64_t>(start);
    }
    return;
  }
  const std::vector<std::uint64_t>& begins = numbering_.lane_begins;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const std::uint64_t lane = SearchOne(begins.data(), begins.size(), numbers[i]);
    const std::uint64_t number = numbers[i] - begins[lane] + lanes[lane].skipped;
    const std::uint64_t key = KeyOf(lane, number);
    const std::uint64_t segment = SearchOne(counts_->of(lane).data(), lanes[lane].last + 1, key);
    windows.starts[places[i]] = static_cast<std::int64_t>(StartIn(lane, segment, key, number));
  }
}

}  // namespace stream_store::internal

// IndexedStarts: from the anchors of windows to their rows.
#include <algorithm>

#include "base/assert.h"
#include "store/indexed_starts.h"

namespace stream_store::internal {

IndexedStarts::Bounds IndexedStarts::BoundsOf(std::uint64_t row) const {
  const auto [lane, at] = index_->PlaceOf(row);
  const std::span<const LaneSegment> segments = index_->Segments(lane);
  const std::uint64_t rows = index_->RowsBefore(lane, extent_.rows);
  const std::uint64_t number = SegmentAt(segments, at);
  const bool has_next = number + 1 < segments.size();
  return {.lane = lane,
          .at = at,
          .begin = BeginOf(lane, segments[number]),
          .end = has_next ? std::min<std::uint64_t>(segments[number + 1].begin, rows) : rows,
          .ended = HasEnded(segments, number, rows)};
}

// Looks up the anchors in rows_found_. Every step of a look-up waits for memory, so each loop takes
// one step for all windows, and fetches what the next loop needs.
void IndexedStarts::FindBounds() {
  bounds_.resize(rows_found_.size());
  for (const std::uint64_t row : rows_found_) {
    index_->PrefetchPlaceOf(row);
  }
  for (const std::uint64_t row : rows_found_) {
    index_->PrefetchRowAt(index_->PlaceOf(row));
  }
  for (std::size_t i = 0; i < rows_found_.size(); ++i) {
    const Bounds& bounds = bounds_[i] = BoundsOf(rows_found_[i]);
    index_->PrefetchRowAt({bounds.lane, bounds.begin});
    index_->PrefetchRowAt({bounds.lane, bounds.end - 1});
  }
}

void IndexedStarts::Resolve(std::span<const std::uint64_t> numbers,
                            std::span<const std::uint64_t> places, const WindowStarts& windows) {
  STREAM_STORE_ASSERT(
      std::ranges::all_of(numbers, [&](auto number) { return number < count(); }) &&
      std::ranges::all_of(places, [&](auto place) { return place < windows.starts.size(); }) &&
      numbers.size() == places.size());
  rows_found_.resize(numbers.size());
  std::vector<std::uint64_t> ranks(numbers.begin(), numbers.end());
  for (std::uint64_t& rank : ranks) {
    rank += first_;
  }
  anchors_.Select(ranks, rows_found_);
  ResolveFound(places, windows);
}

void IndexedStarts::ResolveAnchors(std::span<const std::uint64_t> anchors,
                                   std::span<const std::uint64_t> places,
                                   const WindowStarts& windows) {
  STREAM_STORE_ASSERT(anchors.size() == places.size());
  rows_found_.assign(anchors.begin(), anchors.end());
  ResolveFound(places, windows);
}

// Describes the windows with the anchors rows_found_.
void IndexedStarts::ResolveFound(std::span<const std::uint64_t> places,
                                 const WindowStarts& windows) {
  const std::scoped_lock lock(index_->mutex());
  FindBounds();
  for (std::size_t i = 0; i < rows_found_.size(); ++i) {
    const Bounds& bounds = bounds_[i];
    windows.starts[places[i]] = static_cast<Row>(rows_found_[i]);
    windows.anchors[places[i]] = static_cast<Row>(rows_found_[i]);
    windows.segments[places[i]] = {
        .first = static_cast<Row>(index_->RowAt(bounds.lane, bounds.begin)),
        .end = static_cast<Row>(index_->RowAt(bounds.lane, bounds.end - 1)) + 1,
        .complete = bounds.ended};
    if (!windows.count.empty()) {
      windows.count[places[i]] = static_cast<std::uint32_t>(bounds.end - bounds.begin);
    }
  }
}

// How far the whole window is moved along the lane to lie inside the segment.
std::int64_t IndexedStarts::ShiftOf(const Bounds& bounds) const noexcept {
  if (need_ != Need::kRoom) {
    return 0;
  }
  const auto lacking_before =
      static_cast<std::int64_t>(before_) - static_cast<std::int64_t>(bounds.at - bounds.begin);
  const auto lacking_after =
      static_cast<std::int64_t>(after_) - static_cast<std::int64_t>(bounds.end - 1 - bounds.at);
  return lacking_before > 0 ? lacking_before : lacking_after > 0 ? -lacking_after : 0;
}

// The row at an offset from the anchor; -1 if there is none.
Row IndexedStarts::RowAtOffset(const Bounds& bounds, std::int64_t offset, bool& valid) const {
  if (timed_) {
    const TimedOffsets::Found found = timed_->Find(*index_, bounds.rows(), bounds.at, offset);
    valid = found.within;
    const bool stored = valid || options_.outside == SampleOutside::kEdge;
    return stored ? static_cast<Row>(index_->RowAt(bounds.lane, found.at)) : -1;
  }
  const auto begin = static_cast<std::int64_t>(bounds.begin);
  const auto end = static_cast<std::int64_t>(bounds.end);
  std::int64_t at = static_cast<std::int64_t>(bounds.at) + offset;
  valid = at >= begin && at < end;
  if (!valid && (options_.offsets.empty() || options_.outside != SampleOutside::kEdge)) {
    return -1;
  }
  at = std::clamp(at, begin, end - 1);
  return static_cast<Row>(index_->RowAt(bounds.lane, static_cast<std::uint64_t>(at)));
}

void IndexedStarts::ReadRows(std::span<const std::uint64_t> places, const WindowRows& rows) {
  STREAM_STORE_ASSERT(places.size() == bounds_.size());
  const std::size_t length = rows.offsets.size();
  if (length == 0) {
    return;
  }
  const auto [least, most] = std::ranges::minmax(rows.offsets);
  const std::scoped_lock lock(index_->mutex());
  for (std::size_t i = 0; i < places.size(); ++i) {
    const Bounds& bounds = bounds_[i];
    const std::int64_t shift = ShiftOf(bounds);
    const std::int64_t anchor = static_cast<std::int64_t>(bounds.at) + shift;
    if (!timed_ && anchor + least >= static_cast<std::int64_t>(bounds.begin) &&
        anchor + most < static_cast<std::int64_t>(bounds.end)) {
      index_->ReadRowsAround({bounds.lane, static_cast<std::uint64_t>(anchor)}, rows.offsets,
                             rows.rows.subspan(places[i] * length, length));
      std::ranges::fill(rows.valid.subspan(places[i] * length, length), std::uint8_t{1});
      continue;
    }
    for (std::size_t k = 0; k < length; ++k) {
      bool valid = false;
      const std::size_t place = places[i] * length + k;
      rows.rows[place] = RowAtOffset(bounds, rows.offsets[k] + shift, valid);
      rows.valid[place] = valid ? 1 : 0;
    }
  }
}

}  // namespace stream_store::internal

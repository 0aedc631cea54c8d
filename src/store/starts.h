// StoreStarts: the valid starts of one store, numbered from 0.
//
// Without segments the starts are one range, so a number is an offset. With segments they are
// counted segment by segment, so a number is found by a binary search over running sums. An epoch
// keeps its extent while the shared index of segments (segment_index.h) grows, so nothing here may
// depend on the part of the index beyond the extent.
//
// Rows of a lane are counted within the lane: row q of lane l is row q * lanes + l of the store.
//
// Used by sampler.cc. Thread rules: an object belongs to one thread; it locks the index, which
// samplers of other threads share.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "stream_store/sampler.h"

#include "storage/view.h"
#include "store/segment_index.h"
#include "store/window_starts.h"

namespace stream_store::internal {

class StoreStarts final : public Starts {
 public:
  /// Throws Error(kInvalidArgument) for fields in segment_by that CheckCutFields() refuses.
  StoreStarts(Reader reader, const SamplerOptions& options);

  const Reader& reader() const noexcept override { return reader_; }

  std::uint64_t UnscannedRows() override;
  std::uint64_t CountNow() override;
  void Restore(const EpochExtent& wanted) override;

  const EpochExtent& extent() const noexcept override { return numbering_.extent; }

  std::uint64_t count() const noexcept override { return numbering_.count; }

  void Resolve(std::span<const std::uint64_t> numbers, std::span<const std::uint64_t> places,
               const WindowStarts& windows) override;
  void FindNumbers(std::span<const std::uint64_t> rows, std::span<std::uint64_t> numbers) override;
  std::string Describe() override;

 private:
  // The segments of a lane within an extent: those of the index that begin before the extent's last
  // row, and possibly one more, of that row alone. The last row of the store may still grow, so the
  // index does not hold it yet, but an extent can include it. If the extent begins inside a segment,
  // the rest of that segment is the head, which has no sum of its own.
  struct LaneSegments {
    std::uint64_t first = 0;        // the first row of the lane
    std::uint64_t rows = 0;         // the row after the last one of the lane
    std::uint64_t head_end = 0;     // the head is rows [first, head_end), mostly none
    std::uint64_t head_starts = 0;  // starts in the head
    std::uint64_t next = 0;         // number of the segment after the head; last + 1: there is none
    std::uint64_t last = 0;         // number of the last segment that the index holds
    std::uint64_t last_end = 0;     // the row after the last one of that segment
    bool has_extra = false;         // one more segment follows: the lane's last row
    std::uint64_t skipped = 0;      // starts of the lane before the first wanted row
  };

  // Rows [begin, end) of a lane, counted within the lane.
  struct LaneRows {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
  };

  // A row of a lane, and the last segment of the index that begins at that row or before it.
  struct LaneRow {
    std::uint64_t at = 0;
    std::uint64_t segment = 0;
  };

  // The starts of an extent, counted.
  struct Numbering {
    EpochExtent extent;
    std::uint64_t first_position = 0;  // of extent.first_row
    std::uint64_t first_row = 0;       // starts are wanted in rows [first_row, end_row)
    std::uint64_t end_row = 0;
    std::uint64_t count = 0;
    std::uint64_t first = 0;                 // without segments: start number 0
    std::vector<LaneSegments> lanes;         // with segments
    std::vector<std::uint64_t> lane_begins;  // with segments: number of each lane's first start
  };

  // Whether a segment begins at a row of a lane, for an extent whose first row in that lane is
  // another one. Found once, since it needs to read rows.
  struct HeadCut {
    std::uint64_t first = 0;
    std::uint64_t cut = 0;
    bool holds = false;
  };

  bool MoveToEnd() override;
  bool IsSettled() const noexcept;
  EpochExtent FollowExtent();
  std::unique_lock<ForkMutex> LockIndexTo(std::uint64_t final_rows);
  void Number(const EpochExtent& extent, Numbering& made);
  void RequireRegularLanes(const Numbering& made);
  void CountRange(Numbering& made) const;
  void CountSegments(Numbering& made);
  LaneSegments SegmentsOf(const EpochExtent& extent, std::uint64_t lane);
  void FindHead(const EpochExtent& extent, std::uint64_t lane, LaneSegments& segments);
  bool CutHolds(std::uint64_t lane, std::uint64_t first, std::uint64_t cut);
  std::uint64_t RowsOfLane(std::uint64_t lane, std::uint64_t rows) const;
  std::uint64_t StartsBetween(const EpochExtent& extent, std::uint64_t begin,
                              std::uint64_t end) const;
  std::uint64_t StartsBefore(const EpochExtent& extent, std::uint64_t lane,
                             const LaneSegments& segments, std::uint64_t row) const;
  std::uint64_t KeyOf(std::uint64_t lane, std::uint64_t number) const;
  std::uint64_t StartAt(std::uint64_t lane, std::uint64_t segment, std::uint64_t key) const;
  std::uint64_t StartIn(std::uint64_t lane, std::uint64_t segment, std::uint64_t key,
                        std::uint64_t number) const;
  std::uint64_t PlaceIn(std::uint64_t lane, std::uint64_t begin, std::uint64_t into) const;
  void ResolveRange(std::span<const std::uint64_t> numbers, std::span<const std::uint64_t> places,
                    const WindowStarts& windows) const;
  std::uint64_t NumberOf(std::uint64_t row) const;
  void ResolveSegments(std::span<const std::uint64_t> numbers,
                       std::span<const std::uint64_t> places, const WindowStarts& windows);
  LaneRows SegmentAround(std::uint64_t lane, const LaneSegments& segments, LaneRow row,
                         LaneRows lane_rows) const;
  void Pad(std::span<const std::uint64_t> places, const WindowStarts& windows);
  bool HasEnded(std::uint64_t lane, const LaneSegments& segments, std::uint64_t end) const;
  WindowSegment SegmentOf(std::uint64_t lane, const LaneSegments& segments, LaneRow row) const;
  void FindSegments(std::span<const std::uint64_t> places, const WindowStarts& windows);
  void FindSegmentsOfOneLane(std::span<const std::uint64_t> places, const WindowStarts& windows);
  void ToPositions(std::span<const std::uint64_t> places, const WindowStarts& windows) const;

  const View& view() const noexcept;

  bool by_segments() const noexcept { return index_ != nullptr; }

  bool padded() const noexcept { return options_.pad != SamplePad::kNone; }

  bool in_values() const noexcept { return options_.unit == SampleUnit::kValue; }

  bool rows_by_values() const noexcept {
    return in_values() && options_.align == SampleAlign::kRow;
  }

  Reader reader_;
  const SamplerOptions options_;
  StartRule rule_;
  std::shared_ptr<SegmentIndex> index_;  // null without segment_by
  std::shared_ptr<StartCounts> counts_;  // null without segment_by, and where windows are padded
  Numbering numbering_;
  bool followed_ = false;           // numbering_ is that of a Follow(), not of a restored epoch
  std::uint64_t seen_begin_ = 0;    // records of the View that Follow() numbered:
  std::uint64_t seen_records_ = 0;  // [seen_begin_, seen_records_)
  std::vector<HeadCut> head_cuts_;  // of each lane
  // Scratch of ResolveSegments(), kept so that it allocates once.
  std::vector<std::uint64_t> keys_;
  std::vector<std::uint64_t> found_;
  bool found_segments_ = false;  // found_ has the segments of the last Resolve()
};

}  // namespace stream_store::internal

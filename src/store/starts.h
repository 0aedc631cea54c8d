// StoreStarts: the valid starts of one store, numbered from 0.
//
// An extent says how much of the store counts: an epoch keeps its extent while the store and the
// index of segments grow. Without segments the starts are one range of positions or rows; with
// segments they are counted segment by segment. Who uses it: sampler.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "stream_store/sampler.h"

#include "storage/view.h"
#include "store/segment_index.h"

namespace stream_store::internal {

class StoreStarts {
 public:
  /// Throws Error(kInvalidArgument) for segment_by.
  StoreStarts(Reader reader, const SamplerOptions& options);

  const Reader& reader() const noexcept { return reader_; }

  /// Rows that Follow() or Restore() would add to the index.
  std::uint64_t UnscannedRows();

  /// Moves the extent to what is stored now.
  void Follow();

  /// Sets the extent of an epoch. Throws Error(kInvalidArgument) if the store has less.
  void Restore(const EpochExtent& extent);

  const EpochExtent& extent() const noexcept { return extent_; }

  /// Valid starts within the extent.
  std::uint64_t count() const noexcept { return count_; }

  /// Writes window `places[i]` of the batch as start number `numbers[i]` of this store.
  /// REQUIRES: numbers below count(); the batch has room.
  void Resolve(std::span<const std::uint64_t> numbers, std::span<const std::uint64_t> places,
               WindowBatch& batch);

  /// "5 rows in 2 segments", for the message that there is no start.
  std::string Describe();

 private:
  // The segments of a lane within the extent: those that begin in the first `known` of the index,
  // and perhaps one more of a single row.
  struct LaneShape {
    std::uint64_t rows = 0;      // of the lane
    std::uint64_t last = 0;      // number of the last segment of the index
    std::uint64_t last_end = 0;  // where that ends
    bool extra = false;          // one more segment: the lane's last row
    std::uint64_t skipped = 0;   // starts before the first row that is wanted
  };

  void SetExtent(const EpochExtent& extent);
  void CountRange();
  void CountSegments();
  LaneShape ShapeOf(std::uint64_t lane) const;
  std::uint64_t RowsOfLane(std::uint64_t lane, std::uint64_t rows) const;
  std::uint64_t EndPositionOf(std::uint64_t row) const;
  std::uint64_t StartsOf(std::uint64_t begin, std::uint64_t end) const;
  std::uint64_t StartsBefore(std::uint64_t lane, const LaneShape& shape, std::uint64_t row) const;
  void ResolveRange(std::span<const std::uint64_t> numbers, std::span<const std::uint64_t> places,
                    WindowBatch& batch);
  void ResolveSegments(std::span<const std::uint64_t> numbers,
                       std::span<const std::uint64_t> places, WindowBatch& batch);
  void Pad(std::span<const std::uint64_t> places, WindowBatch& batch);
  void ToPositions(std::span<const std::uint64_t> places, WindowBatch& batch);

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
  std::shared_ptr<StartCounts> counts_;  // null also where windows are padded
  EpochExtent extent_;
  bool followed_ = false;
  std::uint64_t seen_records_ = 0;  // of the view that extent_ follows
  std::uint64_t first_row_ = 0;     // starts are wanted in [first_row_, last_row_)
  std::uint64_t last_row_ = 0;
  std::uint64_t first_ = 0;  // a range: the start numbered 0
  std::uint64_t count_ = 0;
  std::vector<LaneShape> lanes_;            // with segments
  std::vector<std::uint64_t> lane_begins_;  // with segments: number of each lane's first start
  std::vector<std::uint64_t> keys_;         // of the call under way
  std::vector<std::uint64_t> found_;
};

}  // namespace stream_store::internal

// IndexedStarts: the starts of windows of rows that need to know each row.
//
// A start is the anchor of a window. RowSet keeps one bit for each row of the extent that is a valid
// anchor, so start number n is the n-th of them, in the order of the rows. LaneIndex, which samplers
// share, has the lane and the segment of each row.
//
// The first rows of a lane that are retained count as its first rows: what is left of a segment whose
// first rows were dropped is a segment. So the starts depend on the retained rows only, and a state
// can be restored in any process.
//
// Used by window_starts.cc. Thread rules: an object belongs to one thread; it locks the index.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stream_store/sampler.h"

#include "base/fork_mutex.h"
#include "store/lane_index.h"
#include "store/row_set.h"
#include "store/timed_offsets.h"
#include "store/window_starts.h"

namespace stream_store::internal {

class IndexedStarts final : public Starts {
 public:
  /// Throws Error(kInvalidArgument) as CheckCutFields() and CheckScanFields().
  IndexedStarts(Reader reader, const SamplerOptions& options);

  const Reader& reader() const noexcept override { return reader_; }

  std::uint64_t UnscannedRows() override;
  std::uint64_t CountNow() override;
  void Restore(const EpochExtent& wanted) override;

  const EpochExtent& extent() const noexcept override { return extent_; }

  std::uint64_t count() const noexcept override { return count_; }

  void Resolve(std::span<const std::uint64_t> numbers, std::span<const std::uint64_t> places,
               const WindowStarts& windows) override;
  void ReadRows(std::span<const std::uint64_t> places, const WindowRows& rows) override;
  void FindNumbers(std::span<const std::uint64_t> rows, std::span<std::uint64_t> numbers) override;
  std::string Describe() override;

  // -- For priorities (start_priorities.h)

  /// The rows that were looked at, [first_row(), rows()).
  std::uint64_t first_row() const noexcept { return first_row_; }

  std::uint64_t rows() const noexcept { return rows_; }

  /// Whether a row is an anchor, whether or not it is in limits().
  bool IsAnchor(std::uint64_t row) const noexcept { return anchors_.Contains(row); }

  /// Fetches the memory that IsAnchor() will read, without waiting for it.
  void PrefetchAnchor(std::uint64_t row) const noexcept { anchors_.Prefetch(row); }

  /// The rows in which anchors are sampled: options.first_row and options.last_row.
  std::pair<std::uint64_t, std::uint64_t> limits() const noexcept { return limits_; }

  /// The anchor of start `number`. REQUIRES: number < count().
  std::uint64_t AnchorOf(std::uint64_t number) const;

  /// As Resolve(), for the starts with these anchors. REQUIRES: anchors.size() == places.size().
  void ResolveAnchors(std::span<const std::uint64_t> anchors, std::span<const std::uint64_t> places,
                      const WindowStarts& windows);

  /// The anchors that came and went since the last call. `all`: too many to list; look at all rows.
  struct Changes {
    bool all = true;
    std::vector<std::uint64_t> added;
    std::vector<std::uint64_t> removed;
  };

  Changes TakeChanges();

 private:
  // Which rows a window needs around its anchor for the anchor to be valid.
  enum class Need : std::uint8_t {
    kAll,      // the rows from `before_` rows before the anchor to `after_` rows after it
    kRoom,     // a segment of at least before_ + after_ + 1 rows
    kNothing,  // only the anchor
    kWhole,    // the anchor is the first row of a segment that has ended
    kTimes,    // rows near the times that timed_ says
  };

  // The rows of the segment of an anchor, counted in the lane, as far as they are in the extent.
  struct Bounds {
    std::uint64_t lane = 0;
    std::uint64_t at = 0;  // the anchor
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    bool ended = false;

    LaneRows rows() const noexcept { return {lane, begin, end}; }
  };

  bool MoveToEnd() override;
  bool IsSettled() const noexcept;
  std::unique_lock<ForkMutex> LockIndexTo(std::uint64_t rows);
  void MoveTo(const EpochExtent& extent);
  void Forget();
  void EnterRowsTo(std::uint64_t end);
  void EnterRows(const LaneRows& rows);
  void EnterSegment(std::uint64_t segment, const LaneRows& rows);
  void CutHeads();
  void EndSegment(std::uint64_t lane, std::uint64_t segment, std::uint64_t end);
  std::uint64_t BeginOf(std::uint64_t lane, const LaneSegment& segment) const;
  std::uint64_t RowsInExtent(std::uint64_t lane, std::uint64_t rows) const;
  void AddAnchor(std::uint64_t lane, std::uint64_t at);
  void AddAnchors(const LaneRows& rows);
  void AddTimedAnchors(const LaneRows& rows);
  void CutHead(const LaneRows& rows);
  void CutTimedAnchors(const LaneRows& rows);
  void RemoveAnchor(std::uint64_t row);
  bool IsOfThisRank(std::uint64_t row) const noexcept;
  Bounds BoundsOf(std::uint64_t row) const;
  void ResolveFound(std::span<const std::uint64_t> places, const WindowStarts& windows);
  Row RowAtOffset(const Bounds& bounds, std::int64_t offset, bool& valid) const;
  std::int64_t ShiftOf(const Bounds& bounds) const noexcept;
  void FindBounds();

  Reader reader_;
  const SamplerOptions options_;
  LaneRules rules_;
  Need need_ = Need::kAll;
  std::uint64_t before_ = 0;
  std::uint64_t after_ = 0;
  std::optional<TimedOffsets> timed_;  // with a time field

  std::shared_ptr<LaneIndex> index_;
  RowSet anchors_;                      // those in rows [first_row_, rows_)
  std::vector<std::uint64_t> current_;  // of each lane: the number of the segment of its last row
  std::vector<std::uint64_t>
      undecided_;  // with kTimes, of each lane: the first row that may become one
  std::uint64_t first_row_ = 0;
  std::uint64_t rows_ = 0;

  Changes changes_;

  EpochExtent extent_;
  std::pair<std::uint64_t, std::uint64_t> limits_ = {0, 0};
  std::uint64_t first_ = 0;  // rank of start number 0 in anchors_
  std::uint64_t count_ = 0;
  bool followed_ = false;               // extent_ is that of a Follow(), not of a restored epoch
  std::uint64_t seen_begin_ = 0;        // records of the View that Follow() moved to:
  std::uint64_t seen_records_ = 0;      // [seen_begin_, seen_records_)
  std::unique_ptr<IndexedStarts> now_;  // follows the store for CountNow()

  // Of the last Resolve(), kept for ReadRows().
  std::vector<std::uint64_t> rows_found_;
  std::vector<Bounds> bounds_;
};

}  // namespace stream_store::internal

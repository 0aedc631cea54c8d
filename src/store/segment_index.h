// SegmentIndex: where the segments of a store begin, found once for all samplers of that store.
//
// One index is shared by all samplers with the same source of Readers, the same fields and the same
// number of lanes; it lives as long as one of them does. Each row is read once, when it is final,
// that is, cannot grow any more. The memory is 8 bytes per segment here and 8 in each StartCounts,
// which samplers of the same StartRule share.
//
// Rows of a lane are counted within the lane: row q of lane l is row q * lanes + l of the store.
//
// Rows may be dropped before the index has read them. It goes on at the first row that the Reader
// still has then, and does not fit Readers that have more (complete_from()): their samplers get
// another index. The segments of dropped rows stay in the lists, because older Readers use them. Once
// they are most of the segments, newer Readers get a copy without them (IsMostlyDropped()), so the
// memory is in proportion to the rows that are retained.
//
// Invariant: begins(lane) rise, and begin at or before the first row of the lane that any Reader
// that the index fits has; the last segment is open, so it has no end and no count yet.
//
// Used by starts.cc and segment_starts.cc. Thread rules: hold mutex() for every call but the constructor and
// SharedFor(). The mutex survives fork().
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "stream_store/reader.h"

#include "base/assert.h"
#include "base/fork_mutex.h"
#include "store/growing_list.h"
#include "store/lane_check.h"
#include "store/segment_cuts.h"

namespace stream_store::internal {

/// How many of the first `rows` rows of a store belong to a lane.
inline std::uint64_t RowsOfLane(std::uint64_t lane, std::uint64_t lanes,
                                std::uint64_t rows) noexcept {
  return rows > lane ? (rows - lane - 1) / lanes + 1 : 0;
}

/// How the length of a window is measured, which determines how many windows start in a segment.
struct StartRule {
  enum class Count : std::uint8_t { kRows, kValues, kRowsByValues };

  /// kRows: starts at rows, length in rows. kValues: starts at values, length in values.
  /// kRowsByValues: starts at rows, length in values.
  Count count = Count::kRows;
  std::uint64_t length = 1;

  friend bool operator==(const StartRule&, const StartRule&) = default;
};

/// For each lane, running sums of the valid starts in its segments.
class StartCounts {
 public:
  explicit StartCounts(const StartRule& rule, std::uint64_t lanes) : rule_(rule), lanes_(lanes) {}

  const StartRule& rule() const noexcept { return rule_; }

  /// Segments that begin at this row of the store or after it are counted. Those before may count
  /// as 0: their rows were dropped before they could be counted.
  std::uint64_t complete_from() const noexcept { return complete_from_; }

  /// Element i: the valid starts in segments [0, i) of the lane. One element per segment of the
  /// index, as of the last ExtendCounts().
  /// REQUIRES: lane < lanes.
  const WordList& of(std::uint64_t lane) const noexcept {
    STREAM_STORE_ASSERT(lane < lanes_.size());
    return lanes_[lane];
  }

 private:
  friend class SegmentIndex;
  StartRule rule_;
  std::uint64_t complete_from_ = 0;
  std::vector<WordList> lanes_;
};

class SegmentIndex {
 public:
  /// The index that samplers of this Reader's source share for these fields and lanes, made by the
  /// first of them. It has all rows that the Reader has, as far as they were read: complete_from()
  /// is at most its first_row(), and it is not mostly dropped for it. Throws Error(kInvalidArgument) as CheckCutFields().
  static std::shared_ptr<SegmentIndex> SharedFor(const Reader& reader,
                                                 const std::vector<TypeId>& types,
                                                 std::uint64_t lanes);

  /// Begins at the first row of the Reader.
  SegmentIndex(CutBy by, const std::vector<TypeId>& types, std::uint64_t lanes,
               const Reader& reader);

  ForkMutex& mutex() noexcept { return mutex_; }

  /// The row after the last one that was read.
  std::uint64_t rows() const noexcept { return reader_.next_row(); }

  /// All rows from this one to rows() were read. May be called without mutex().
  std::uint64_t complete_from() const noexcept {
    return complete_from_.load(std::memory_order_acquire);
  }

  CutBy by() const noexcept { return by_; }

  /// Whether most of the segments, and many, end before this row.
  bool IsMostlyDropped(std::uint64_t first_row) const noexcept;

  /// Reads the rows from rows() to final_rows; if some of them were dropped, complete_from() becomes
  /// the Reader's first_row(). REQUIRES: final_rows <= the Reader's num_rows(); none of these rows
  /// can grow any more. Throws Error(kCorrupt); the rows before the corrupt one are in the index
  /// then.
  void Extend(const Reader& reader, std::uint64_t final_rows);

  /// Whether row rows(), as it is now, begins a segment. It may still grow and is not added.
  /// REQUIRES: rows() is a row of the Reader.
  bool NextBegins(const Reader& reader) const;

  /// Whether the last row of the lane that was read says that its segment ends.
  /// REQUIRES: lane < lanes.
  bool HasEnded(std::uint64_t lane) const noexcept {
    STREAM_STORE_ASSERT(lane < lanes_.size());
    return lanes_[lane].cutter.Begins(by_, RowCut{});
  }

  /// Whether any of the rows [begin, end) of the lane has the int field that cuts by its changes.
  /// REQUIRES: they are rows of the Reader.
  bool AnyKnown(const Reader& reader, std::uint64_t lane, std::uint64_t begin,
                std::uint64_t end) const;

  /// Where rows of one lane alternate, if they do: there are other lanes then.
  const std::optional<Alternation>& alternation() const noexcept { return alternation_; }

  /// First rows of the lane's segments; at least one, also when there are no rows.
  /// REQUIRES: lane < lanes.
  const WordList& begins(std::uint64_t lane) const noexcept {
    STREAM_STORE_ASSERT(lane < lanes_.size());
    return lanes_[lane].begins;
  }

  /// The number of segments of all lanes that have rows from `first_row` on, which is a row of a
  /// Reader that the index fits.
  std::uint64_t SegmentsFrom(std::uint64_t first_row) const noexcept;

  /// The counts that samplers with this rule share, made by the first of them, whose complete_from()
  /// is at most `first_row`.
  std::shared_ptr<StartCounts> CountsOf(const StartRule& rule, std::uint64_t first_row);

  /// Adds the segments that have ended since the last call, as far as the Reader sees their ends:
  /// it may be older than the index. Segments of which it lacks rows count as 0 where counting would
  /// have to read them.
  void ExtendCounts(const Reader& reader, StartCounts& counts) const;

 private:
  struct Lane {
    WordList begins;
    Cutter cutter;
    LaneCheck check;
  };

  void BeginAt(const Reader& reader);
  void EnterBegin(std::uint64_t lane, std::uint64_t row, const RowCut& cut);
  void CopyFrom(const SegmentIndex& other, std::uint64_t first_row);

  static constexpr std::uint64_t kFewDropped = 4096;  // never too many to keep

  ForkMutex mutex_{ForkMutex::Rank::kInner};
  std::atomic<std::uint64_t> complete_from_{0};
  CutBy by_;
  CutReader reader_;
  std::vector<Lane> lanes_;
  std::optional<Alternation> alternation_;
  std::vector<std::weak_ptr<StartCounts>> counts_;
};

/// How many windows start in a segment with rows [begin, end) by a rule. `end_position` is where
/// the segment's values end; it is not used by kRows. With several lanes the rows are those of the
/// lane, and the rule is kRows.
std::uint64_t StartsIn(const Reader& reader, const StartRule& rule, std::uint64_t begin,
                       std::uint64_t end, std::uint64_t end_position);

/// The position of the first value of a row. REQUIRES: it is a row of the Reader. Throws
/// Error(kCorrupt).
std::uint64_t PositionOfRow(const Reader& reader, std::uint64_t row);

/// The row that holds a position. REQUIRES: it is a position of the Reader. Throws Error(kCorrupt).
std::uint64_t RowOfPosition(const Reader& reader, std::uint64_t position);

}  // namespace stream_store::internal

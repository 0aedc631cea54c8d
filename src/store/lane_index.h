// LaneIndex: for each row of a store its lane and segment, found once for all samplers of the store
// that ask for the same ones.
//
// Rows of a lane are counted within the lane: `at` is the number of a row in its lane. Lanes are
// either regular, row q * lanes + l is number q of lane l, or given by key fields; then the index
// holds 12 bytes for each row, and a ninth more as its lists grow. A lane is cut into segments: by
// the cutting fields (segment_cuts.h), and around the rows that must not be in a window, those where
// `where` is false and those in the ranges of `exclude`, whose segments are dead.
//
// Each row is read once, when it is final, that is, cannot grow any more. A store that nobody writes
// can end with a row that is not final and never will be; the index of such a row is another one
// (LaneRules::open_row), so that this one stays right if a writer continues the row.
//
// Rows may be dropped before the index has read them, and once most of its rows are dropped they
// cost memory for nothing. Newer Readers get another index then (Fits()), and the Readers that still
// have those rows keep this one.
//
// Used by indexed_starts.cc. Thread rules: hold mutex() for every call but the constructor,
// SharedFor() and first_row(). The mutex survives fork().
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "stream_store/reader.h"
#include "stream_store/sampler_options.h"

#include "base/assert.h"
#include "base/fork_mutex.h"
#include "store/growing_list.h"
#include "store/lane_check.h"
#include "store/lane_table.h"
#include "store/row_scan.h"
#include "store/row_times.h"

namespace stream_store::internal {

/// What an index is made for.
struct LaneRules {
  ScanFields fields;
  std::uint64_t lanes = 1;                     ///< with lane_by, 1
  std::vector<RowRange> exclude = {};          ///< rising, and not overlapping
  std::optional<std::uint64_t> open_row = {};  ///< the last row, which is not final

  friend bool operator==(const LaneRules&, const LaneRules&) = default;
};

/// The place of a row.
struct LanePlace {
  std::uint64_t lane = 0;
  std::uint64_t at = 0;
};

/// The begin of a segment in its lane, where the one before it ends.
struct LaneSegment {
  std::uint64_t begin : 62;
  std::uint64_t dead : 1;   ///< its rows must not be in a window
  std::uint64_t ended : 1;  ///< the row before it says that its segment ends; `begin` may not exist
};

/// The number of the last segment that begins at row `at` of a lane or before it. REQUIRES: there is
/// one.
std::uint64_t SegmentAt(std::span<const LaneSegment> segments, std::uint64_t at) noexcept;

/// Whether segment `number` has ended, in a lane of `rows` rows.
bool HasEnded(std::span<const LaneSegment> segments, std::uint64_t number,
              std::uint64_t rows) noexcept;

class LaneIndex {
 public:
  /// The index that samplers of this Reader's source share for these rules, made by the first of
  /// them. It has all rows that the Reader has, as far as they were read. Throws
  /// Error(kInvalidArgument) as CheckCutFields() and CheckScanFields().
  static std::shared_ptr<LaneIndex> SharedFor(const Reader& reader, const LaneRules& rules);

  /// Begins at the first row of the Reader.
  LaneIndex(const Reader& reader, LaneRules rules);

  ForkMutex& mutex() noexcept { return mutex_; }

  /// The row after the last one that was read.
  std::uint64_t rows() const noexcept { return rows_; }

  /// The first row that was read. May be called without mutex().
  std::uint64_t first_row() const noexcept { return first_row_; }

  /// Whether this is the index for a Reader that begins at `first_row`: it has the rows that the
  /// Reader has, as far as they were read, and not mostly rows that were dropped or one with a wrong
  /// time.
  bool Fits(std::uint64_t first_row) const noexcept;

  /// Reads the rows from rows() to `rows`; many of them in a second thread, while this one enters them.
  /// REQUIRES: Fits(reader.first_row()); rows <= the Reader's num_rows(); none of these rows can grow any
  /// more, except the open row of the rules. Throws Error(kCorrupt); the rows before the corrupt one are
  /// in the index then. Throws Error(kState) for more than 2^32 rows with lane_by.
  void Extend(const Reader& reader, std::uint64_t rows);

  /// The number of lanes that have rows.
  std::uint64_t lanes() const noexcept { return lanes_.size(); }

  /// The place of a row. REQUIRES: first_row() <= row && row < rows().
  LanePlace PlaceOf(std::uint64_t row) const noexcept {
    STREAM_STORE_ASSERT(first_row() <= row && row < rows());
    if (!by_key()) {
      return {row % rules_.lanes, row / rules_.lanes};
    }
    const std::uint64_t place = places_[row - first_row_];
    return {place >> 32, place & 0xffffffff};
  }

  /// Row `at` of a lane. REQUIRES: there is such a row; with regular lanes, also one to come.
  std::uint64_t RowAt(std::uint64_t lane, std::uint64_t at) const noexcept {
    STREAM_STORE_ASSERT(!by_key() || lane < lanes_.size());
    return by_key() ? first_row_ + lanes_[lane].rows[at] : at * rules_.lanes + lane;
  }

  /// Calls visit(row) for the rows [begin, end) of a lane. REQUIRES: as for RowAt().
  template <class Visit>
  void VisitRows(std::uint64_t lane, std::uint64_t begin, std::uint64_t end,
                 const Visit& visit) const {
    if (!by_key()) {
      for (std::uint64_t at = begin; at < end; ++at) {
        visit(at * rules_.lanes + lane);
      }
      return;
    }
    STREAM_STORE_ASSERT(lane < lanes_.size() && (begin >= end || end <= lanes_[lane].rows.size()));
    const std::uint32_t* rows = lanes_[lane].rows.data();
    for (std::uint64_t at = begin; at < end; ++at) {
      visit(first_row_ + rows[at]);
    }
  }

  /// Writes the rows at `place.at + offsets[k]` of a lane. REQUIRES: there are such rows; rows.size()
  /// == offsets.size().
  void ReadRowsAround(const LanePlace& place, std::span<const std::int64_t> offsets,
                      std::span<Row> rows) const noexcept;

  /// Fetches the memory that PlaceOf() and RowAt() read, without waiting for it.
  void PrefetchPlaceOf(std::uint64_t row) const noexcept {
    if (by_key()) {
      __builtin_prefetch(places_.data() + (row - first_row_));
    }
  }

  void PrefetchRowAt(const LanePlace& place) const noexcept {
    if (by_key()) {
      __builtin_prefetch(lanes_[place.lane].rows.data() + place.at);
    }
  }

  /// Fetches what a look at row `row` and at the row `before` rows before it in its lane will read.
  /// To be called for rows that rise one by one; looks some rows ahead.
  void PrefetchAfter(std::uint64_t row, std::uint64_t before) const noexcept {
    constexpr std::uint64_t kLane = 40;  // rows ahead to fetch the lane, and then its rows
    constexpr std::uint64_t kRow = 20;
    if (!by_key() || row + kLane >= rows()) {
      return;
    }
    __builtin_prefetch(&lanes_[PlaceOf(row + kLane).lane]);
    const LanePlace place = PlaceOf(row + kRow);
    const Lane& lane = lanes_[place.lane];
    __builtin_prefetch(lane.rows.data() + (place.at - std::min(place.at, before)));
    __builtin_prefetch(lane.segments.data());
  }

  /// The number in its lane of the first row that is not before `row`: how many rows of the lane
  /// are. REQUIRES: lane < lanes(), first_row() <= row.
  std::uint64_t RowsBefore(std::uint64_t lane, std::uint64_t row) const noexcept;

  /// The segments of a lane, by their begin; the first one begins with the first row that was read.
  /// Valid until the next Extend(). REQUIRES: lane < lanes(), the lane has rows.
  std::span<const LaneSegment> Segments(std::uint64_t lane) const noexcept {
    STREAM_STORE_ASSERT(lane < lanes_.size());
    return lanes_[lane].segments.all();
  }

  /// Whether a row has the fields of `require`. REQUIRES: first_row() <= row && row < rows().
  bool HasRequired(std::uint64_t row) const noexcept {
    STREAM_STORE_ASSERT(first_row() <= row && row < rows());
    return rules_.fields.require.empty() ||
           (required_[(row - first_row_) / 64] >> (row - first_row_) % 64 & 1) != 0;
  }

  /// The time of row `at` of a lane, in nanoseconds. REQUIRES: the rules have a time field; the index
  /// has the row.
  std::int64_t TimeAt(std::uint64_t lane, std::uint64_t at) const noexcept {
    const std::uint64_t row = RowAt(lane, at);
    STREAM_STORE_ASSERT(first_row() <= row && row < rows());
    return static_cast<std::int64_t>(times_[row - first_row_]);
  }

  /// Where the rows of a regular lane alternate between segments; see LaneCheck.
  const std::optional<Alternation>& alternation() const noexcept { return alternation_; }

  /// Throws Error(kInvalidArgument), which names the row, if one before `rows` has no time that the
  /// sampler can use.
  void RequireTimes(std::uint64_t rows) const;

 private:
  struct Lane {
    GrowingList<std::uint32_t> rows;  // with lane_by: the rows, counted from first_row_
    GrowingList<LaneSegment> segments;
    Cutter cutter;
    LaneCheck check;  // with several regular lanes
  };

  bool by_key() const noexcept { return !rules_.fields.lane_by.empty(); }

  // A row that was read and is not in the index yet.
  struct ReadRow {
    std::uint64_t row = 0;
    std::uint64_t lane = 0;
    RowFacts facts;
  };

  bool ReadSome(const View& view, std::uint64_t end, std::vector<ReadRow>& block);
  void EnterAll(std::span<const ReadRow> block);
  void Enter(const ReadRow& read);
  std::uint64_t AddToLane(std::uint64_t row, std::uint64_t lane);
  bool IsExcluded(std::uint64_t row) noexcept;
  void CheckLane(Lane& lane, std::uint64_t row, Value last, Value value) noexcept;
  void AddTime(const ReadRow& read, std::uint64_t at, const LaneSegment& segment);

  static constexpr std::uint64_t kFewDropped = 65536;  // never too many to keep

  ForkMutex mutex_{ForkMutex::Rank::kInner};
  const LaneRules rules_;
  CutBy by_ = CutBy::kTrue;

  // What ReadSome() writes and what EnterAll() writes are in different cache lines, since both write for
  // each row, in two threads.
  static constexpr std::size_t kApart = 128;
  alignas(kApart) RowScanner scanner_;
  LaneTable table_;
  alignas(kApart) std::vector<Lane> lanes_;
  const std::uint64_t first_row_;
  WordList places_;    // with lane_by: of each row its lane, times 2^32, plus its number there
  WordList required_;  // with `require`: one bit for each row
  WordList times_;     // with a time field: that of each row, in nanoseconds
  std::optional<Alternation> alternation_;
  DType time_dtype_ = DType::kFloat64;
  std::optional<WrongTime> wrong_time_;  // the first one
  std::uint64_t rows_ = 0;               // those before were entered
  std::size_t excluded_ = 0;  // the ranges of `exclude` before this one end before rows()
};

}  // namespace stream_store::internal

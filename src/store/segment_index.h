// SegmentIndex: where the segments of a store begin, found once for all samplers of that store.
//
// One index is shared by all samplers with the same source of Readers, the same fields and the same
// number of lanes; it lives as long as one of them does. Each row is read once, when it is final,
// that is, cannot grow any more. The memory is 8 bytes per segment here and 8 in each StartCounts,
// which samplers of the same StartRule share.
//
// Rows of a lane are counted within the lane: row q of lane l is row q * lanes + l of the store.
//
// Invariant: begins(lane)[0] is 0, and the first row of each later segment follows in rising order;
// the last segment is open, so it has no end and no count yet.
//
// Used by starts.cc. Thread rules: hold mutex() for every call but the constructor and
// SharedFor(). The mutex survives fork().
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "stream_store/reader.h"

#include "base/assert.h"
#include "base/fork_mutex.h"
#include "store/segment_cuts.h"

namespace stream_store::internal {

/// A growing list of words for millions of segments. std::vector would double its memory and copy
/// all words to grow; this grows by an eighth with realloc(), which moves pages of large blocks
/// instead of copying them, and does not touch the new memory.
class WordList {
 public:
  void Add(std::uint64_t word) {
    if (size_ == capacity_) {
      Grow();
    }
    words_.get()[size_++] = word;
  }

  std::size_t size() const noexcept { return size_; }

  /// REQUIRES: i < size().
  std::uint64_t operator[](std::size_t i) const noexcept {
    STREAM_STORE_ASSERT(i < size());
    return words_.get()[i];
  }

  const std::uint64_t* data() const noexcept { return words_.get(); }

 private:
  struct Free {
    void operator()(std::uint64_t* words) const noexcept { std::free(words); }
  };

  void Grow();

  std::unique_ptr<std::uint64_t, Free> words_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

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
  std::vector<WordList> lanes_;
};

class SegmentIndex {
 public:
  /// The index that samplers of this Reader's source share for these fields and lanes, made by the
  /// first of them. Throws Error(kInvalidArgument) as CheckCutFields().
  static std::shared_ptr<SegmentIndex> SharedFor(const Reader& reader,
                                                 const std::vector<TypeId>& types,
                                                 std::uint64_t lanes);

  SegmentIndex(CutBy by, const std::vector<TypeId>& types, std::uint64_t lanes);

  ForkMutex& mutex() noexcept { return mutex_; }

  /// The number of rows read so far.
  std::uint64_t rows() const noexcept { return reader_.next_row(); }

  /// Reads the rows from rows() to final_rows. REQUIRES: final_rows <= the Reader's num_rows();
  /// none of these rows can grow any more. Throws Error(kCorrupt); the rows before the corrupt one
  /// are in the index then.
  void Extend(const Reader& reader, std::uint64_t final_rows);

  /// Whether row rows(), as it is now, begins a segment. It may still grow and is not added.
  /// REQUIRES: rows() < the Reader's num_rows().
  bool NextBegins(const Reader& reader) const;

  /// First rows of the lane's segments. The first is 0, also when there are no rows.
  /// REQUIRES: lane < lanes.
  const WordList& begins(std::uint64_t lane) const noexcept {
    STREAM_STORE_ASSERT(lane < lanes_.size());
    return lanes_[lane].begins;
  }

  /// The number of segments of all lanes.
  std::uint64_t segments() const noexcept;

  /// The counts that samplers with this rule share, made by the first of them.
  std::shared_ptr<StartCounts> CountsOf(const StartRule& rule);

  /// Adds the segments that have ended since the last call, as far as the Reader sees their ends:
  /// it may be older than the index.
  void ExtendCounts(const Reader& reader, StartCounts& counts) const;

 private:
  struct Lane {
    WordList begins;
    Cutter cutter;
  };

  ForkMutex mutex_{ForkMutex::Rank::kInner};
  CutBy by_;
  CutReader reader_;
  std::vector<Lane> lanes_;
  std::vector<std::weak_ptr<StartCounts>> counts_;
};

/// How many windows start in a segment with rows [begin, end) by a rule. `end_position` is where
/// the segment's values end; it is not used by kRows. With several lanes the rows are those of the
/// lane, and the rule is kRows.
std::uint64_t StartsIn(const Reader& reader, const StartRule& rule, std::uint64_t begin,
                       std::uint64_t end, std::uint64_t end_position);

/// The position of the first value of a row. REQUIRES: row < reader.num_rows(). Throws
/// Error(kCorrupt).
std::uint64_t PositionOfRow(const Reader& reader, std::uint64_t row);

/// The row that holds a position. REQUIRES: position < reader.size(). Throws Error(kCorrupt).
std::uint64_t RowOfPosition(const Reader& reader, std::uint64_t position);

}  // namespace stream_store::internal

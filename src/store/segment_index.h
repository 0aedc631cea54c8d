// SegmentIndex: where segments begin, known once for all samplers of a store.
//
// Kept per source of Readers, cutting fields and lanes, for as long as a sampler uses it. Each new
// row is looked at once; only rows that cannot grow any more are. What is known takes 8 bytes a
// segment here and 8 in each StartCounts, of which samplers of equal length share one.
// Rows of a lane are counted in the lane: row q of lane l is row q * lanes + l of the store.
// Thread rules: hold mutex() for everything but the constructor and Of().
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "stream_store/reader.h"

#include "base/fork_mutex.h"
#include "store/segment_cuts.h"

namespace stream_store::internal {

/// A list of words that grows by an eighth. Large ones grow where they lie, by moving pages, so that
/// memory they have not filled is never touched.
class WordList {
 public:
  void Add(std::uint64_t word) {
    if (size_ == capacity_) {
      Grow();
    }
    words_.get()[size_++] = word;
  }

  std::size_t size() const noexcept { return size_; }

  std::uint64_t operator[](std::size_t i) const noexcept { return words_.get()[i]; }

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

/// What a window costs of a segment: decides how many windows start in one.
struct StartRule {
  enum class Count : std::uint8_t { kRows, kValues, kRowsByValues };

  Count count = Count::kRows;  ///< starts at rows, length in rows; at values; at rows, in values
  std::uint64_t length = 1;

  friend bool operator==(const StartRule&, const StartRule&) = default;
};

/// Valid starts before each segment that has ended, lane by lane.
class StartCounts {
 public:
  explicit StartCounts(const StartRule& rule, std::uint64_t lanes) : rule_(rule), lanes_(lanes) {}

  const StartRule& rule() const noexcept { return rule_; }

  /// One sum per known segment of the lane: the starts in those before it.
  const WordList& of(std::uint64_t lane) const noexcept { return lanes_[lane]; }

 private:
  friend class SegmentIndex;
  StartRule rule_;
  std::vector<WordList> lanes_;
};

class SegmentIndex {
 public:
  /// The index of the source of a Reader (known by its address) for these fields. Throws
  /// Error(kInvalidArgument) as CheckCutFields().
  static std::shared_ptr<SegmentIndex> Of(const Reader& reader, const std::vector<TypeId>& types,
                                          std::uint64_t lanes);

  SegmentIndex(CutBy by, const std::vector<TypeId>& types, std::uint64_t lanes);

  ForkMutex& mutex() noexcept { return mutex_; }

  std::uint64_t rows() const noexcept { return reader_.next_row(); }  ///< looked at so far

  /// Looks at rows up to `final_rows`, none of which can grow any more.
  void Extend(const Reader& reader, std::uint64_t final_rows);

  /// Whether the row behind the last one looked at begins a segment, as it is now.
  bool NextBegins(const Reader& reader) const;

  /// First rows of the lane's segments, the last one open; the first is 0, also without rows.
  const WordList& begins(std::uint64_t lane) const noexcept { return lanes_[lane].begins; }

  std::uint64_t segments() const noexcept;

  /// The shared counts of a rule, and bringing them up to what is known.
  std::shared_ptr<StartCounts> CountsOf(const StartRule& rule);
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

/// Windows that start in rows [begin, end) of a segment that ends at `end`, by a rule. Rows are
/// those of the store; `end_position` is where its values end. Lanes: rows of the lane, kRows only.
std::uint64_t StartsIn(const Reader& reader, const StartRule& rule, std::uint64_t begin,
                       std::uint64_t end, std::uint64_t end_position);

/// Position of a row. REQUIRES: row < row_count.
std::uint64_t PositionOfRow(const Reader& reader, std::uint64_t row);

/// The row that holds a position. REQUIRES: position < value_count.
std::uint64_t RowOfPosition(const Reader& reader, std::uint64_t position);

}  // namespace stream_store::internal

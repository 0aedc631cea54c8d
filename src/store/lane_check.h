// LaneCheck: notices that regular lanes are the wrong ones.
//
// If n environments write in turn, row r belongs to environment r mod n. Windows with another number
// of lanes would join rows of several environments. The rows of one lane then alternate between
// their episode numbers: 4, 7, 4, 7. Segments of one environment do not alternate like that.
//
// Used by segment_index.cc and lane_index.cc. Thread rules: those of the index.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "stream_store/types.h"

namespace stream_store::internal {

/// Rows of one lane that alternate between two values of the field that cuts by its changes.
struct Alternation {
  std::uint64_t first_row = 0;  ///< of the four rows of the first such place
  std::uint64_t last_row = 0;   ///< of those of the last one
  Value one = 0;                ///< the values at the first place
  Value other = 0;
};

/// Throws Error(kInvalidArgument) if there is such a place in the rows [begin, end): they are the rows of
/// several environments. `field` is the name of the field.
void RefuseAlternation(const std::optional<Alternation>& found, std::uint64_t begin,
                       std::uint64_t end, std::uint64_t lanes, const std::string& field);

/// Sees where the segments of one lane begin.
class LaneCheck {
 public:
  /// A segment with `value` begins at row `at` of the lane, after one with `last`. Returns whether the
  /// four rows that end there alternate.
  bool Enter(std::uint64_t at, Value last, Value value) noexcept {
    const bool alternates = begins_ >= 2 && at - begin_ == 1 && begin_ - begin_before_ == 1 &&
                            value == before_ && last == before_that_;
    before_that_ = before_;
    before_ = last;
    begin_before_ = begin_;
    begin_ = at;
    ++begins_;
    return alternates;
  }

 private:
  std::uint64_t begins_ = 0;        // how many were seen
  std::uint64_t begin_ = 0;         // of the segment that ends
  std::uint64_t begin_before_ = 0;  // of the segment before it
  Value before_ = 0;                // its value
  Value before_that_ = 0;           // the value of the one before that
};

}  // namespace stream_store::internal

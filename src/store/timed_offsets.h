// TimedOffsets: offsets in nanoseconds from the time of an anchor, and the rows they lead to.
//
// Used by indexed_starts.h. Thread rules: an object does not change; the caller holds the mutex of the
// index.
#pragma once

#include <cstdint>
#include <vector>

#include "stream_store/sampler_options.h"

#include "store/lane_index.h"

namespace stream_store::internal {

/// Rows [begin, end) of a lane, which are of one segment.
struct LaneRows {
  std::uint64_t lane = 0;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

class TimedOffsets {
 public:
  /// REQUIRES: options.time_field; there are offsets.
  explicit TimedOffsets(const SamplerOptions& options);

  /// The row of a lane whose time is nearest to an offset from that of row `at`, and whether it is
  /// within the tolerance. Cost: a binary search.
  struct Found {
    std::uint64_t at = 0;
    bool within = false;
  };

  Found Find(const LaneIndex& index, const LaneRows& rows, std::uint64_t at,
             std::int64_t offset) const noexcept;

  /// Whether all offsets from row `at` lead to rows within the tolerance.
  bool AllWithin(const LaneIndex& index, const LaneRows& rows, std::uint64_t at) const noexcept;

  /// Whether AllWithin() is the same for row `at` whatever follows `rows`. Then it is for the rows before
  /// it as well.
  bool IsDecided(const LaneIndex& index, const LaneRows& rows, std::uint64_t at) const noexcept;

  /// Whether AllWithin() may have been true for row `at` because of rows before `rows`. If not, then it
  /// is not for the rows after it either.
  bool MayNeedEarlier(const LaneIndex& index, const LaneRows& rows,
                      std::uint64_t at) const noexcept;

 private:
  std::vector<std::int64_t> offsets_;  // of all fields; rising
  std::int64_t tolerance_;
};

}  // namespace stream_store::internal

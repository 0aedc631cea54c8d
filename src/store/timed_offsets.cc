#include "store/timed_offsets.h"

#include <algorithm>

#include "base/assert.h"

namespace stream_store::internal {

TimedOffsets::TimedOffsets(const SamplerOptions& options) : tolerance_(options.tolerance_ns) {
  STREAM_STORE_ASSERT(options.time_field && !options.offsets.empty());
  for (const FieldOffsets& field : options.offsets) {
    offsets_.insert(offsets_.end(), field.offsets.begin(), field.offsets.end());
  }
  std::ranges::sort(offsets_);
  offsets_.erase(std::unique(offsets_.begin(), offsets_.end()), offsets_.end());
}

// Times do not fall in a segment.
TimedOffsets::Found TimedOffsets::Find(const LaneIndex& index, const LaneRows& rows,
                                       std::uint64_t at, std::int64_t offset) const noexcept {
  STREAM_STORE_ASSERT(rows.begin <= at && at < rows.end);
  const auto time_of = [&](std::uint64_t row) { return index.TimeAt(rows.lane, row); };
  const auto first_from = [&](std::int64_t time) {
    std::uint64_t begin = rows.begin;
    for (std::uint64_t count = rows.end - rows.begin; count > 0;) {
      const std::uint64_t half = count / 2;
      const bool later = time_of(begin + half) < time;
      begin = later ? begin + half + 1 : begin;
      count = later ? count - half - 1 : half;
    }
    return begin;
  };
  const std::int64_t wanted = time_of(at) + offset;
  const auto distance_of = [&](std::uint64_t row) {
    const std::int64_t difference = time_of(row) - wanted;
    return difference < 0 ? -difference : difference;
  };
  std::uint64_t found = first_from(wanted);
  if (found == rows.end || (found > rows.begin && distance_of(found - 1) <= distance_of(found))) {
    found = first_from(time_of(found - 1));
  }
  return {.at = found, .within = distance_of(found) <= tolerance_};
}

bool TimedOffsets::AllWithin(const LaneIndex& index, const LaneRows& rows,
                             std::uint64_t at) const noexcept {
  return std::ranges::all_of(
      offsets_, [&](std::int64_t offset) { return Find(index, rows, at, offset).within; });
}

// The last row has reached the earliest time that the last offset accepts.
bool TimedOffsets::IsDecided(const LaneIndex& index, const LaneRows& rows,
                             std::uint64_t at) const noexcept {
  STREAM_STORE_ASSERT(rows.begin < rows.end);
  const std::int64_t from = index.TimeAt(rows.lane, at) + offsets_.back() - tolerance_;
  return index.TimeAt(rows.lane, rows.end - 1) >= from;
}

bool TimedOffsets::MayNeedEarlier(const LaneIndex& index, const LaneRows& rows,
                                  std::uint64_t at) const noexcept {
  STREAM_STORE_ASSERT(rows.begin < rows.end);
  const std::int64_t from = index.TimeAt(rows.lane, at) + offsets_.front() - tolerance_;
  return from < index.TimeAt(rows.lane, rows.begin);
}

}  // namespace stream_store::internal

// The times of rows, in nanoseconds, as a sampler with a time_field takes them.
//
// Used by row_scan.cc, lane_index.h and time_index.cc. Thread rules: pure functions.
#pragma once

#include <cstdint>
#include <optional>

#include "stream_store/dtype.h"
#include "stream_store/schema.h"
#include "stream_store/types.h"

namespace stream_store::internal {

/// Throws Error(kInvalidArgument) unless `type` is a field with one float, timestamp or duration.
void CheckTimeField(const Schema& schema, TypeId type);

/// The nanoseconds of a stored value: floats are seconds. Nothing for a NaN, and for times beyond
/// 2^62 nanoseconds (146 years), so that sums of times and offsets do not overflow. REQUIRES: a dtype
/// that CheckTimeField() accepts.
std::optional<std::int64_t> NanosecondsOf(DType dtype, Value value) noexcept;

/// The number that a reader gets for a stored float: a store keeps the full precision of what was
/// appended. REQUIRES: IsFloat(dtype).
double FloatAsRead(DType dtype, Value value) noexcept;

/// Why the time of a row cannot be used.
struct WrongTime {
  std::uint64_t row = 0;
  bool missing = false;      ///< it has none
  std::uint64_t before = 0;  ///< the row before it in its segment
  std::int64_t fell_by = 0;  ///< nanoseconds by which it is before that row; or 0
};

[[noreturn]] void ThrowWrongTime(const WrongTime& wrong);

}  // namespace stream_store::internal

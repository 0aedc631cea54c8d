// Decides where an exported batch ends, and how large its buffers are.
//
// Used by export.cc as the first of its two passes over the records of a batch. A batch ends after
// about ArrowExportOptions::batch_bytes, and before any 32-bit offset would overflow.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "stream_store/interop.h"

#include "arrow/export_plan.h"

namespace stream_store::arrow {

/// The size of a batch.
struct BatchExtent {
  Row end = 0;                       ///< one past its last row; the caller knows the first
  std::vector<std::uint64_t> units;  ///< by leaf: upper bound of the units in its rows (LeafPlan)
};

/// Called with each run and the number of its rows that fit; returns how many of them are taken. The
/// batch ends before the others, or before the whole row if a run that continues it is not taken.
using TakeRows = std::function<std::uint64_t(const interop::RecordRun& run, std::uint64_t rows)>;

/// The limits of a batch.
struct BatchLimits {
  std::uint64_t bytes = 0;   ///< size to aim at; exceeded only by a batch of a single row
  std::uint64_t offset = 0;  ///< largest value of a 32-bit offset
};

/// Measures the batch of rows [begin, extent.end) with extent.end <= end. It has at least one row.
///
/// take    may end the batch earlier, but must take its first row; may be empty.
/// Cost    one pass over the records of the batch; values are read only next to the limit.
/// Throws  Error(kInvalidArgument) naming field and row if one row alone exceeds limits.offset.
///
/// REQUIRES: begin < end
BatchExtent MeasureBatch(const Reader& reader, const ExportPlan& plan, Row begin, Row end,
                         const BatchLimits& limits, const TakeRows& take);

}  // namespace stream_store::arrow

// Decides where an exported batch ends, and how large its buffers are.
//
// Used by export.cc as the first of its two passes over the records of a batch. A batch ends after
// about ArrowExportOptions::batch_bytes, and before any 32-bit offset would overflow.
#pragma once

#include <cstdint>
#include <vector>

#include "arrow/export_plan.h"

namespace stream_store::arrow {

/// The size of a batch.
struct BatchExtent {
  Row end = 0;                       ///< one past its last row; the caller knows the first
  std::vector<std::uint64_t> units;  ///< by leaf: upper bound of the units in its rows (LeafPlan)
};

/// Measures the batch of rows [begin, extent.end) with extent.end <= end. It has at least one row.
///
/// batch_bytes   size to aim at; exceeded only by a batch of a single row.
/// offset_limit  largest value of a 32-bit offset.
/// Cost          one pass over the records of the batch; values are read only next to the limit.
/// Throws        Error(kInvalidArgument) naming field and row if one row alone exceeds
///               `offset_limit`.
///
/// REQUIRES: begin < end
BatchExtent MeasureBatch(const Reader& reader, const ExportPlan& plan, Row begin, Row end,
                         std::uint64_t batch_bytes, std::uint64_t offset_limit);

}  // namespace stream_store::arrow

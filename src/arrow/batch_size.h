// Where a batch ends: about so many bytes, and before any 32-bit offset would overflow.
#pragma once

#include <cstdint>
#include <vector>

#include "arrow/export_plan.h"

namespace stream_store::arrow {

/// How far a batch reaches.
struct BatchExtent {
  Row end = 0;                       ///< its first row is the caller's
  std::vector<std::uint64_t> units;  ///< per leaf: the most that its rows have
};

/// Measures the batch that begins at row `begin` < `end`. It has at least one row. Throws
/// Error(kInvalidArgument) naming field and row where one row alone overflows an offset.
BatchExtent MeasureBatch(const Reader& reader, const ExportPlan& plan, Row begin, Row end,
                         std::uint64_t batch_bytes, std::uint64_t offset_limit);

}  // namespace stream_store::arrow

// From positions and rows to records: hints first, then galloping, then plain binary search.
//
// Cost: O(log of one block of 256), flat in store size, while hints are there and right; a missing
// or wrong hint costs a binary search over all records and never a wrong answer.
#pragma once

#include <cstdint>

#include "storage/view.h"

namespace stream_store::internal {

/// The last record with start <= position (empty records share a start). REQUIRES: 0 <= position <
/// value_count.
std::uint64_t RecordOfPosition(const View& view, Position position);

/// The first record of a row. REQUIRES: 0 <= row < row_count.
std::uint64_t RecordOfRow(const View& view, Row row);

/// One past the last record of the row that starts at record `first`.
std::uint64_t EndOfRow(const View& view, std::uint64_t first);

/// First row whose step is >= step (or > step if `after`); row_count if none. O(log records).
Row RowAtStep(const View& view, Step step, bool after);

}  // namespace stream_store::internal

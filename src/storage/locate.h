// Finds records by position, row or step.
//
// Used by src/store for single look-ups; record_hints.h has the same look-ups for many positions at
// once. Thread rules: pure functions of a View.
//
// Cost: a look-up starts at the record that the hints suggest. As long as hints exist and are
// right, it costs O(log 256), independent of the size of the store. A missing or wrong hint costs a
// binary search over all records and never gives a wrong answer.
#pragma once

#include <cstdint>

#include "storage/view.h"

namespace stream_store::internal {

/// Returns the record that holds a position: the last one with start <= position, because records
/// without values share their start with the next one. Throws Error(kCorrupt) if the records are
/// not in order.
/// REQUIRES: first_position <= position && position < value_count, of the View.
std::uint64_t RecordOfPosition(const View& view, Position position);

/// Returns the first record of a row. Throws Error(kCorrupt) if the records are not in order.
/// REQUIRES: first_row <= row && row < row_count, of the View.
std::uint64_t RecordOfRow(const View& view, Row row);

/// Returns the first row whose step is >= `step`, or > `step` if `after`; row_count if there is
/// none. Cost: O(log records), a binary search, because there are no hints by step. Throws
/// Error(kCorrupt).
Row RowAtStep(const View& view, Step step, bool after);

}  // namespace stream_store::internal

// The small types that the whole library shares. docs/design.md defines the words.
//
// Positions, rows and steps are signed, so that they are NumPy's int64 without a conversion. Counts
// and sizes are unsigned.
#pragma once

#include <cstdint>

namespace stream_store {

/// One word of the flat buffer. The field that it belongs to says how it is decoded.
using Value = std::int64_t;

/// The index of a value in the flat buffer, in [0, size()).
using Position = std::int64_t;

/// The caller's own time index. It never decreases from one append to the next.
using Step = std::int64_t;

/// The number of a row, in [0, num_rows()). All field-writes with the same step are one row.
using Row = std::int64_t;

/// The number of a field, from 0, in the order in which the fields were declared.
using TypeId = std::uint16_t;

/// One field-write as Reader::IndexTable() lists it. It ends where the next one starts.
struct IndexEntry {
  Position start;
  std::int64_t type;  ///< a TypeId, widened so that the table is an (n, 3) array of int64
  Step step;
};

}  // namespace stream_store

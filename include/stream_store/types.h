// The small types every room shares, under the words of docs/design.md.
//
// Positions, rows and steps are signed so that they meet NumPy's int64 without a cast; counts are
// unsigned.
#pragma once

#include <cstdint>

namespace stream_store {

using Value = std::int64_t;     ///< one word of the flat buffer
using Position = std::int64_t;  ///< index of a value, in [0, size())
using Step = std::int64_t;      ///< the caller's time index, never decreasing
using Row = std::int64_t;       ///< number of a row, in [0, rows())
using TypeId = std::uint16_t;   ///< place of a field in the declared order

/// One field-write as index_table() lists it. Its length is the next start minus its own.
struct IndexEntry {
  Position start;
  std::int64_t type;
  Step step;
};

}  // namespace stream_store

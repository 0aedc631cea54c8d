// BeginAtRow(): where the retained part of a store begins if the rows before some row are dropped.
//
// Used by Durability::Drop(), which follows "Drop" in docs/format.md. Thread rules: any thread;
// readers and appends may go on.
#pragma once

#include <cstdint>

#include "format/control.h"

namespace stream_store::internal {

struct Maps;

/// Returns the begin of a store that retains the rows from `row` on.
///
/// maps           mappings of the store, with records [maps.begin.records, end).
/// chunk_records  the number of records in a chunk.
/// Cost           a binary search, and one look at each record that would be dropped.
/// REQUIRES: maps.begin.rows <= row, and one of the records is of that row.
Begin BeginAtRow(const Maps& maps, std::uint64_t end, std::uint64_t row,
                 std::uint64_t chunk_records);

}  // namespace stream_store::internal

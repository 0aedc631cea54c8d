// Cursor: where the next record of a store goes, and the facts that decide whether it may follow.
//
// The letters are those of docs/format.md. Used by the Appender, which advances one with each
// record that it stores, and by recovery, verify and copies, which advance one over the records
// that they find.
#pragma once

#include <cstdint>

#include "stream_store/types.h"

namespace stream_store::internal {

struct Cursor {
  std::uint64_t records = 0;       ///< N: number of the next record
  std::uint64_t values = 0;        ///< D: position of the next value
  std::uint64_t layout_words = 1;  ///< L: offset of the next layout
  std::uint64_t rows = 0;          ///< R: number of the next row
  std::uint64_t field_writes = 0;  ///< F: number of field-writes so far
  Step step = 0;                   ///< of the last row; meaningless unless follows_record
  std::int32_t last_type = -1;     ///< last type id of the last row, -1 if it has no field yet
  bool follows_record = false;     ///< a record before it is known; else any step may come next
};

}  // namespace stream_store::internal

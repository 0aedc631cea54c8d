// Decides which rows next to a gap of damaged records are incomplete.
//
// A row may have several records, so a damaged record between two valid ones belongs to the row
// before it, to the row after it, or to a row of its own. The rules:
//   1. Each row has a record. If as many records are damaged as rows are missing, then each damaged
//      record is a whole row, and both neighbours are complete.
//   2. Otherwise the first damaged record says whether the row before is incomplete, and the last
//      one whether the row after is. A damaged record is believed if two of three agree: its row,
//      its step, and its place in the values.
//   3. If that is not so, the row is taken to be incomplete.
// Rule 2 may be wrong only if several words of one record were changed so that they agree again.
//
// Used by salvage.cc. Thread rules: pure functions; the verifier belongs to one thread.
#pragma once

#include <cstdint>
#include <optional>

#include "storage/cursor.h"
#include "storage/record_verifier.h"

namespace stream_store::internal {

/// The first valid record after a gap.
struct AfterGap {
  std::uint64_t row = 0;
  Step step = 0;
  std::uint64_t start = 0;
};

/// A gap: the damaged records [before.records, end) of a store.
struct DamagedRun {
  Cursor before;                ///< the place after the last valid record
  std::uint64_t end = 0;        ///< > before.records
  std::uint64_t row_limit = 0;  ///< no damaged record is of this row or a later one, except `after`
  std::optional<AfterGap> after;  ///< nothing if the store ends with the gap
};

/// Which neighbours of a gap are incomplete.
struct Incomplete {
  bool before = false;
  bool after = false;
};

/// Decides by the rules above. Records that cannot be read are not believed.
/// REQUIRES: run.end > run.before.records.
Incomplete FindIncomplete(RecordVerifier& verifier, const DamagedRun& run);

}  // namespace stream_store::internal

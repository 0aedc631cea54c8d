#include "store/salvage_gap.h"

#include <limits>

#include "stream_store/error.h"

#include "base/assert.h"
#include "format/record.h"

namespace stream_store::internal {
namespace {

// What one word of a damaged record, or all of it, says about its row.
enum class Says { kBefore, kBetween, kAfter, kNothing };

// The rows between the neighbours, which are lost completely.
std::uint64_t RowsBetween(const DamagedRun& run) {
  const std::uint64_t limit = run.after ? run.after->row : run.row_limit;
  return limit > run.before.rows ? limit - run.before.rows : 0;
}

Says RowSays(const DamagedRun& run, std::uint64_t row) {
  if (run.before.follows_record && row == run.before.rows - 1) {
    return Says::kBefore;
  }
  if (run.after && row == run.after->row) {
    return Says::kAfter;
  }
  const bool between = row >= run.before.rows && row - run.before.rows < RowsBetween(run);
  return between ? Says::kBetween : Says::kNothing;
}

Says StepSays(const DamagedRun& run, Step step) {
  if (run.before.follows_record && step == run.before.step) {
    return Says::kBefore;
  }
  if (run.after && step == run.after->step) {
    return Says::kAfter;
  }
  const bool above = !run.before.follows_record || step > run.before.step;
  const bool below = !run.after || step < run.after->step;
  return above && below && RowsBetween(run) > 0 ? Says::kBetween : Says::kNothing;
}

// Whether a record lies where the values of the gap begin or end.
bool InPlace(RecordVerifier& verifier, const DamagedRun& run, std::uint64_t i,
             const Record& record) {
  if (i == run.before.records && record.start == run.before.values) {
    return true;
  }
  if (i + 1 != run.end || !run.after) {
    return false;
  }
  const LayoutFacts& layout = verifier.Layout(record.layout);
  return layout.fault == nullptr && record.start <= run.after->start &&
         run.after->start - record.start == layout.total;
}

// A page of zeros is common damage, and its row, step and start may agree with those of the first
// row. No record that was written is all zeros, because sessions are numbered from 1.
bool AllZeros(const Record& record) {
  return record.start == 0 && record.step == 0 && record.row_session == 0 && record.layout == 0;
}

Says RecordSays(RecordVerifier& verifier, const DamagedRun& run, std::uint64_t i) {
  if (i >= verifier.record_capacity()) {
    return Says::kNothing;
  }
  try {
    const Record record = verifier.record(i);
    if (AllZeros(record)) {
      return Says::kNothing;
    }
    const Says row = RowSays(run, RowOfRecord(record.row_session));
    const Says step = StepSays(run, record.step);
    if (row == step) {
      return row;
    }
    const bool contradiction = row != Says::kNothing && step != Says::kNothing;
    if (contradiction || !InPlace(verifier, run, i, record)) {
      return Says::kNothing;
    }
    return row == Says::kNothing ? step : row;
  } catch (const Error&) {
    return Says::kNothing;
  }
}

}  // namespace

Incomplete FindIncomplete(RecordVerifier& verifier, const DamagedRun& run) {
  STREAM_STORE_ASSERT(run.end > run.before.records);
  const bool any_before = run.before.follows_record;
  if (run.after && any_before && run.after->row == run.before.rows - 1) {
    return {.before = true, .after = true};  // one row, which the gap interrupts
  }
  const std::uint64_t damaged = run.end - run.before.records;
  if (damaged == RowsBetween(run)) {
    return {};
  }
  const Says first = RecordSays(verifier, run, run.before.records);
  const Says last = RecordSays(verifier, run, run.end - 1);
  return {.before = any_before && first != Says::kBetween && first != Says::kAfter,
          .after = run.after && last != Says::kBetween && last != Says::kBefore};
}

}  // namespace stream_store::internal

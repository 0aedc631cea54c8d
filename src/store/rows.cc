// Decoded row windows, and how long their field-writes are.
#include <algorithm>

#include "stream_store/error.h"

#include "base/str_cat.h"
#include "store/read_functions.h"
#include "store/record_cursor.h"
#include "store/row_columns.h"
#include "store/row_plans.h"
#include "store/row_reader.h"
#include "store/row_windows.h"

namespace stream_store::internal {
namespace {

void RequireRagged(const View& view, TypeId type) {
  const StoreSchema& schema = *view.store_schema;
  if (type >= schema.schema.size() || !schema.encodings[type].ragged) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat("longest in rows: expected a ragged field but type id ", type,
                       type >= schema.schema.size() ? " does not exist" : " has a fixed length"));
  }
}

// The longest field-write of one field among records, in items.
class LongestWrite {
 public:
  LongestWrite(const View& view, TypeId type)
      : view_(view),
        plans_(RowPlans::ForThread(view, std::span(&type, 1))),
        encoding_(view.store_schema->encodings[type]) {}

  // Visits the records from `record` on that belong to rows before end_row.
  void Visit(std::uint64_t record, std::uint64_t end_row) {
    for (; record < view_.record_count; ++record) {
      const Record& words = view_.records[record];
      if (RowOfRecord(LoadOnce(words.row_session)) >= end_row) {
        return;
      }
      const std::uint32_t layout = LoadOnce(words.layout);
      if (encoding_.block) {
        VisitBlock(record, layout);
      } else if (layout != known_) {
        VisitLayout(layout);
      }
    }
  }

  std::uint64_t units() const { return static_cast<std::uint64_t>(units_); }

 private:
  // A length is checked against the number of values, so that callers may allocate that much.
  void VisitLayout(std::uint32_t layout) {
    const RowPlan plan = plans_.Find(view_, layout);
    if (plan.total > view_.value_count) {
      ThrowCorruptLayout(view_, layout,
                         StrCat("expected at most ", view_.value_count,
                                " values, all that the store has, but found ", plan.total));
    }
    units_ = std::max(units_, plan.parts[0].units);
    known_ = layout;
  }

  // The length of a block field is not in the layout but in the first word of each field-write.
  void VisitBlock(std::uint64_t record, std::uint32_t layout) {
    const RowPlan plan = plans_.Find(view_, layout);
    const std::uint64_t start = LoadOnce(view_.records[record].start);
    if (start < view_.first_position || plan.total > view_.value_count ||
        start > view_.value_count - plan.total) {
      ThrowEndsOutside(view_, record, start, plan.total);
    }
    const RowPart& part = plan.parts[0];
    units_ =
        std::max(units_, LengthOfBlock(encoding_, view_.values + start + part.begin, part.units));
  }

  const View& view_;
  RowPlans& plans_;
  const Encoding& encoding_;
  std::uint32_t known_ = 0;  // the last layout visited; 0, the empty layout, needs no visit
  std::int64_t units_ = 0;
};

}  // namespace

void ReadRows(const View& view, std::span<const Row> rows, std::uint64_t length,
              std::span<const RowsColumn> columns, Step* steps) {
  CheckRowWindows(view, rows, length);
  const std::vector<ColumnSink> sinks = MakeRowColumns(view, columns);
  RowReader reader(view, sinks, RowPlans::ForThread(view, TypesOf(columns)), steps);
  if (rows.empty() || length == 0) {
    return;
  }
  reader.MarkPresent(0, rows.size() * length);
  ForEachRowWindow(view, rows, length, [&](std::uint64_t i, std::uint64_t record) {
    reader.ReadWindow(record, static_cast<std::uint64_t>(rows[i]), length, i * length);
  });
}

void ReadRows(const View& view, std::span<const RowRun> runs, std::span<const RowsColumn> columns,
              Step* steps) {
  CheckRowRuns(view, runs);
  const std::vector<ColumnSink> sinks = MakeRowColumns(view, columns);
  RowReader reader(view, sinks, RowPlans::ForThread(view, TypesOf(columns)), steps);
  ForEachRowRun(view, runs, [&](const RowRun& run, std::uint64_t record) {
    reader.MarkPresent(run.place, run.count);
    reader.ReadWindow(record, static_cast<std::uint64_t>(run.row), run.count, run.place);
  });
}

void ZeroRows(const View& view, std::uint64_t place, std::uint64_t count,
              std::span<const RowsColumn> columns, Step* steps) {
  for (const ColumnSink& column : MakeRowColumns(view, columns)) {
    ZeroRun(column, count, place);
  }
  if (steps != nullptr) {
    std::fill_n(steps + place, count, 0);
  }
}

std::uint64_t LongestInRows(const View& view, std::span<const Row> rows, std::uint64_t length,
                            TypeId type) {
  RequireRagged(view, type);
  CheckRowWindows(view, rows, length);
  if (rows.empty() || length == 0) {
    return 0;
  }
  LongestWrite longest(view, type);
  ForEachRowWindow(view, rows, length, [&](std::uint64_t i, std::uint64_t record) {
    longest.Visit(record, static_cast<std::uint64_t>(rows[i]) + length);
  });
  return longest.units();
}

std::uint64_t LongestInRows(const View& view, std::span<const RowRun> runs, TypeId type) {
  RequireRagged(view, type);
  CheckRowRuns(view, runs);
  LongestWrite longest(view, type);
  ForEachRowRun(view, runs, [&](const RowRun& run, std::uint64_t record) {
    longest.Visit(record, static_cast<std::uint64_t>(run.row) + run.count);
  });
  return longest.units();
}

}  // namespace stream_store::internal

// Decoded row windows: records are read as runs of equal layout whose rows count on by one, and
// each run is decoded column by column. Rows continued over several records are put together one by
// one.
#include <algorithm>

#include "stream_store/error.h"

#include "base/str_cat.h"
#include "store/reads.h"
#include "store/row_columns.h"
#include "store/row_plans.h"
#include "store/row_windows.h"

namespace stream_store::internal {
namespace {

struct Head {
  std::uint64_t start;
  Step step;
  std::uint64_t row;
  std::uint32_t layout;
};

Head LoadHead(const View& view, std::uint64_t record) {
  const Record& words = view.records[record];
  return {LoadOnce(words.start), LoadOnce(words.step), RowOfRecord(LoadOnce(words.row_session)),
          LoadOnce(words.layout)};
}

// Where reading stands: the next record, the position it must start at, the row it must belong to.
struct Cursor {
  std::uint64_t record = 0;
  std::uint64_t position = 0;
  std::uint64_t row = 0;
};

std::vector<TypeId> TypesOf(std::span<const RowsColumn> columns) {
  std::vector<TypeId> types;
  types.reserve(columns.size());
  for (const RowsColumn& column : columns) {
    types.push_back(column.type);
  }
  return types;
}

class RowReader {
 public:
  RowReader(const View& view, std::span<const RowsColumn> columns, Step* steps)
      : view_(view),
        columns_(MakeRowColumns(view, columns)),
        plans_(RowPlans::ForThread(view, TypesOf(columns))),
        steps_(steps),
        written_(columns.size(), 0) {}

  /// Before places are read: a present flag is only touched again where a field is missing.
  void MarkPresent(std::uint64_t place, std::uint64_t count) const {
    for (const RowColumn& column : columns_) {
      internal::MarkPresent(column, count, place);
    }
  }

  // Fills places [place, place + length) with the rows from `row` on.
  void ReadWindow(std::uint64_t record, std::uint64_t row, std::uint64_t length,
                  std::uint64_t place) {
    Cursor cursor{record, LoadOnce(view_.records[record].start), row};
    const std::uint64_t end = place + length;
    while (place < end) {
      bool continued = false;
      place = ReadRun(cursor, place, end, continued);
      if (continued) {
        place = ReadContinuedRow(cursor, place);
      }
    }
  }

 private:
  // The head of the record at the cursor, checked, and its plan.
  const RowPlan& Enter(const Cursor& cursor, Head& head) {
    if (cursor.record >= view_.record_count) {
      ThrowCorruptRecord(view_, cursor.record,
                         StrCat("expected row ", cursor.row, " but there is no such record"));
    }
    head = LoadHead(view_, cursor.record);
    const RowPlan& plan = plans_.Of(view_, head.layout);
    if (head.start != cursor.position || head.row != cursor.row) {
      ThrowCorruptRecord(view_, cursor.record,
                         StrCat("expected row ", cursor.row, " at position ", cursor.position,
                                " but found row ", head.row, " at ", head.start));
    }
    if (plan.total > view_.value_count || head.start > view_.value_count - plan.total) {
      ThrowCorruptRecord(view_, cursor.record,
                         StrCat("expected to end at or before position ", view_.value_count,
                                " but it has ", plan.total, " values from ", head.start, " on"));
    }
    return plan;
  }

  // Reads rows of one record each and one layout; stops at the end, before another layout's row is
  // needed, or before a continued row, and says if that was why. Returns the next place.
  std::uint64_t ReadRun(Cursor& cursor, std::uint64_t place, std::uint64_t end, bool& continued) {
    Head head{};
    const RowPlan& plan = Enter(cursor, head);
    const std::uint64_t total = plan.total;
    const std::uint64_t left = view_.record_count - cursor.record;
    const std::uint64_t most = std::min(end - place, left);
    const Record* records = view_.records + cursor.record;
    std::uint64_t rows = 1;
    std::uint64_t start = head.start + total;
    Step* steps = steps_ == nullptr ? nullptr : steps_ + place;
    if (steps != nullptr) {
      steps[0] = head.step;
    }
    while (rows < most && LoadOnce(records[rows].layout) == plan.layout &&
           LoadOnce(records[rows].start) == start &&
           RowOfRecord(LoadOnce(records[rows].row_session)) == cursor.row + rows) {
      if (steps != nullptr) {
        steps[rows] = LoadOnce(records[rows].step);
      }
      start += total;
      ++rows;
    }
    // Each record but the last is followed by one of the next row: only the last row may go on.
    continued = rows < left &&
                RowOfRecord(LoadOnce(records[rows].row_session)) == cursor.row + rows - 1;
    rows -= continued ? 1 : 0;
    if (rows * total > view_.value_count - head.start) {
      ThrowPastEnd(cursor.record + rows - 1);
    }
    Decode(plan, head.start, rows, place);
    cursor = {cursor.record + rows, head.start + rows * total, cursor.row + rows};
    return place + rows;
  }

  void Decode(const RowPlan& plan, std::uint64_t start, std::uint64_t rows, std::uint64_t place) {
    if (rows == 0) {
      return;
    }
    for (const RowPlan::Part& part : plan.parts) {
      DecodeRun(columns_[part.column], view_.values + start + part.begin, plan.total, part.units,
                rows, place);
    }
    for (const std::uint32_t column : plan.missing) {
      ZeroRun(columns_[column], rows, place);
    }
  }

  // Reads the row at the cursor, which several records make up.
  std::uint64_t ReadContinuedRow(Cursor& cursor, std::uint64_t place) {
    const std::uint64_t most = view_.meaning->schema.size() + 1;
    ++stamp_;
    for (std::uint64_t i = 0; Continues(cursor, i); ++i) {
      if (i == most) {
        ThrowCorruptRecord(view_, cursor.record,
                           StrCat("expected at most ", most, " records in its row"));
      }
      Head head{};
      const RowPlan& plan = Enter(cursor, head);
      if (i == 0 && steps_ != nullptr) {
        steps_[place] = head.step;
      }
      for (const RowPlan::Part& part : plan.parts) {
        DecodeRun(columns_[part.column], view_.values + head.start + part.begin, plan.total,
                  part.units, 1, place);
        written_[part.column] = stamp_;
      }
      cursor.record += 1;
      cursor.position = head.start + plan.total;
    }
    for (std::size_t column = 0; column < columns_.size(); ++column) {
      if (written_[column] != stamp_) {
        ZeroRun(columns_[column], 1, place);
      }
    }
    cursor.row += 1;
    return place + 1;
  }

  [[noreturn]] void ThrowPastEnd(std::uint64_t record) const {
    ThrowCorruptRecord(
        view_, record,
        StrCat("expected to end at or before position ", view_.value_count, " but it does not"));
  }

  std::uint64_t RowAt(std::uint64_t record) const {
    return RowOfRecord(LoadOnce(view_.records[record].row_session));
  }

  // Whether the cursor stands at a record of its row; the first always counts, so that Enter() can
  // object.
  bool Continues(const Cursor& cursor, std::uint64_t records_read) const {
    return records_read == 0 ||
           (cursor.record < view_.record_count && RowAt(cursor.record) == cursor.row);
  }

  const View& view_;
  std::vector<RowColumn> columns_;
  RowPlans& plans_;
  Step* steps_;
  std::vector<std::uint64_t> written_;  // per column: the last continued row that had it
  std::uint64_t stamp_ = 0;
};

[[noreturn]] void ThrowOutside(const View& view, Row row, std::uint64_t length) {
  if (length == 1) {
    throw Error(ErrorCode::kOutOfRange,
                StrCat("row ", row, " is outside [0, ", view.row_count, ")"));
  }
  throw Error(ErrorCode::kOutOfRange, StrCat("row window [", row, ", ", row, " + ", length,
                                             ") is outside [0, ", view.row_count, ")"));
}

void CheckInside(const View& view, Row row, std::uint64_t length) {
  if (length > view.row_count || static_cast<std::uint64_t>(row) > view.row_count - length) {
    ThrowOutside(view, row, length);
  }
}

void CheckRuns(const View& view, std::span<const RowRun> runs) {
  for (const RowRun& run : runs) {
    CheckInside(view, run.row, run.count);
  }
}

void RequireRagged(const View& view, TypeId type) {
  const Meaning& meaning = *view.meaning;
  if (type >= meaning.schema.size() || !meaning.encodings[type].ragged) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat("longest in rows: expected a ragged field but type id ", type,
                       type >= meaning.schema.size() ? " does not exist" : " is fixed"));
  }
}

// The longest write of one field among records, in words.
class LongestWrite {
 public:
  LongestWrite(const View& view, TypeId type)
      : view_(view), plans_(RowPlans::ForThread(view, std::span(&type, 1))) {}

  void Look(std::uint64_t record, std::uint64_t end_row) {
    for (; record < view_.record_count; ++record) {
      const Record& words = view_.records[record];
      if (RowOfRecord(LoadOnce(words.row_session)) >= end_row) {
        return;
      }
      const std::uint32_t layout = LoadOnce(words.layout);
      if (layout != known_) {
        LookAtLayout(layout);
      }
    }
  }

  std::uint64_t units() const { return units_; }

 private:
  // No more than the store has, so that callers may trust it.
  void LookAtLayout(std::uint32_t layout) {
    const RowPlan& plan = plans_.Of(view_, layout);
    if (plan.total > view_.value_count) {
      ThrowCorruptLayout(view_, layout, "a length passes the store's");
    }
    if (!plan.parts.empty()) {
      units_ = std::max(units_, plan.parts.front().units);
    }
    known_ = layout;
  }

  const View& view_;
  RowPlans& plans_;
  std::uint32_t known_ = 0;  // a layout looked at already
  std::uint64_t units_ = 0;
};

}  // namespace

void CheckRowWindows(const View& view, std::span<const Row> rows, std::uint64_t length) {
  for (const Row row : rows) {
    CheckInside(view, row, length);
  }
}

void ReadRows(const View& view, std::span<const Row> rows, std::uint64_t length,
              std::span<const RowsColumn> columns, Step* steps) {
  CheckRowWindows(view, rows, length);
  RowReader reader(view, columns, steps);
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
  CheckRuns(view, runs);
  RowReader reader(view, columns, steps);
  ForEachRowRun(view, runs, [&](const RowRun& run, std::uint64_t record) {
    reader.MarkPresent(run.place, run.count);
    reader.ReadWindow(record, static_cast<std::uint64_t>(run.row), run.count, run.place);
  });
}

void ZeroRows(const View& view, std::uint64_t place, std::uint64_t count,
              std::span<const RowsColumn> columns, Step* steps) {
  for (const RowColumn& column : MakeRowColumns(view, columns)) {
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
    longest.Look(record, static_cast<std::uint64_t>(rows[i]) + length);
  });
  return longest.units();
}

std::uint64_t LongestInRows(const View& view, std::span<const RowRun> runs, TypeId type) {
  RequireRagged(view, type);
  CheckRuns(view, runs);
  LongestWrite longest(view, type);
  ForEachRowRun(view, runs, [&](const RowRun& run, std::uint64_t record) {
    longest.Look(record, static_cast<std::uint64_t>(run.row) + run.count);
  });
  return longest.units();
}

}  // namespace stream_store::internal

// Decoded row windows. Rows of one record each and one layout are decoded column by column where
// they lie, at equal distances. Of others it is first noted where every field of each row lies,
// which also puts rows of several records together.
#include <algorithm>

#include "stream_store/error.h"

#include "base/str_cat.h"
#include "store/read_functions.h"
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

// `there` where units >= 0, else `missing`: without the branch that a compiler makes of it, since
// nobody could predict it.
const Value* Choose(std::int64_t units, const Value* there, const Value* missing) {
  const auto mask = static_cast<std::uintptr_t>(units >> 63);
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  return reinterpret_cast<const Value*>((reinterpret_cast<std::uintptr_t>(there) & ~mask) |
                                        (reinterpret_cast<std::uintptr_t>(missing) & mask));
}

class RowReader {
 public:
  RowReader(const View& view, std::span<const RowsColumn> columns, Step* steps)
      : view_(view),
        columns_(MakeRowColumns(view, columns)),
        plans_(RowPlans::ForThread(view, TypesOf(columns))),
        steps_(steps) {}

  // Before places are read: a present flag is only touched again where a field is missing.
  void MarkPresent(std::uint64_t place, std::uint64_t count) const {
    for (const ColumnSink& column : columns_) {
      internal::MarkPresent(column, count, place);
    }
  }

  // Fills places [place, place + length) with the rows from `row` on.
  void ReadWindow(std::uint64_t record, std::uint64_t row, std::uint64_t length,
                  std::uint64_t place) {
    Cursor cursor{record, LoadOnce(view_.records[record].start), row};
    while (length > 0) {
      const std::uint64_t rows = std::min(length, kMostRows);
      if (!ReadRun(cursor, rows, place)) {
        ReadMixed(cursor, rows, place);
      }
      place += rows;
      length -= rows;
    }
  }

 private:
  static constexpr std::uint64_t kMostRows = 32;  // read together

  // The head of the record at the cursor, checked, and its plan.
  RowPlan Enter(const Cursor& cursor, Head& head) {
    if (cursor.record >= view_.record_count) {
      ThrowCorruptRecord(view_, cursor.record,
                         StrCat("expected row ", cursor.row, " but there is no such record"));
    }
    head = LoadHead(view_, cursor.record);
    const RowPlan plan = plans_.Of(view_, head.layout);
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

  std::uint64_t RowAt(std::uint64_t record) const {
    return RowOfRecord(LoadOnce(view_.records[record].row_session));
  }

  // Whether the record at the cursor is one more of the row that was read last.
  bool Continues(const Cursor& cursor) const {
    return cursor.record < view_.record_count && RowAt(cursor.record) == cursor.row;
  }

  // Reads `rows` rows if they are of one record each and all of one layout; else nothing.
  bool ReadRun(Cursor& cursor, std::uint64_t rows, std::uint64_t place) {
    const std::uint64_t left = view_.record_count - std::min(cursor.record, view_.record_count);
    if (rows > left) {
      return false;
    }
    const Record* records = view_.records + cursor.record;
    const std::uint32_t layout = LoadOnce(records[0].layout);
    const RowPlan plan = plans_.Of(view_, layout);
    std::uint64_t start = cursor.position;
    for (std::uint64_t i = 0; i < rows; ++i) {
      if (LoadOnce(records[i].layout) != layout || LoadOnce(records[i].start) != start ||
          RowOfRecord(LoadOnce(records[i].row_session)) != cursor.row + i) {
        return false;
      }
      if (steps_ != nullptr) {
        steps_[place + i] = LoadOnce(records[i].step);
      }
      start += plan.total;
    }
    // Each record but the last is followed by one of the next row.
    const bool last_continues = rows < left && RowAt(cursor.record + rows) == cursor.row + rows - 1;
    if (last_continues || start > view_.value_count || start < cursor.position) {
      return false;
    }
    const Value* values = view_.values + cursor.position;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const RowPart& part = plan.parts[i];
      if (part.units >= 0) [[likely]] {
        DecodeRun(columns_[i], values + part.begin, plan.total,
                  static_cast<std::uint64_t>(part.units), rows, place);
      } else {
        ZeroRun(columns_[i], rows, place);
      }
    }
    cursor = {cursor.record + rows, start, cursor.row + rows};
    return true;
  }

  // Reads rows of any layouts and any number of records: first where every field of each lies,
  // column by column, then the columns.
  void ReadMixed(Cursor& cursor, std::uint64_t rows, std::uint64_t place) {
    sources_.resize(columns_.size() * kMostRows);
    for (std::uint64_t i = 0; i < rows; ++i) {
      FindRow(cursor, i, place);
    }
    for (std::size_t column = 0; column < columns_.size(); ++column) {
      DecodeScattered(columns_[column], &sources_[column * kMostRows], rows, place);
    }
  }

  void FindRow(Cursor& cursor, std::uint64_t i, std::uint64_t place) {
    Head head{};
    const RowPlan plan = Enter(cursor, head);
    if (steps_ != nullptr) {
      steps_[place + i] = head.step;
    }
    const Value* values = view_.values + head.start;
    FieldSource* source = sources_.data() + i;
    for (std::size_t column = 0; column < columns_.size(); ++column, source += kMostRows) {
      const RowPart part = plan.parts[column];
      source->words = Choose(part.units, values + part.begin, columns_[column].missing.words);
      source->units = part.units;
    }
    Leave(cursor, head.start + plan.total);
    for (std::uint64_t records = 1; Continues(cursor); ++records) {
      TakeContinuation(cursor, i, records);
    }
    cursor.row += 1;
  }

  void Leave(Cursor& cursor, std::uint64_t position) const {
    cursor.record += 1;
    cursor.position = position;
  }

  void TakeContinuation(Cursor& cursor, std::uint64_t i, std::uint64_t records) {
    // A row's records have rising types, and only the first may be empty.
    const std::uint64_t most = view_.store_schema->schema.size() + 1;
    if (records == most) {
      ThrowCorruptRecord(view_, cursor.record,
                         StrCat("expected at most ", most, " records in its row"));
    }
    Head head{};
    const RowPlan plan = Enter(cursor, head);
    const Value* values = view_.values + head.start;
    FieldSource* source = sources_.data() + i;
    for (std::size_t column = 0; column < columns_.size(); ++column, source += kMostRows) {
      const RowPart part = plan.parts[column];
      source->words = Choose(part.units, values + part.begin, source->words);
      source->units = part.units >= 0 ? part.units : source->units;
    }
    Leave(cursor, head.start + plan.total);
  }

  const View& view_;
  std::vector<ColumnSink> columns_;
  RowPlans& plans_;
  Step* steps_;
  std::vector<FieldSource> sources_;  // of mixed rows: kMostRows per column
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
  const StoreSchema& store_schema = *view.store_schema;
  if (type >= store_schema.schema.size() || !store_schema.encodings[type].ragged) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat("longest in rows: expected a ragged field but type id ", type,
                       type >= store_schema.schema.size() ? " does not exist" : " is fixed"));
  }
}

// The longest write of one field among records, in words.
class LongestWrite {
 public:
  LongestWrite(const View& view, TypeId type)
      : view_(view), plans_(RowPlans::ForThread(view, std::span(&type, 1))) {}

  void Visit(std::uint64_t record, std::uint64_t end_row) {
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

  std::uint64_t units() const { return static_cast<std::uint64_t>(units_); }

 private:
  // No more than the store has, so that callers may trust it.
  void LookAtLayout(std::uint32_t layout) {
    const RowPlan plan = plans_.Of(view_, layout);
    if (plan.total > view_.value_count) {
      ThrowCorruptLayout(view_, layout, "a length passes the store's");
    }
    units_ = std::max(units_, plan.parts[0].units);
    known_ = layout;
  }

  const View& view_;
  RowPlans& plans_;
  std::uint32_t known_ = 0;  // a layout looked at already
  std::int64_t units_ = 0;
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
  CheckRuns(view, runs);
  LongestWrite longest(view, type);
  ForEachRowRun(view, runs, [&](const RowRun& run, std::uint64_t record) {
    longest.Visit(record, static_cast<std::uint64_t>(run.row) + run.count);
  });
  return longest.units();
}

}  // namespace stream_store::internal

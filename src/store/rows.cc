// Decoded row windows. Rows that are one record each, all of one layout, are decoded column by
// column where they lie, at equal distances. For other rows, a first pass notes where each field of
// each row lies, which also joins rows of several records; a second pass decodes column by column.
#include <algorithm>

#include "stream_store/error.h"

#include "base/str_cat.h"
#include "store/read_functions.h"
#include "store/record_cursor.h"
#include "store/row_columns.h"
#include "store/row_plans.h"
#include "store/row_windows.h"

namespace stream_store::internal {
namespace {

std::vector<TypeId> TypesOf(std::span<const RowsColumn> columns) {
  std::vector<TypeId> types;
  types.reserve(columns.size());
  for (const RowsColumn& column : columns) {
    types.push_back(column.type);
  }
  return types;
}

// Returns `there` if units >= 0, else `missing`. It uses a mask, because compilers turn the
// conditional operator into a branch here, and whether an optional field is present cannot be
// predicted.
const Value* Choose(std::int64_t units, const Value* there, const Value* missing) {
  const auto mask = static_cast<std::uintptr_t>(units >> 63);  // all ones if units < 0
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

  // Marks all places as present before they are read, in one pass. Reading then only touches the
  // flags of missing fields.
  void MarkPresent(std::uint64_t place, std::uint64_t count) const {
    for (const ColumnSink& column : columns_) {
      internal::MarkPresent(column, count, place);
    }
  }

  // Fills places [place, place + length) with the rows from `row` on.
  void ReadWindow(std::uint64_t record, std::uint64_t row, std::uint64_t length,
                  std::uint64_t place) {
    RecordCursor cursor = RecordCursor::At(view_, record, row);
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
  // How many rows are read together: their sources fit into the first-level cache.
  static constexpr std::uint64_t kMostRows = 32;

  // Reads `rows` rows if each is one record and all have one layout; else returns false. Most
  // streams are like that, and then a column lies at equal distances and no row needs a decision.
  // Steps may have been written by then; ReadMixed() writes them again.
  bool ReadRun(RecordCursor& cursor, std::uint64_t rows, std::uint64_t place) {
    const std::uint64_t left = view_.record_count - std::min(cursor.record, view_.record_count);
    if (rows > left) {
      return false;
    }
    const Record* records = view_.records + cursor.record;
    const std::uint32_t layout = LoadOnce(records[0].layout);
    const RowPlan plan = plans_.Find(view_, layout);
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
    // Each record but the last was followed by one of the next row; the row of the last one may
    // have another record.
    const bool last_continues =
        rows < left && RowOfRecord(LoadOnce(records[rows].row_session)) == cursor.row + rows - 1;
    // `start` can be less than the old position only if a hostile total made it overflow.
    if (last_continues || cursor.position < view_.first_position || start > view_.value_count ||
        start < cursor.position) {
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
    cursor.record += rows;
    cursor.position = start;
    cursor.row += rows;
    return true;
  }

  // Reads rows of any layouts and any number of records: first notes where each field of each row
  // lies, then decodes column by column.
  void ReadMixed(RecordCursor& cursor, std::uint64_t rows, std::uint64_t place) {
    sources_.resize(std::max<std::size_t>(columns_.size(), 1) * kMostRows);  // never null
    for (std::uint64_t i = 0; i < rows; ++i) {
      FindRow(cursor, i, place);
    }
    for (std::size_t column = 0; column < columns_.size(); ++column) {
      DecodeScattered(columns_[column], &sources_[column * kMostRows], rows, place);
    }
  }

  // Moves the cursor past the record it is at. Returns where that record's columns lie, relative to
  // the values from the old position on, which are inside the store.
  RowPlan EnterAndLeave(RecordCursor& cursor, Step& step) {
    const RecordHead head = cursor.Enter();
    step = head.step;
    const RowPlan plan = plans_.Find(view_, head.layout);
    cursor.Leave(plan.total);
    return plan;
  }

  // Notes where the fields of the row at the cursor lie, as row i of sources_.
  void FindRow(RecordCursor& cursor, std::uint64_t i, std::uint64_t place) {
    const std::uint64_t start = cursor.position;
    Step step = 0;
    const RowPlan plan = EnterAndLeave(cursor, step);
    const Value* values = view_.values + start;
    if (steps_ != nullptr) {
      steps_[place + i] = step;
    }
    FieldSource* source = sources_.data() + i;
    for (std::size_t column = 0; column < columns_.size(); ++column, source += kMostRows) {
      const RowPart part = plan.parts[column];
      source->words = Choose(part.units, values + part.begin, columns_[column].missing.words);
      source->units = part.units;
    }
    for (std::uint64_t records = 1; cursor.AtSameRow(); ++records) {
      AddRecord(cursor, i, records);
    }
    cursor.row += 1;
  }

  // Adds the fields of a further record of the same row. It has other fields than those before.
  void AddRecord(RecordCursor& cursor, std::uint64_t i, std::uint64_t records) {
    if (const std::uint64_t most = MostRecordsOfRow(view_); records == most) {
      ThrowTooManyRecords(view_, cursor.record, most);
    }
    const std::uint64_t start = cursor.position;
    Step step = 0;
    const RowPlan plan = EnterAndLeave(cursor, step);
    const Value* values = view_.values + start;
    FieldSource* source = sources_.data() + i;
    for (std::size_t column = 0; column < columns_.size(); ++column, source += kMostRows) {
      const RowPart part = plan.parts[column];
      source->words = Choose(part.units, values + part.begin, source->words);
      source->units = part.units >= 0 ? part.units : source->units;
    }
  }

  const View& view_;
  std::vector<ColumnSink> columns_;
  RowPlans& plans_;
  Step* steps_;
  std::vector<FieldSource> sources_;  // of ReadMixed(): kMostRows per column
};

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
  CheckRowRuns(view, runs);
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
  CheckRowRuns(view, runs);
  LongestWrite longest(view, type);
  ForEachRowRun(view, runs, [&](const RowRun& run, std::uint64_t record) {
    longest.Visit(record, static_cast<std::uint64_t>(run.row) + run.count);
  });
  return longest.units();
}

}  // namespace stream_store::internal

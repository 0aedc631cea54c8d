// RowReader: decodes rows, one window after another.
//
// Rows that are one record each, all of one layout, are decoded column by column where they lie, at
// equal distances. For other rows, a first pass notes where each field of each row lies, which also
// joins rows of several records; a second pass decodes column by column.
//
// Used by rows.cc and rows_of_stores.cc. Thread rules: an object belongs to one call.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "stream_store/types.h"

#include "storage/view.h"
#include "store/record_cursor.h"
#include "store/row_columns.h"
#include "store/row_plans.h"

namespace stream_store::internal {

// Returns `there` if units >= 0, else `missing`. It uses a mask, because compilers turn the
// conditional operator into a branch here, and whether an optional field is present cannot be
// predicted.
inline const Value* Choose(std::int64_t units, const Value* there, const Value* missing) {
  const auto mask = static_cast<std::uintptr_t>(units >> 63);  // all ones if units < 0
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  return reinterpret_cast<const Value*>((reinterpret_cast<std::uintptr_t>(there) & ~mask) |
                                        (reinterpret_cast<std::uintptr_t>(missing) & mask));
}

class RowReader {
 public:
  /// columns  where the words of each column go.
  /// plans    those of the types of the columns.
  /// All must outlive the object.
  RowReader(const View& view, std::span<const ColumnSink> columns, RowPlans& plans, Step* steps)
      : view_(view), columns_(columns), plans_(plans), steps_(steps) {}

  /// Marks all places as present before they are read, in one pass. Reading then only touches the
  /// flags of missing fields.
  void MarkPresent(std::uint64_t place, std::uint64_t count) const {
    for (const ColumnSink& column : columns_) {
      internal::MarkPresent(column, count, place);
    }
  }

  /// Fills places [place, place + length) with the rows from `row` on, whose first record is `record`.
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
  const std::span<const ColumnSink> columns_;
  RowPlans& plans_;
  Step* steps_;
  std::vector<FieldSource> sources_;  // of ReadMixed(): kMostRows per column
};

}  // namespace stream_store::internal

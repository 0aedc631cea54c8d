// Decoded row windows: records are read as runs of equal layout whose rows count on by one, and
// each run is decoded column by column. Rows continued over several records are put together one by
// one.
#include <algorithm>

#include "stream_store/error.h"

#include "base/str_cat.h"
#include "store/reads.h"
#include "store/row_columns.h"
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

class RowReader {
 public:
  RowReader(const View& view, std::span<const RowsColumn> columns, Step* steps)
      : view_(view), planner_(view, columns), steps_(steps), written_(columns.size(), 0) {}

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
    const RowPlan& plan = planner_.PlanOf(head.layout);
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
    const std::uint64_t last_start = view_.value_count - total;
    const std::uint64_t most = std::min(end - place, view_.record_count - cursor.record);
    std::uint64_t rows = 0;
    std::uint64_t start = head.start;
    Step step = head.step;
    for (;;) {
      // The record after decides whether this row is whole.
      if (cursor.record + rows + 1 >= view_.record_count) {
        if (steps_ != nullptr) {
          steps_[place + rows] = step;
        }
        ++rows;
        break;
      }
      const Head next = LoadHead(view_, cursor.record + rows + 1);
      continued = next.row == cursor.row + rows;
      if (continued) {
        break;
      }
      if (steps_ != nullptr) {
        steps_[place + rows] = step;
      }
      ++rows;
      start += total;
      if (rows == most || next.layout != plan.layout || next.row != cursor.row + rows ||
          next.start != start || start > last_start) {
        break;
      }
      step = next.step;
    }
    Decode(plan, head.start, rows, place);
    cursor = {cursor.record + rows, head.start + rows * total, cursor.row + rows};
    return place + rows;
  }

  void Decode(const RowPlan& plan, std::uint64_t start, std::uint64_t rows, std::uint64_t place) {
    if (rows == 0) {
      return;
    }
    const std::vector<RowColumn>& columns = planner_.columns();
    for (const RowPlan::Part& part : plan.parts) {
      DecodeRun(columns[part.column], view_.values + start + part.begin, plan.total, part.words,
                rows, place);
    }
    for (const std::uint32_t column : plan.missing) {
      ZeroRun(columns[column], rows, place);
    }
  }

  // Reads the row at the cursor, which several records make up.
  std::uint64_t ReadContinuedRow(Cursor& cursor, std::uint64_t place) {
    const std::vector<RowColumn>& columns = planner_.columns();
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
        DecodeRun(columns[part.column], view_.values + head.start + part.begin, plan.total,
                  part.words, 1, place);
        written_[part.column] = stamp_;
      }
      cursor.record += 1;
      cursor.position = head.start + plan.total;
    }
    for (std::size_t column = 0; column < columns.size(); ++column) {
      if (written_[column] != stamp_) {
        ZeroRun(columns[column], 1, place);
      }
    }
    cursor.row += 1;
    return place + 1;
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
  RowPlanner planner_;
  Step* steps_;
  std::vector<std::uint64_t> written_;  // per column: the last continued row that had it
  std::uint64_t stamp_ = 0;
};

// Words that a record of this layout has of a field; no more than the store has, so that callers
// may trust them.
std::uint64_t WordsOfField(const View& view, std::uint32_t offset, TypeId type) {
  const LayoutRef layout = LayoutAt(view, offset);
  for (std::uint64_t i = 0; i < layout.fields; ++i) {
    const std::uint64_t word = LoadOnce(layout.words[i]);
    if (WordType(word) < type) {
      continue;
    }
    if (WordType(word) > type) {
      return 0;
    }
    if (WordLength(word) > view.value_count) {
      ThrowCorruptLayout(view, offset, "a length passes the store's");
    }
    return WordLength(word);
  }
  return 0;
}

}  // namespace

void CheckRowWindows(const View& view, std::span<const Row> rows, std::uint64_t length) {
  for (const Row row : rows) {
    const bool inside =
        length <= view.row_count && static_cast<std::uint64_t>(row) <= view.row_count - length;
    if (inside) {
      continue;
    }
    if (length == 1) {
      throw Error(ErrorCode::kOutOfRange,
                  StrCat("row ", row, " is outside [0, ", view.row_count, ")"));
    }
    throw Error(ErrorCode::kOutOfRange, StrCat("row window [", row, ", ", row, " + ", length,
                                               ") is outside [0, ", view.row_count, ")"));
  }
}

void ReadRows(const View& view, std::span<const Row> rows, std::uint64_t length,
              std::span<const RowsColumn> columns, Step* steps) {
  CheckRowWindows(view, rows, length);
  RowReader reader(view, columns, steps);
  if (rows.empty() || length == 0) {
    return;
  }
  ForEachRowWindow(view, rows, length, [&](std::uint64_t i, std::uint64_t record) {
    reader.ReadWindow(record, static_cast<std::uint64_t>(rows[i]), length, i * length);
  });
}

std::uint64_t LongestInRows(const View& view, std::span<const Row> rows, std::uint64_t length,
                            TypeId type) {
  const Meaning& meaning = *view.meaning;
  if (type >= meaning.schema.size() || !meaning.encodings[type].ragged) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat("longest in rows: expected a ragged field but type id ", type,
                       type >= meaning.schema.size() ? " does not exist" : " is fixed"));
  }
  CheckRowWindows(view, rows, length);
  if (rows.empty() || length == 0) {
    return 0;
  }
  std::uint64_t longest = 0;
  std::uint32_t known = 0;  // a layout looked at already
  ForEachRowWindow(view, rows, length, [&](std::uint64_t i, std::uint64_t record) {
    const std::uint64_t end = static_cast<std::uint64_t>(rows[i]) + length;
    for (; record < view.record_count; ++record) {
      const Record& words = view.records[record];
      if (RowOfRecord(LoadOnce(words.row_session)) >= end) {
        break;
      }
      const std::uint32_t layout = LoadOnce(words.layout);
      if (layout == known) {
        continue;
      }
      longest = std::max(longest, WordsOfField(view, layout, type));
      known = layout;
    }
  });
  const std::uint64_t unit_words = meaning.encodings[type].unit_words;
  return unit_words == 0 ? 0 : longest / unit_words;
}

}  // namespace stream_store::internal

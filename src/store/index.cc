// Look-ups between rows and positions, single rows without a copy, and the logical index.
#include <algorithm>
#include <optional>

#include "stream_store/error.h"

#include "base/assert.h"
#include "base/str_cat.h"
#include "format/layout.h"
#include "storage/locate.h"
#include "storage/read_ahead.h"
#include "store/read_functions.h"
#include "store/record_cursor.h"
#include "store/row_windows.h"
#include "store/template_cache.h"

namespace stream_store::internal {
namespace {

// The records of rows [begin, end) in order, checked. REQUIRES: view.first_row <= begin < end <=
// view.row_count.
class RecordWalk {
 public:
  RecordWalk(const View& view, Row begin, Row end)
      : cursor_(
            RecordCursor::At(view, RecordOfRow(view, begin), static_cast<std::uint64_t>(begin))),
        end_row_(static_cast<std::uint64_t>(end)) {
    STREAM_STORE_ASSERT(begin < end && static_cast<std::uint64_t>(end) <= view.row_count);
  }

  // Enters the next record. Returns false at the end of the rows.
  bool Next() {
    if (cursor_.AtEnd() || cursor_.RowHere() >= end_row_) {
      return false;
    }
    if (!cursor_.AtSameRow()) {
      cursor_.row += 1;
    }
    head_ = cursor_.Enter();
    return true;
  }

  // Leaves the record that was entered, whose layout has `total` values.
  void Leave(std::uint64_t total) { cursor_.Leave(total); }

  // Words of the record that was entered last.
  const RecordHead& head() const { return head_; }

  std::uint64_t record() const { return cursor_.record; }

 private:
  RecordCursor cursor_;
  std::uint64_t end_row_;
  RecordHead head_;
};

// The last type of a layout that is at most `most`; none if there is no such type. Goes backwards,
// because few types are greater: hidden markers.
std::optional<std::uint64_t> LastTypeUpTo(const LayoutRef& layout, TypeId most) {
  for (std::uint64_t i = layout.fields; i > 0; --i) {
    const std::uint64_t type = WordType(LoadOnce(layout.words[i - 1]));
    if (type <= most) {
      return type;
    }
  }
  return std::nullopt;
}

[[noreturn]] void ThrowIndexChanged(const View& view, std::size_t expected) {
  throw Error(ErrorCode::kCorrupt,
              StrCat(view.store_schema->path, "/records: reading the index: expected ", expected,
                     " field-writes, as counted before, but found another number"));
}

}  // namespace

void RowOf(const View& view, std::span<const Position> positions, std::span<Row> out) {
  CheckPositions(view, positions);
  WindowsOut columns;
  columns.row = out.data();
  Gather(view, positions, columns);
}

void PositionOf(const View& view, std::span<const Row> rows, std::span<Position> out) {
  CheckRowWindows(view, rows, 1);
  if (rows.empty()) {
    return;
  }
  ForEachRowWindow(view, rows, 1, [&](std::uint64_t i, std::uint64_t record) {
    const std::uint64_t start = LoadOnce(view.records[record].start);
    if (start < view.first_position || start > view.value_count) {
      ThrowStartsOutside(view, record, start);
    }
    out[i] = static_cast<Position>(start);
  });
}

std::uint64_t CountIndex(const View& view, Row begin, Row end) {
  CheckRowRange(view, begin, end);
  if (begin == end) {
    return 0;
  }
  ReadAhead::Sequential(view);
  RecordWalk walk(view, begin, end);
  std::uint64_t count = 0;
  // Neighbours often have one layout. 0 is the empty layout, which counts as {0, 0}.
  std::uint32_t known_offset = 0;
  LayoutRef known;
  while (walk.Next()) {
    if (walk.head().layout != known_offset) {
      known = LayoutAt(view, walk.head().layout);
      known_offset = walk.head().layout;
    }
    count += known.fields;
    walk.Leave(known.total);
  }
  return count;
}

void ReadIndex(const View& view, Row begin, Row end, std::span<IndexEntry> out) {
  CheckRowRange(view, begin, end);
  if (begin == end) {
    return;
  }
  ReadAhead::Sequential(view);
  RecordWalk walk(view, begin, end);
  std::size_t done = 0;
  while (walk.Next()) {
    const std::uint64_t total = ForEachField(
        view, walk.head().layout, [&](TypeId type, std::uint64_t offset, std::uint64_t) {
          if (done == out.size()) {
            ThrowIndexChanged(view, out.size());
          }
          out[done++] = {static_cast<Position>(walk.head().start + offset), type, walk.head().step};
        });
    walk.Leave(total);
  }
  if (done != out.size()) {
    ThrowIndexChanged(view, out.size());
  }
}

RowEntries ReadRow(const View& view, Row row) {
  CheckRowWindows(view, std::span<const Row>(&row, 1), 1);
  RecordWalk walk(view, row, row + 1);
  RowEntries found;
  const std::uint64_t most = MostRecordsOfRow(view);
  for (std::uint64_t records = 0; walk.Next(); ++records) {
    if (records == most) {
      ThrowTooManyRecords(view, walk.record(), most);
    }
    found.step = walk.head().step;
    const std::uint64_t start = walk.head().start;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> places;
    const std::uint64_t total = ForEachField(
        view, walk.head().layout, [&](TypeId type, std::uint64_t offset, std::uint64_t length) {
          places.emplace_back(offset, length);
          found.entries.emplace_back(type, std::span<const Value>());
        });
    walk.Leave(total);
    // Pointers are made only now, when the record is known to end inside the store.
    const std::size_t first = found.entries.size() - places.size();
    for (std::size_t i = 0; i < places.size(); ++i) {
      found.entries[first + i].second = {view.values + start + places[i].first, places[i].second};
    }
  }
  return found;
}

std::uint64_t FinalRows(const View& view) {
  if (view.row_count == view.first_row || view.rows_final) {
    return view.row_count;
  }
  const Schema& schema = view.store_schema->schema;
  const std::uint64_t row = view.row_count - 1;
  // The last row is complete once one of its records has the field that was the last one declared
  // when that record was written. Types rise within a row: before a record with only earlier fields,
  // none has that field. Then the search goes on before it was added, where another was the last.
  std::uint64_t record = view.record_count;
  while (record > view.begin_record) {
    const Record& words = view.records[record - 1];
    if (RowOfRecord(LoadOnce(words.row_session)) != row) {
      break;
    }
    const TypeId last_type = schema.LastDeclaredAt(record - 1);
    const auto found = LastTypeUpTo(LayoutAt(view, LoadOnce(words.layout)), last_type);
    if (found == last_type) {
      return view.row_count;
    }
    record = found ? std::min(record - 1, schema.since(last_type)) : record - 1;
  }
  return row;
}

}  // namespace stream_store::internal

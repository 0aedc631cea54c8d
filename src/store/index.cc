// Look-ups between rows and positions, single rows without a copy, and the logical index.
#include <algorithm>

#include "stream_store/error.h"

#include "base/str_cat.h"
#include "storage/locate.h"
#include "storage/read_ahead.h"
#include "storage/record_hints.h"
#include "store/read_functions.h"
#include "store/row_windows.h"
#include "store/template_cache.h"

namespace stream_store::internal {
namespace {

void CheckRowRange(const View& view, Row begin, Row end) {
  const auto rows = static_cast<Row>(view.row_count);
  if (begin >= 0 && begin <= end && end <= rows) {
    return;
  }
  throw Error(ErrorCode::kOutOfRange,
              StrCat("rows [", begin, ", ", end, ") are outside [0, ", rows, ")"));
}

// The records of a range of rows, in order, each with its start checked against the one before.
class RecordWalk {
 public:
  RecordWalk(const View& view, Row begin, Row end)
      : view_(view),
        record_(RecordOfRow(view, begin)),
        start_(LoadOnce(view.records[record_].start)),
        row_(static_cast<std::uint64_t>(begin)),
        end_row_(static_cast<std::uint64_t>(end)) {}

  // Moves to the next record; false at the end of the rows.
  bool Next() {
    if (record_ >= view_.record_count) {
      return false;
    }
    const Record& words = view_.records[record_];
    const std::uint64_t row = RowOfRecord(LoadOnce(words.row_session));
    if (row >= end_row_) {
      return false;
    }
    const std::uint64_t start = LoadOnce(words.start);
    if (start != start_ || row < row_) {
      ThrowCorruptRecord(view_, record_,
                         StrCat("expected row ", row_, " or later at position ", start_,
                                " but found row ", row, " at ", start));
    }
    row_ = row;
    step_ = LoadOnce(words.step);
    layout_ = LoadOnce(words.layout);
    return true;
  }

  // Ends the visit of a record whose layout has `total` values.
  void Leave(std::uint64_t total) {
    if (total > view_.value_count || start_ > view_.value_count - total) {
      ThrowCorruptRecord(view_, record_,
                         StrCat("expected to end at or before position ", view_.value_count));
    }
    start_ += total;
    ++record_;
  }

  std::uint64_t start() const { return start_; }

  Step step() const { return step_; }

  std::uint32_t layout() const { return layout_; }

 private:
  const View& view_;
  std::uint64_t record_;
  std::uint64_t start_;
  std::uint64_t row_;
  std::uint64_t end_row_;
  Step step_ = 0;
  std::uint32_t layout_ = 0;
};

[[noreturn]] void ThrowIndexChanged(const View& view, std::size_t expected) {
  throw Error(ErrorCode::kCorrupt,
              StrCat(view.store_schema->path, "/records: reading the index: expected ", expected,
                     " field-writes but found another number"));
}

}  // namespace

void RowOf(const View& view, std::span<const Position> positions, std::span<Row> out) {
  for (const Position position : positions) {
    if (static_cast<std::uint64_t>(position) >= view.value_count) {
      throw Error(ErrorCode::kOutOfRange,
                  StrCat("position ", position, " is outside [0, ", view.value_count, ")"));
    }
  }
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
    if (start > view.value_count) {
      ThrowCorruptRecord(view, record,
                         StrCat("expected to start at or before position ", view.value_count,
                                " but found ", start));
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
  std::uint32_t known_offset = 0;
  LayoutRef known;
  while (walk.Next()) {
    if (walk.layout() != known_offset) {
      known = LayoutAt(view, walk.layout());
      known_offset = walk.layout();
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
    const std::uint64_t total =
        ForEachField(view, walk.layout(), [&](TypeId type, std::uint64_t offset, std::uint64_t) {
          if (done == out.size()) {
            ThrowIndexChanged(view, out.size());
          }
          out[done++] = {static_cast<Position>(walk.start() + offset), type, walk.step()};
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
  const std::uint64_t most = view.store_schema->schema.size() + 1;
  for (std::uint64_t records = 0; walk.Next(); ++records) {
    if (records == most) {
      throw Error(ErrorCode::kCorrupt,
                  StrCat(view.store_schema->path, "/records: expected at most ", most,
                         " records in row ", row));
    }
    found.step = walk.step();
    const std::uint64_t start = walk.start();
    std::vector<std::pair<std::uint64_t, std::uint64_t>> places;
    const std::uint64_t total = ForEachField(
        view, walk.layout(), [&](TypeId type, std::uint64_t offset, std::uint64_t length) {
          places.emplace_back(offset, length);
          found.entries.emplace_back(type, std::span<const Value>());
        });
    walk.Leave(total);
    // Only now is it known that the record ends inside the store.
    const std::size_t first = found.entries.size() - places.size();
    for (std::size_t i = 0; i < places.size(); ++i) {
      found.entries[first + i].second = {view.values + start + places[i].first, places[i].second};
    }
  }
  return found;
}

std::uint64_t FinalRows(const View& view) {
  if (view.row_count == 0 || view.rows_final) {
    return view.row_count;
  }
  const std::uint64_t last_type = view.store_schema->schema.declared() - 1;
  const std::uint64_t row = view.row_count - 1;
  // From the last record on: types rise, so it is there or among hidden markers.
  for (std::uint64_t record = view.record_count; record > 0; --record) {
    const Record& words = view.records[record - 1];
    if (RowOfRecord(LoadOnce(words.row_session)) != row) {
      break;
    }
    const LayoutRef layout = LayoutAt(view, LoadOnce(words.layout));
    for (std::uint64_t i = layout.fields; i > 0; --i) {
      const std::uint64_t type = WordType(LoadOnce(layout.words[i - 1]));
      if (type == last_type) {
        return view.row_count;
      }
      if (type < last_type) {
        return row;
      }
    }
  }
  return row;
}

}  // namespace stream_store::internal

// Look-ups: a guess from the hints, a search near it, a binary search over everything as the last
// word.
#include "storage/locate.h"

#include "base/str_cat.h"
#include "storage/record_hints.h"

namespace stream_store::internal {
namespace {

// The first record in [begin, end) for which `after` holds, else `end`. `after` is false, then
// true, in any store that was written by this library; in others the answer is some record, and the
// callers test it.
template <class After>
std::uint64_t FirstAfter(std::uint64_t begin, std::uint64_t end, const After& after) {
  while (begin < end) {
    const std::uint64_t middle = begin + (end - begin) / 2;
    if (after(middle)) {
      end = middle;
    } else {
      begin = middle + 1;
    }
  }
  return begin;
}

// The same, galloping from `from`: cheap when the answer is near.
template <class After>
std::uint64_t GallopAfter(std::uint64_t begin, std::uint64_t end, std::uint64_t from,
                          const After& after) {
  std::uint64_t reach = 1;
  if (after(from)) {
    end = from;
    while (end - begin > reach) {
      if (!after(end - reach)) {
        return FirstAfter(end - reach + 1, end, after);
      }
      end -= reach;
      reach *= 2;
    }
    return FirstAfter(begin, end, after);
  }
  begin = from + 1;
  while (end - begin > reach) {
    if (after(begin + reach - 1)) {
      return FirstAfter(begin, begin + reach - 1, after);
    }
    begin += reach;
    reach *= 2;
  }
  return FirstAfter(begin, end, after);
}

void RequireRecords(const View& view) {
  if (view.record_count == 0) {
    ThrowCorruptRecord(view, 0, "expected records for the values but found none");
  }
}

}  // namespace

std::uint64_t SearchPosition(const View& view, std::uint64_t position) {
  const RecordHint guess = HintOfPosition(view, position);
  const auto after = [&view, position](std::uint64_t record) {
    return LoadOnce(view.records[record].start) > position;
  };
  const std::uint64_t count = view.record_count;
  const auto right = [&](std::uint64_t record) {
    return !after(record) && (record + 1 == count || after(record + 1));
  };
  const std::uint64_t near = GallopAfter(guess.lo, guess.hi + 1, guess.at, after);
  if (near > 0 && right(near - 1)) {
    return near - 1;
  }
  const std::uint64_t found = FirstAfter(0, count, after);
  if (found > 0 && right(found - 1)) {
    return found - 1;
  }
  ThrowCorruptRecord(view, found, StrCat("no record holds position ", position));
}

std::uint64_t SearchRow(const View& view, std::uint64_t row) {
  const RecordHint guess = HintOfRow(view, row);
  const auto row_at = [&view](std::uint64_t record) {
    return RowOfRecord(LoadOnce(view.records[record].row_session));
  };
  const auto reached = [&](std::uint64_t record) { return row_at(record) >= row; };
  const std::uint64_t count = view.record_count;
  const auto right = [&](std::uint64_t record) {
    return record < count && row_at(record) == row && (record == 0 || row_at(record - 1) < row);
  };
  const std::uint64_t near = GallopAfter(guess.lo, guess.hi + 1, guess.at, reached);
  if (right(near)) {
    return near;
  }
  const std::uint64_t found = FirstAfter(0, count, reached);
  if (right(found)) {
    return found;
  }
  ThrowCorruptRecord(view, found, StrCat("no record begins row ", row));
}

std::uint64_t RecordOfPosition(const View& view, Position position) {
  RequireRecords(view);
  const auto place = static_cast<std::uint64_t>(position);
  return RecordFromHint(view, place, PositionHints(view).HintedRecord(place));
}

std::uint64_t RecordOfRow(const View& view, Row row) {
  RequireRecords(view);
  const auto number = static_cast<std::uint64_t>(row);
  return RowRecordFromHint(view, number, RowHints(view).HintedRecord(number));
}

std::uint64_t EndOfRow(const View& view, std::uint64_t first) {
  const std::uint64_t row = RowOfRecord(LoadOnce(view.records[first].row_session));
  // A row's records have rising types, and only the first may be empty: more than this cannot have
  // been written.
  const std::uint64_t most = view.store_schema->schema.size() + 1;
  std::uint64_t end = first + 1;
  while (end < view.record_count && RowOfRecord(LoadOnce(view.records[end].row_session)) == row) {
    if (++end - first > most) {
      ThrowCorruptRecord(view, end, StrCat("expected at most ", most, " records in row ", row));
    }
  }
  return end;
}

Row RowAtStep(const View& view, Step step, bool after) {
  const auto reached = [&view, step, after](std::uint64_t record) {
    const Step found = LoadOnce(view.records[record].step);
    return after ? found > step : found >= step;
  };
  const std::uint64_t record = FirstAfter(0, view.record_count, reached);
  if (record == view.record_count) {
    return static_cast<Row>(view.row_count);
  }
  const std::uint64_t row = RowOfRecord(LoadOnce(view.records[record].row_session));
  if (row >= view.row_count) {
    ThrowCorruptRecord(view, record,
                       StrCat("expected a row below ", view.row_count, " but found ", row));
  }
  return static_cast<Row>(row);
}

}  // namespace stream_store::internal

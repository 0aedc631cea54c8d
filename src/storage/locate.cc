// Look-ups in up to three attempts: the record that the hints suggest, a search near it, and a
// binary search over all records. Each result is tested, because mapped words may be corrupt or
// hostile.
#include "storage/locate.h"

#include "base/str_cat.h"
#include "storage/record_hints.h"

namespace stream_store::internal {
namespace {

// Returns the first record in [begin, end) for which `after` is true, else `end`, by binary search.
// In a valid store `after` is false for some records and then true for the rest. In a corrupt one
// the result is an arbitrary record, so callers test it.
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

// As FirstAfter(), but gallops: probes at distances 1, 2, 4, … from `from`, then searches between
// the last two probes. Cheaper than a binary search if the result is near.
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

// A damaged store may count values without any record.
void RequireRecords(const View& view) {
  if (!HasRecords(view)) {
    ThrowCorruptRecord(view, view.begin_record, "expected records for the values but found none");
  }
}

}  // namespace

std::uint64_t SearchPosition(const View& view, std::uint64_t position) {
  STREAM_STORE_ASSERT(view.first_position <= position && position < view.value_count &&
                      view.begin_record < view.record_count);
  const std::uint64_t begin = view.begin_record;
  const RecordHint hint = HintOfPosition(view, position);
  const auto after = [&view, position](std::uint64_t record) {
    return LoadOnce(view.records[record].start) > position;
  };
  const std::uint64_t count = view.record_count;
  const auto right = [&](std::uint64_t record) {
    return !after(record) && (record + 1 == count || after(record + 1));
  };
  const std::uint64_t near = GallopAfter(hint.lo, hint.hi + 1, hint.at, after);
  if (near > begin && right(near - 1)) {
    return near - 1;
  }
  const std::uint64_t found = FirstAfter(begin, count, after);
  if (found > begin && right(found - 1)) {
    return found - 1;
  }
  ThrowCorruptRecord(view, found, StrCat("no record holds position ", position));
}

std::uint64_t SearchRow(const View& view, std::uint64_t row) {
  STREAM_STORE_ASSERT(view.first_row <= row && row < view.row_count &&
                      view.begin_record < view.record_count);
  const std::uint64_t begin = view.begin_record;
  const RecordHint hint = HintOfRow(view, row);
  const auto row_at = [&view](std::uint64_t record) {
    return RowOfRecord(LoadOnce(view.records[record].row_session));
  };
  const auto reached = [&](std::uint64_t record) { return row_at(record) >= row; };
  const std::uint64_t count = view.record_count;
  const auto right = [&](std::uint64_t record) {
    return record < count && row_at(record) == row && (record == begin || row_at(record - 1) < row);
  };
  const std::uint64_t near = GallopAfter(hint.lo, hint.hi + 1, hint.at, reached);
  if (right(near)) {
    return near;
  }
  const std::uint64_t found = FirstAfter(begin, count, reached);
  if (right(found)) {
    return found;
  }
  ThrowCorruptRecord(view, found, StrCat("no record begins row ", row));
}

std::uint64_t RecordOfPosition(const View& view, Position position) {
  STREAM_STORE_ASSERT(view.first_position <= static_cast<std::uint64_t>(position) &&
                      static_cast<std::uint64_t>(position) < view.value_count);
  RequireRecords(view);
  const auto place = static_cast<std::uint64_t>(position);
  return RecordFromHint(view, place, PositionHints(view).HintedRecord(place));
}

std::uint64_t RecordOfRow(const View& view, Row row) {
  STREAM_STORE_ASSERT(view.first_row <= static_cast<std::uint64_t>(row) &&
                      static_cast<std::uint64_t>(row) < view.row_count);
  RequireRecords(view);
  const auto number = static_cast<std::uint64_t>(row);
  return RowRecordFromHint(view, number, RowHints(view).HintedRecord(number));
}

Row RowAtStep(const View& view, Step step, bool after) {
  const auto reached = [&view, step, after](std::uint64_t record) {
    const Step found = LoadOnce(view.records[record].step);
    return after ? found > step : found >= step;
  };
  const std::uint64_t record = FirstAfter(view.begin_record, view.record_count, reached);
  if (record == view.record_count) {
    return static_cast<Row>(view.row_count);
  }
  const std::uint64_t row = RowOfRecord(LoadOnce(view.records[record].row_session));
  if (row < view.first_row || row >= view.row_count) {
    ThrowCorruptRecord(
        view, record,
        StrCat("expected a row in [", view.first_row, ", ", view.row_count, ") but found ", row));
  }
  return static_cast<Row>(row);
}

}  // namespace stream_store::internal

// Checks of the arguments of reads: positions, rows, and ranges of rows inside the store.
//
// The retained part of a store begins at first_position and first_row. What lies before was dropped,
// which is another error than what has never been there.
#include "stream_store/error.h"

#include "base/str_cat.h"
#include "store/read_functions.h"

namespace stream_store::internal {
namespace {

// "the store has 110 values", "the store is empty"
std::string SizeText(std::uint64_t count, const char* unit) {
  return count == 0 ? std::string("the store is empty")
                    : StrCat("the store has ", count, " ", unit, count == 1 ? "" : "s");
}

// Whether an item existed but was dropped. A negative number is a huge one here.
bool WasDropped(std::int64_t item, std::uint64_t first) {
  return static_cast<std::uint64_t>(item) < first;
}

[[noreturn]] void ThrowDropped(const std::string& asked, const char* unit, std::uint64_t first) {
  throw Error(ErrorCode::kDropped, StrCat(asked, " before ", unit, " ", first,
                                          ", the first that the store still has: the ", unit,
                                          "s before it were dropped"));
}

[[noreturn]] void ThrowWindowOutside(const View& view, Position start, std::uint64_t width) {
  if (WasDropped(start, view.first_position)) {
    ThrowDropped(StrCat("window [", start, ", ", start, " + ", width, ") begins"), "position",
                 view.first_position);
  }
  throw Error(ErrorCode::kOutOfRange,
              StrCat("window [", start, ", ", start, " + ", width, ") is outside [0, ",
                     view.value_count, "): ", SizeText(view.value_count, "value")));
}

[[noreturn]] void ThrowRowsOutside(const View& view, Row row, std::uint64_t length) {
  const std::string size = SizeText(view.row_count, "row");
  if (WasDropped(row, view.first_row)) {
    ThrowDropped(length == 1 ? StrCat("row ", row, " is")
                             : StrCat("row window [", row, ", ", row, " + ", length, ") begins"),
                 "row", view.first_row);
  }
  if (length == 1) {
    throw Error(ErrorCode::kOutOfRange,
                StrCat("row ", row, " is outside [0, ", view.row_count, "): ", size));
  }
  throw Error(ErrorCode::kOutOfRange, StrCat("row window [", row, ", ", row, " + ", length,
                                             ") is outside [0, ", view.row_count, "): ", size));
}

// Compared without `row + length`, which could overflow; a row that is negative or was dropped is a
// huge one here.
void CheckRowsInside(const View& view, Row row, std::uint64_t length) {
  const std::uint64_t kept = view.row_count - view.first_row;
  if (length > kept || static_cast<std::uint64_t>(row) - view.first_row > kept - length) {
    ThrowRowsOutside(view, row, length);
  }
}

}  // namespace

void CheckPositions(const View& view, std::span<const Position> positions) {
  for (const Position position : positions) {
    if (WasDropped(position, view.first_position)) {
      ThrowDropped(StrCat("position ", position, " is"), "position", view.first_position);
    }
    if (static_cast<std::uint64_t>(position) >= view.value_count) {
      throw Error(ErrorCode::kOutOfRange,
                  StrCat("position ", position, " is outside [0, ", view.value_count,
                         "): ", SizeText(view.value_count, "value")));
    }
  }
}

void CheckWindows(const View& view, std::span<const Position> starts, std::uint64_t width) {
  if (starts.empty()) {
    return;
  }
  const std::uint64_t first = view.first_position;
  if (width > view.value_count - first) {
    ThrowWindowOutside(view, starts[0], width);
  }
  const std::uint64_t most = view.value_count - first - width;
  // Without a branch per start, so that the compiler can compare several at once.
  bool outside = false;
  for (const Position start : starts) {
    outside |= static_cast<std::uint64_t>(start) - first > most;
  }
  if (!outside) {
    return;
  }
  for (const Position start : starts) {
    if (static_cast<std::uint64_t>(start) - first > most) {
      ThrowWindowOutside(view, start, width);
    }
  }
}

void CheckRowRange(const View& view, Row begin, Row end) {
  const auto rows = static_cast<Row>(view.row_count);
  if (begin <= end && WasDropped(begin, view.first_row)) {
    ThrowDropped(StrCat("rows [", begin, ", ", end, ") begin"), "row", view.first_row);
  }
  if (begin < 0 || begin > end || end > rows) {
    throw Error(ErrorCode::kOutOfRange, StrCat("rows [", begin, ", ", end, ") are outside [0, ",
                                               rows, "): ", SizeText(view.row_count, "row")));
  }
}

void CheckRowWindows(const View& view, std::span<const Row> rows, std::uint64_t length) {
  for (const Row row : rows) {
    CheckRowsInside(view, row, length);
  }
}

void CheckRowRuns(const View& view, std::span<const RowRun> runs) {
  for (const RowRun& run : runs) {
    CheckRowsInside(view, run.row, run.count);
  }
}

}  // namespace stream_store::internal

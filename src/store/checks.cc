// Checks of the arguments of reads: positions, rows, and ranges of rows inside the store.
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

[[noreturn]] void ThrowWindowOutside(const View& view, Position start, std::uint64_t width) {
  throw Error(ErrorCode::kOutOfRange,
              StrCat("window [", start, ", ", start, " + ", width, ") is outside [0, ",
                     view.value_count, "): ", SizeText(view.value_count, "value")));
}

[[noreturn]] void ThrowRowsOutside(const View& view, Row row, std::uint64_t length) {
  const std::string size = SizeText(view.row_count, "row");
  if (length == 1) {
    throw Error(ErrorCode::kOutOfRange,
                StrCat("row ", row, " is outside [0, ", view.row_count, "): ", size));
  }
  throw Error(ErrorCode::kOutOfRange, StrCat("row window [", row, ", ", row, " + ", length,
                                             ") is outside [0, ", view.row_count, "): ", size));
}

// Compared without `row + length`, which could overflow; a negative row is a huge one here.
void CheckRowsInside(const View& view, Row row, std::uint64_t length) {
  if (length > view.row_count || static_cast<std::uint64_t>(row) > view.row_count - length) {
    ThrowRowsOutside(view, row, length);
  }
}

}  // namespace

void CheckPositions(const View& view, std::span<const Position> positions) {
  for (const Position position : positions) {
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
  if (width > view.value_count) {
    ThrowWindowOutside(view, starts[0], width);
  }
  const std::uint64_t last = view.value_count - width;
  // Without a branch per start, so that the compiler can compare several at once.
  bool outside = false;
  for (const Position start : starts) {
    outside |= static_cast<std::uint64_t>(start) > last;
  }
  if (!outside) {
    return;
  }
  for (const Position start : starts) {
    if (static_cast<std::uint64_t>(start) > last) {
      ThrowWindowOutside(view, start, width);
    }
  }
}

void CheckRowRange(const View& view, Row begin, Row end) {
  const auto rows = static_cast<Row>(view.row_count);
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

// Reading dropped rows is refused with the first item that is left, and layouts are found in
// stores that are so old that their numbers no longer fit into 32 bits.
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/error.h"

#include "storage/locate.h"
#include "storage/record_hints.h"
#include "store/fake_rows.h"
#include "store/read_functions.h"

namespace stream_store::internal {
namespace {

// 20 rows of 11 values each, of which the first 8 were dropped: positions begin at 88.
FakeStore Dropped() {
  return FakeStore(MixedFields(), RowMaker(1).Steady(20, 0), FakeHints::kRight, 1, 8);
}

std::string RefusalOf(const std::function<void(const View&)>& read, ErrorCode expected) {
  const FakeStore store = Dropped();
  try {
    read(store.view());
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), expected);
    return error.what();
  }
  return "no error";
}

std::string DroppedText(const std::function<void(const View&)>& read) {
  return RefusalOf(read, ErrorCode::kDropped);
}

std::string OutsideText(const std::function<void(const View&)>& read) {
  return RefusalOf(read, ErrorCode::kOutOfRange);
}

// A request to a View, as a function of it.
auto Windows(std::vector<Position> starts, std::uint64_t width) {
  return [=](const View& view) {
    std::vector<Value> out(starts.size() * width, 42);
    try {
      ReadWindows(view, starts, width, {.values = out.data()});
    } catch (const Error&) {
      EXPECT_EQ(out, std::vector<Value>(out.size(), 42)) << "output touched";
      throw;
    }
  };
}

auto Rows(std::vector<Row> rows, std::uint64_t length) {
  return [=](const View& view) { ReadRows(view, rows, length, {}, nullptr); };
}

auto Index(Row begin, Row end) {
  return [=](const View& view) { CountIndex(view, begin, end); };
}

TEST(DroppedTest, PositionsNameTheFirstThatIsLeft) {
  std::vector<Row> row(1);
  const auto row_of = [&](Position position) {
    return
        [&row, position](const View& view) { RowOf(view, std::vector<Position>{position}, row); };
  };
  EXPECT_EQ(DroppedText(row_of(87)),
            "position 87 is before position 88, the first that the store still has: the positions "
            "before it were dropped");
  EXPECT_EQ(DroppedText(row_of(0)).rfind("position 0 is before position 88", 0), 0U);
  EXPECT_EQ(DroppedText(row_of(88)), "no error");
  EXPECT_EQ(row[0], 8);
  EXPECT_EQ(OutsideText(row_of(220)), "position 220 is outside [0, 220): the store has 220 values");
  EXPECT_EQ(OutsideText(row_of(-1)).rfind("position -1 is outside", 0), 0U);
}

TEST(DroppedTest, WindowsThatBeginBeforeAreRefusedWhole) {
  EXPECT_EQ(DroppedText(Windows({100, 87}, 5)),
            "window [87, 87 + 5) begins before position 88, the first that the store still has: "
            "the positions before it were dropped");
  EXPECT_EQ(DroppedText(Windows({0}, 200)).rfind("window [0, 0 + 200) begins before", 0), 0U);
  EXPECT_EQ(DroppedText(Windows({88}, 132)), "no error");
  EXPECT_EQ(OutsideText(Windows({88}, 133)).rfind("window [88, 88 + 133) is outside", 0), 0U);
  EXPECT_EQ(OutsideText(Windows({-1}, 5)).rfind("window [-1, -1 + 5) is outside", 0), 0U);
  EXPECT_EQ(OutsideText(Windows({std::numeric_limits<Position>::max()}, 5)).rfind("window [", 0),
            0U);
}

TEST(DroppedTest, RowsNameTheFirstThatIsLeft) {
  EXPECT_EQ(DroppedText(Rows({9, 7}, 1)),
            "row 7 is before row 8, the first that the store still has: the rows before it were "
            "dropped");
  EXPECT_EQ(DroppedText(Rows({7}, 3)).rfind("row window [7, 7 + 3) begins before row 8", 0), 0U);
  EXPECT_EQ(DroppedText(Rows({8, 17}, 3)), "no error");
  EXPECT_EQ(OutsideText(Rows({18}, 3)).rfind("row window [18, 18 + 3) is outside", 0), 0U);
  EXPECT_EQ(OutsideText(Rows({-1}, 1)).rfind("row -1 is outside", 0), 0U);
  EXPECT_EQ(OutsideText(Rows({8}, 13)).rfind("row window [8, 8 + 13) is outside", 0), 0U);
  EXPECT_EQ(DroppedText([](const View& view) { ReadRow(view, 7); }).rfind("row 7 is before", 0),
            0U);
}

TEST(DroppedTest, RangesOfRowsMayNotBeginBefore) {
  EXPECT_EQ(DroppedText(Index(7, 20)),
            "rows [7, 20) begin before row 8, the first that the store still has: the rows before "
            "it were dropped");
  EXPECT_EQ(DroppedText(Index(8, 20)), "no error");
  EXPECT_EQ(DroppedText(Index(20, 20)), "no error");
  EXPECT_EQ(OutsideText(Index(8, 21)).rfind("rows [8, 21) are outside", 0), 0U);
  EXPECT_EQ(OutsideText(Index(9, 8)).rfind("rows [9, 8) are outside", 0), 0U);
}

TEST(DroppedTest, AStoreWithoutAnyRowLeftCanBeAsked) {
  const FakeStore store(MixedFields(), RowMaker(1).Steady(20, 0), FakeHints::kRight, 1, 20);
  EXPECT_EQ(CountIndex(store.view(), 20, 20), 0U);
  EXPECT_EQ(RowAtStep(store.view(), 0, false), 20);
  EXPECT_EQ(FinalRows(store.view()), 20U);
  EXPECT_TRUE(Segments(store.view(), std::vector<TypeId>{kDone}).empty());
  EXPECT_THROW(ReadRow(store.view(), 19), Error);
  EXPECT_THROW(ReadRow(store.view(), 20), Error);
}

// Exports read runs of records.
TEST(DroppedTest, ScansBeginAtAnyRowThatIsLeft) {
  for (const Row first : {1, 60, 256}) {
    const FakeStore store(MixedFields(), RowMaker(3).Steady(300, 7), FakeHints::kRight, 1, first);
    for (const Row begin : {first, first + 1, Row{299}, Row{300}}) {
      Row next = begin;
      ScanRows(store.view(), begin, 300, [&](const interop::RecordRun& run) {
        EXPECT_EQ(run.row, run.begins_row ? next : next - 1);
        next = run.row + static_cast<Row>(run.count);
        const auto* step = reinterpret_cast<const Step*>(run.steps);
        EXPECT_EQ(*step, store.rows()[static_cast<std::size_t>(run.row)].step);
        return true;
      });
      EXPECT_EQ(next, 300);
    }
    EXPECT_THROW(ScanRows(store.view(), first - 1, 300, [](const auto&) { return true; }), Error);
  }
}

// The first hint may refer to a dropped record. Guesses stay among the records that are left, and
// are off by at most one, as in a whole store.
TEST(DroppedTest, GuessesAreCloseAndNeverBeforeTheBegin) {
  for (const Row first : {1, 100, 255, 256, 257, 999}) {
    FakeStore store(MixedFields(), RowMaker(1).Steady(1000, 0), FakeHints::kRight, 1, first);
    const View& view = store.view();
    View sparse = view;
    sparse.sparse = true;  // guesses with hints instead of a division
    for (Position p = store.first_position(); p < static_cast<Position>(view.value_count); ++p) {
      const auto at = static_cast<std::uint64_t>(p);
      ASSERT_EQ(PositionHints(view).HintedRecord(at), at / 11);
      const std::uint64_t guess = PositionHints(sparse).HintedRecord(at);
      ASSERT_GE(guess, view.begin_record);
      ASSERT_LE(guess, at / 11 + 1);
      ASSERT_GE(guess + 1, at / 11);
    }
    for (auto row = static_cast<std::uint64_t>(first); row < 1000; ++row) {
      ASSERT_EQ(RowHints(view).HintedRecord(row), row);
      const std::uint64_t guess = RowHints(sparse).HintedRecord(row);
      ASSERT_GE(guess, view.begin_record);
      ASSERT_LE(guess, row);
      ASSERT_GE(guess + 1, row);
    }
  }
}

// A record holds only the low 32 bits of the number of its layout.
TEST(DroppedTest, LayoutsAreFoundWhereTheirNumbersPassThirtyTwoBits) {
  FakeStore store(MixedFields(), RowMaker(7).Wild(300), FakeHints::kRight, 1, 100);
  View view = store.view();
  const std::uint64_t words = view.layout_words - view.layout_begin;
  // In the middle of the retained layouts, the low 32 bits begin again at 0.
  const std::uint64_t moved = (std::uint64_t{3} << 32) - view.layout_begin - words / 2;
  std::vector<Record> records(store.records.begin() + static_cast<Row>(view.begin_record),
                              store.records.end());
  for (Record& record : records) {
    const auto layout = static_cast<std::uint32_t>(record.layout + moved);
    ASSERT_NE(layout, 0U) << "no layout may be there: choose another place";
    record.layout = record.layout == 0 ? 0 : layout;
  }
  view.records = records.data() - view.begin_record;
  view.layouts -= moved;
  view.layout_begin += moved;
  view.layout_words += moved;
  view.mapping_key = ~std::uint64_t{0} - 1;
  std::vector<Value> types(store.types.size() - view.first_position);
  const std::vector<Position> start = {store.first_position()};
  ReadWindows(view, start, types.size(), {.types = types.data()});
  EXPECT_EQ(types,
            std::vector<Value>(store.types.begin() + store.first_position(), store.types.end()));
  EXPECT_EQ(CountIndex(view, 100, 300), CountIndex(store.view(), 100, 300));
  // A number that is not among the retained layouts.
  records[5].layout = static_cast<std::uint32_t>(view.layout_begin - 1);
  EXPECT_THROW(CountIndex(view, 100, 300), Error);
}

}  // namespace
}  // namespace stream_store::internal

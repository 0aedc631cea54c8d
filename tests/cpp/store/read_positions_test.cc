// Scattered positions and the look-ups between positions, rows and steps equal the model.
#include <bit>
#include <numeric>
#include <string>

#include <gtest/gtest.h>

#include "stream_store/error.h"

#include "storage/locate.h"
#include "store/fake_rows.h"
#include "store/read_functions.h"

namespace stream_store::internal {
namespace {

constexpr FakeHints kAllHints[] = {FakeHints::kRight, FakeHints::kAbsent, FakeHints::kShort,
                                   FakeHints::kRandom, FakeHints::kZero};

// A store with twice as many records as rows, and as many values as records, on average but in no
// part of it: guesses by division, which assume even records, are wrong everywhere.
FakeStore Lopsided(FakeHints hints, Row first) {
  std::vector<FakeRow> rows;
  for (Step step = 0; step < 400; ++step) {
    if (step < 200) {
      rows.push_back({step, {{{0, {1, 2, 3, 4, step}}}}});
    } else {
      rows.push_back({step, {{{0, {step}}}, {{1, {step}}}, {{2, {step}}}}});
    }
  }
  return FakeStore(
      {{.name = "a", .dtype = DType::kInt64, .shape = {kRagged}}, {.name = "b"}, {.name = "c"}},
      rows, hints, 1, first);
}

// Whole stores, and stores that have dropped their first rows.
std::vector<FakeStore> AllStores(std::uint64_t seed) {
  std::vector<FakeStore> stores;
  for (const FakeHints hints : kAllHints) {
    for (const Row first : {0, 1, 255, 399}) {
      stores.emplace_back(MixedFields(), RowMaker(seed).Wild(600), hints, seed, first);
      stores.emplace_back(MixedFields(), RowMaker(seed).Steady(600, 11), hints, seed, first);
      stores.emplace_back(MixedFields(), RowMaker(seed).Acting(600), hints, seed, first);
      stores.push_back(Lopsided(hints, first));
    }
  }
  return stores;
}

void ExpectGathered(const FakeStore& store, const std::vector<Position>& positions) {
  const std::size_t n = positions.size();
  std::vector<std::int64_t> values(n), types(n), steps(n), offsets(n), rows(n);
  std::vector<float> numbers(n);
  Gather(store.view(), positions,
         {values.data(), types.data(), steps.data(), numbers.data(), offsets.data(), rows.data()});
  for (std::size_t i = 0; i < n; ++i) {
    const auto p = static_cast<std::size_t>(positions[i]);
    ASSERT_EQ(values[i], store.values[p]) << "position " << p;
    ASSERT_EQ(types[i], store.types[p]) << "position " << p;
    ASSERT_EQ(steps[i], store.steps[p]) << "position " << p;
    ASSERT_EQ(offsets[i], store.offsets[p]) << "position " << p;
    ASSERT_EQ(rows[i], store.rows_of[p]) << "position " << p;
    const Encoding& encoding =
        store.view().store_schema->encodings[static_cast<TypeId>(store.types[p])];
    ASSERT_EQ(std::bit_cast<std::uint32_t>(numbers[i]),
              std::bit_cast<std::uint32_t>(NumberOf(encoding, values[i])));
  }
}

TEST(GatherTest, ReadsPositionsInTheOrderAsked) {
  std::vector<FakeRow> rows;
  for (Step step = 0; step < 20; ++step) {
    rows.push_back({step, {{{0, {10 * step}}}}});
  }
  const FakeStore store({{.name = "x"}}, rows);
  // Each begins and ends as a run of neighbours would.
  for (const std::vector<Position>& positions :
       {std::vector<Position>{3, 5, 4, 6}, {3, 5, 4, 6, 7, 9, 8, 10, 11, 13, 12, 14}}) {
    ASSERT_NO_FATAL_FAILURE(ExpectGathered(store, positions));
  }
}

TEST(GatherTest, EqualsTheModelAtRandomPositionsAndRuns) {
  for (const std::uint64_t seed : {1U, 2U}) {
    for (const FakeStore& store : AllStores(seed)) {
      RowMaker random(seed);
      std::vector<Position> positions;
      while (positions.size() < 900) {
        const auto begin = static_cast<std::uint64_t>(store.first_position());
        auto p = static_cast<Position>(begin + random.Below(store.values.size() - begin));
        const std::uint64_t run = random.Below(3) == 0 ? random.Below(60) : 1;
        for (std::uint64_t i = 0; i < run && p < static_cast<Position>(store.values.size()); ++i) {
          positions.push_back(p++);
        }
      }
      ASSERT_NO_FATAL_FAILURE(ExpectGathered(store, positions));
    }
  }
}

TEST(GatherTest, ReadsBackwardsAndRepeatsAndNothing) {
  const FakeStore store(MixedFields(), RowMaker(3).Wild(200));
  std::vector<Position> backwards(store.values.size());
  std::iota(backwards.rbegin(), backwards.rend(), 0);
  ExpectGathered(store, backwards);
  ExpectGathered(store, std::vector<Position>(100, 17));
  ExpectGathered(store, {});
}

TEST(GatherTest, NamesTheFirstPositionOutside) {
  const FakeStore store(MixedFields(), RowMaker(3).Steady(10, 0));
  for (const auto& [bad, text] :
       {std::pair<Position, std::string>{
            110, "position 110 is outside [0, 110): the store has 110 values"},
        {-3, "position -3 is outside [0, 110): the store has 110 values"}}) {
    const std::vector<Position> positions = {4, bad, 500};
    std::vector<Value> out(3, 42);
    WindowsOut columns;
    columns.values = out.data();
    try {
      Gather(store.view(), positions, columns);
      FAIL() << "read position " << bad;
    } catch (const Error& error) {
      EXPECT_EQ(error.what(), text);
      EXPECT_EQ(error.code(), ErrorCode::kOutOfRange);
    }
    EXPECT_EQ(out, std::vector<Value>(3, 42));
  }
}

TEST(LookUpTest, FindsTheRowOfEveryPositionAndThePositionOfEveryRow) {
  for (const FakeStore& store : AllStores(4)) {
    const auto begin = store.first_position();
    std::vector<Position> positions(store.values.size() - static_cast<std::size_t>(begin));
    std::iota(positions.begin(), positions.end(), begin);
    std::vector<Row> rows(positions.size());
    RowOf(store.view(), positions, rows);
    EXPECT_EQ(rows, std::vector<Row>(store.rows_of.begin() + begin, store.rows_of.end()));
    std::vector<Row> every(store.rows().size() - static_cast<std::size_t>(store.first_row()));
    std::iota(every.begin(), every.end(), store.first_row());
    std::vector<Position> starts(every.size());
    PositionOf(store.view(), every, starts);
    for (std::size_t i = 0; i < every.size(); ++i) {
      ASSERT_EQ(starts[i], store.StartOf(every[i])) << "row " << every[i];
    }
  }
}

TEST(LookUpTest, FindsRowsBySteps) {
  for (const FakeStore& store : AllStores(5)) {
    const auto rows = static_cast<Row>(store.rows().size());
    for (Step step = -10; step < 1900; ++step) {
      const auto below = [&](auto&& keep) {
        return std::max<Row>(store.first_row(),
                             std::count_if(store.rows().begin(), store.rows().end(),
                                           [&](const FakeRow& row) { return keep(row.step); }));
      };
      ASSERT_EQ(RowAtStep(store.view(), step, false), below([&](Step s) { return s < step; }));
      ASSERT_EQ(RowAtStep(store.view(), step, true), below([&](Step s) { return s <= step; }));
    }
    EXPECT_EQ(RowAtStep(store.view(), std::numeric_limits<Step>::max(), false), rows);
    EXPECT_EQ(RowAtStep(store.view(), std::numeric_limits<Step>::min(), false), store.first_row());
  }
}

TEST(LookUpTest, FindsTheLastOfTheEmptyRecordsThatShareAStart) {
  // Rows: 0 empty, 1 one value, 2 empty, 3 empty and continued, 4 empty.
  const FakeWrite one{0, {5}};
  const FakeStore store({{.name = "x"}},
                        {{0, {{}}}, {1, {{one}}}, {2, {{}}}, {3, {{}, {one}}}, {4, {{}}}});
  EXPECT_EQ(RecordOfPosition(store.view(), 0), 1U);
  EXPECT_EQ(RecordOfPosition(store.view(), 1), 4U);
  EXPECT_EQ(RecordOfRow(store.view(), 3), 3U);
  EXPECT_EQ(store.StartOf(4), 2);
  std::vector<Position> starts(5);
  PositionOf(store.view(), std::vector<Row>{0, 1, 2, 3, 4}, starts);
  EXPECT_EQ(starts, (std::vector<Position>{0, 0, 1, 1, 2}));
}

TEST(LookUpTest, NamesRowsAndPositionsOutside) {
  const FakeStore store({{.name = "x"}}, {{0, {{}}}, {1, {{{0, {5}}}}}});
  std::vector<std::int64_t> out(1);
  const auto message = [&](auto&& call) -> std::string {
    try {
      call();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kOutOfRange);
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(message([&] { RowOf(store.view(), std::vector<Position>{1}, out); }),
            "position 1 is outside [0, 1): the store has 1 value");
  EXPECT_EQ(message([&] { PositionOf(store.view(), std::vector<Row>{2}, out); }),
            "row 2 is outside [0, 2): the store has 2 rows");
  EXPECT_EQ(message([&] { PositionOf(store.view(), std::vector<Row>{-1}, out); }),
            "row -1 is outside [0, 2): the store has 2 rows");
}

}  // namespace
}  // namespace stream_store::internal

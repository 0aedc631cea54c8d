// The index table, single rows and segments equal the model.
#include <string>

#include <gtest/gtest.h>

#include "stream_store/error.h"

#include "store/fake_rows.h"
#include "store/read_functions.h"

namespace stream_store::internal {
namespace {

using Ranges = std::vector<std::pair<Row, Row>>;

TEST(IndexTest, ListsEveryFieldWriteOfARangeOfRows) {
  const FakeStore whole(MixedFields(), RowMaker(1).Wild(200));
  const FakeStore dropped(MixedFields(), RowMaker(1).Wild(200), FakeHints::kRight, 1, 30);
  for (const auto& [begin, end] :
       Ranges{{0, 200}, {0, 0}, {17, 18}, {30, 150}, {30, 200}, {31, 31}, {200, 200}}) {
    const FakeStore& store = begin < 30 ? whole : dropped;
    std::vector<IndexEntry> expected;
    Position start = begin == 200 ? 0 : store.StartOf(begin);
    for (Row row = begin; row < end; ++row) {
      for (const auto& record : store.rows()[static_cast<std::size_t>(row)].records) {
        for (const FakeWrite& write : record) {
          expected.push_back({start, write.type, store.rows()[static_cast<std::size_t>(row)].step});
          start += static_cast<Position>(write.values.size());
        }
      }
    }
    ASSERT_EQ(CountIndex(store.view(), begin, end), expected.size());
    std::vector<IndexEntry> found(expected.size());
    ReadIndex(store.view(), begin, end, found);
    for (std::size_t i = 0; i < found.size(); ++i) {
      ASSERT_EQ(found[i].start, expected[i].start);
      ASSERT_EQ(found[i].type, expected[i].type);
      ASSERT_EQ(found[i].step, expected[i].step);
    }
  }
}

TEST(IndexTest, RefusesRowsOutside) {
  const FakeStore store(MixedFields(), RowMaker(1).Steady(5, 0));
  EXPECT_THROW(CountIndex(store.view(), 0, 6), Error);
  EXPECT_THROW(CountIndex(store.view(), -1, 3), Error);
  EXPECT_THROW(CountIndex(store.view(), 3, 2), Error);
}

TEST(RowTest, GivesSpansIntoTheStore) {
  const FakeStore whole(MixedFields(), RowMaker(2).Wild(200));
  const FakeStore dropped(MixedFields(), RowMaker(2).Wild(200), FakeHints::kRight, 1, 99);
  for (Row row = 0; row < 200; ++row) {
    const FakeStore& store = row < 99 ? whole : dropped;
    const RowEntries found = ReadRow(store.view(), row);
    ASSERT_EQ(found.step, store.rows()[static_cast<std::size_t>(row)].step);
    std::size_t i = 0;
    for (const auto& record : store.rows()[static_cast<std::size_t>(row)].records) {
      for (const FakeWrite& write : record) {
        ASSERT_LT(i, found.entries.size());
        ASSERT_EQ(found.entries[i].first, write.type);
        ASSERT_EQ(
            std::vector<Value>(found.entries[i].second.begin(), found.entries[i].second.end()),
            write.values);
        ++i;
      }
    }
    ASSERT_EQ(i, found.entries.size());
  }
  EXPECT_THROW(ReadRow(dropped.view(), 200), Error);
  EXPECT_THROW(ReadRow(dropped.view(), -1), Error);
}

// A store of one int field `episode` and two bool fields; nullopt is missing.
enum : Value { kMissing = -1000 };

FakeStore Episodes(const std::vector<std::vector<Value>>& rows, Row first_row = 0) {
  std::vector<FakeRow> made;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    FakeRow row{static_cast<Step>(i), {{}}};
    for (TypeId type = 0; type < 3; ++type) {
      if (rows[i][type] != kMissing) {
        row.records.back().push_back({type, {rows[i][type]}});
      }
    }
    made.push_back(row);
  }
  return FakeStore({{.name = "episode", .dtype = DType::kInt32},
                    {.name = "terminated", .dtype = DType::kBool},
                    {.name = "truncated", .dtype = DType::kBool}},
                   made, FakeHints::kRight, 1, first_row);
}

Ranges SegmentsBy(const FakeStore& store, std::vector<TypeId> types) {
  return Segments(store.view(), types);
}

TEST(SegmentsTest, BeginWhereAnIntFieldChangesAndMissingIsAsBefore) {
  const FakeStore store =
      Episodes({{kMissing, 0, 0}, {7, 0, 0}, {7, 0, 0}, {kMissing, 0, 0}, {8, 0, 0}, {7, 0, 0}});
  EXPECT_EQ(SegmentsBy(store, {0}), (Ranges{{0, 4}, {4, 5}, {5, 6}}));
}

TEST(SegmentsTest, EndWhereAnyBoolFieldIsTrueAndMissingIsFalse) {
  const FakeStore store = Episodes(
      {{0, 0, kMissing}, {0, 1, 1}, {0, 0, 1}, {0, kMissing, kMissing}, {0, 0, 0}, {0, 1, 0}});
  EXPECT_EQ(SegmentsBy(store, {1, 2}), (Ranges{{0, 2}, {2, 3}, {3, 6}}));
  EXPECT_EQ(SegmentsBy(store, {2}), (Ranges{{0, 2}, {2, 3}, {3, 6}}));
  EXPECT_EQ(SegmentsBy(store, {1}), (Ranges{{0, 2}, {2, 6}}));
}

TEST(SegmentsTest, BeginAtTheFirstRowThatWasNotDropped) {
  const std::vector<std::vector<Value>> rows = {{7, 0, 0},        {7, 1, 0}, {8, 0, 0}, {8, 0, 0},
                                                {kMissing, 0, 0}, {9, 1, 0}, {9, 0, 0}, {9, 0, 0}};
  EXPECT_EQ(SegmentsBy(Episodes(rows, 1), {0}), (Ranges{{1, 2}, {2, 5}, {5, 8}}));
  EXPECT_EQ(SegmentsBy(Episodes(rows, 3), {0}), (Ranges{{3, 5}, {5, 8}}));
  // Without an episode before it, that of row 5 is no change.
  EXPECT_EQ(SegmentsBy(Episodes(rows, 4), {0}), (Ranges{{4, 8}}));
  EXPECT_EQ(SegmentsBy(Episodes(rows, 1), {1}), (Ranges{{1, 2}, {2, 6}, {6, 8}}));
  EXPECT_EQ(SegmentsBy(Episodes(rows, 2), {1}), (Ranges{{2, 6}, {6, 8}}));
  EXPECT_EQ(SegmentsBy(Episodes(rows, 8), {1}), Ranges{});
}

TEST(SegmentsTest, LeaveTheLastOneOpenAndDoNotExistInAnEmptyStore) {
  EXPECT_EQ(SegmentsBy(Episodes({}), {0}), Ranges{});
  EXPECT_EQ(SegmentsBy(Episodes({}), {1}), Ranges{});
  EXPECT_EQ(SegmentsBy(Episodes({{kMissing, kMissing, kMissing}}), {1}), (Ranges{{0, 1}}));
  EXPECT_EQ(SegmentsBy(Episodes({{1, 1, 0}, {1, 0, 0}}), {1}), (Ranges{{0, 1}, {1, 2}}));
}

TEST(SegmentsTest, SeeAFieldWrittenByALaterRecordOfTheRow) {
  const FakeStore store({{.name = "x"}, {.name = "done", .dtype = DType::kBool}},
                        {{0, {{{0, {1}}}, {{1, {1}}}}},
                         {1, {{{0, {1}}}, {{1, {0}}}}},
                         {2, {{}, {{1, {1}}}}},
                         {3, {{}}}});
  EXPECT_EQ(SegmentsBy(store, {1}), (Ranges{{0, 1}, {1, 3}, {3, 4}}));
}

TEST(SegmentsTest, RefuseOtherFields) {
  const FakeStore store(MixedFields(), RowMaker(1).Steady(5, 0));
  for (const std::vector<TypeId>& types : std::vector<std::vector<TypeId>>{{},
                                                                           {kPose},
                                                                           {kReward},
                                                                           {kLong},
                                                                           {kSmall},
                                                                           {kText},
                                                                           {kEpisode, kUnsigned},
                                                                           {kEpisode, kDone},
                                                                           {500}}) {
    try {
      Segments(store.view(), types);
      ADD_FAILURE() << "took " << types.size() << " fields";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      EXPECT_EQ(std::string(error.what())
                    .rfind("segments: expected one int field or only bool fields", 0),
                0U);
    }
  }
}

}  // namespace
}  // namespace stream_store::internal

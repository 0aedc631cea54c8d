// Tests of Reader as a C++ program uses it: snapshots, look-ups, typed reads.

#include <array>
#include <chrono>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/store.h"

#include "support/scratch.h"

namespace stream_store::internal {
namespace {

using namespace std::chrono_literals;
using Rows = std::vector<Row>;

// Row r has step 10 r, its number, r % 3 copies of the number, a frame filled with it and, from row
// 5 on, a flag.
class ReadingTest : public ::testing::Test {
 protected:
  static constexpr Row kRows = 20;

  ReadingTest() {
    for (Row row = 0; row < kRows; ++row) {
      AppendRow(row);
    }
  }

  void AppendRow(Row row) {
    const std::vector<float> list(static_cast<std::size_t>(row % 3), static_cast<float>(row));
    std::array<std::uint16_t, 4> frame{};
    frame.fill(static_cast<std::uint16_t>(row));
    if (row < 5) {
      store_.Append(row * 10, {{0, row}, {1, list}, {2, frame}});
    } else {
      store_.Append(row * 10, {{0, row}, {1, list}, {2, frame}, {3, row % 2 == 0}});
    }
  }

  ScratchDirectory scratch_;
  StreamStore store_ = StreamStore::Open(
      scratch_ / "store",
      {.fields = {{.name = "number"},
                  {.name = "list", .dtype = DType::kFloat32, .shape = {kRagged}},
                  {.name = "frame", .dtype = DType::kUInt16, .shape = {2, 2}, .packed = true},
                  {.name = "flag", .dtype = DType::kBool}}});
};

TEST_F(ReadingTest, ASnapshotStaysUntilItIsRefreshed) {
  Reader reader = store_.reader();
  const Reader copy = reader;
  AppendRow(kRows);
  EXPECT_EQ(reader.num_rows(), 20U);
  const std::uint64_t size = reader.Refresh();
  EXPECT_EQ(reader.size(), size);
  EXPECT_EQ(reader.num_rows(), 21U);
  EXPECT_EQ(copy.num_rows(), 20U);
  Reader assigned = Reader::Open(scratch_ / "store");
  assigned = copy;
  EXPECT_EQ(assigned.num_rows(), 20U);
  EXPECT_EQ(assigned.Refresh(), reader.size());
}

TEST_F(ReadingTest, AFrozenOrTruncatedReaderNeverMoves) {
  Reader frozen = store_.reader().Snapshot();
  Reader truncated = store_.reader().Snapshot(4);
  Reader nothing = store_.reader().Snapshot(0);
  AppendRow(kRows);
  frozen.Refresh();
  truncated.Refresh();
  EXPECT_EQ(frozen.num_rows(), 20U);
  EXPECT_EQ(truncated.num_rows(), 4U);
  EXPECT_EQ(truncated.size(), 4U + 0 + 1 + 2 + 0 + 4);
  EXPECT_EQ(truncated.complete_rows(), 4U);
  EXPECT_EQ(truncated.field_writes(), 12U);
  EXPECT_EQ(nothing.size(), 0U);
  EXPECT_FALSE(truncated.Wait(5, 1h));
  EXPECT_EQ(ErrorOf([&] { store_.reader().Snapshot(99); }).code(), ErrorCode::kOutOfRange);
}

// The rows of a snapshot that ends before the store cannot grow, whatever fields they lack.
TEST_F(ReadingTest, TheLastRowOfASnapshotIsComplete) {
  store_.Append(1000, {{0, 1}});
  store_.Append(1001, {{0, 1}});
  EXPECT_EQ(store_.reader().complete_rows(), 21U);
  EXPECT_EQ(store_.reader().Snapshot(21).complete_rows(), 21U);
  EXPECT_EQ(store_.reader().Snapshot(22).complete_rows(), 21U);
}

TEST_F(ReadingTest, ARowIsCompleteWithItsLastFieldOrWithoutAWriter) {
  EXPECT_EQ(store_.reader().complete_rows(), 20U);
  store_.Append(1000, {{0, 1}});
  EXPECT_EQ(store_.reader().complete_rows(), 20U);
  store_.Append(1000, {{3, true}});
  EXPECT_EQ(store_.reader().complete_rows(), 21U);
  store_.Append(1001, {{0, 1}});
  EXPECT_TRUE(store_.reader().live());
  store_.Close();
  const Reader reader = Reader::Open(scratch_ / "store");
  EXPECT_FALSE(reader.live());
  EXPECT_EQ(reader.complete_rows(), 22U);
}

TEST_F(ReadingTest, KnowsItsPlaceAndSize) {
  const Reader reader = Reader::Open(scratch_ / "store");
  EXPECT_EQ(reader.path(), scratch_ / "store");
  EXPECT_EQ(reader.id(), store_.id());
  EXPECT_EQ(reader.records(), 20U);
  EXPECT_EQ(reader.field_writes(), 5U * 3 + 15 * 4);
  EXPECT_GE(reader.bytes(), reader.size() * 8 + 20 * 32);
  EXPECT_EQ(reader.schema()[2].name, "frame");
}

TEST_F(ReadingTest, FindsRowsByStepAndPlaceByRow) {
  const Reader reader = store_.reader();
  EXPECT_EQ(reader.RowAt(50, Side::kLeft), 5);
  EXPECT_EQ(reader.RowAt(50, Side::kRight), 6);
  EXPECT_EQ(reader.RowAt(51, Side::kLeft), 6);
  EXPECT_EQ(reader.RowAt(100'000, Side::kRight), 20);
  const Rows rows{0, 1, 4};
  std::vector<Position> positions(3);
  reader.PositionOf(rows, positions);
  EXPECT_EQ(positions, (std::vector<Position>{0, 2, 11}));
  Rows back(3);
  reader.RowOf(positions, back);
  EXPECT_EQ(back, rows);
}

TEST_F(ReadingTest, GathersPositionsInAnyOrder) {
  const Reader reader = store_.reader();
  const std::vector<Position> positions{2, 0, 2};
  std::vector<Value> values(3);
  std::vector<std::int64_t> types(3);
  std::vector<Step> steps(3);
  reader.Gather(positions, {.values = values.data(), .types = types.data(), .step = steps.data()});
  EXPECT_EQ(values, (std::vector<Value>{1, 0, 1}));
  EXPECT_EQ(types, (std::vector<std::int64_t>{0, 0, 0}));
  EXPECT_EQ(steps, (std::vector<Step>{10, 0, 10}));
}

TEST_F(ReadingTest, ReadsRowsIntoMemoryOfTheFieldsOwnType) {
  const Reader reader = store_.reader();
  const Rows rows{3, 10};
  std::vector<std::int64_t> numbers(4);
  reader.ReadRows<std::int64_t>(rows, 2, 0, numbers);
  EXPECT_EQ(numbers, (std::vector<std::int64_t>{3, 4, 10, 11}));
  std::vector<std::uint16_t> frames(16);
  reader.ReadRows<std::uint16_t>(rows, 2, 2, frames);
  EXPECT_EQ(frames[0], 3);
  EXPECT_EQ(frames[15], 11);
  std::vector<std::uint8_t> flags(4);
  std::vector<std::uint8_t> present(4);
  reader.ReadRows<std::uint8_t>(rows, 2, 3, flags, present);
  EXPECT_EQ(flags, (std::vector<std::uint8_t>{0, 0, 1, 0}));
  EXPECT_EQ(present, (std::vector<std::uint8_t>{0, 0, 1, 1}));
}

TEST_F(ReadingTest, RefusesMemoryOfAnotherTypeOrSize) {
  const Reader reader = store_.reader();
  const Rows rows{3, 10};
  std::vector<float> floats(4);
  EXPECT_CONTAINS(ErrorOf([&] { reader.ReadRows<float>(rows, 2, 0, floats); }).what(),
                  "field 'number' (type id 0), int64: expected signed items of 8 bytes but found "
                  "floating ones of 4");
  std::vector<double> doubles(4);
  EXPECT_CONTAINS(ErrorOf([&] { reader.ReadRows<double>(rows, 2, 0, doubles); }).what(),
                  "found floating ones of 8");
  std::vector<std::int16_t> frames(16);
  EXPECT_CONTAINS(ErrorOf([&] { reader.ReadRows<std::int16_t>(rows, 2, 2, frames); }).what(),
                  "expected unsigned items of 2 bytes but found signed");
  std::vector<std::int64_t> few(3);
  EXPECT_EQ(ErrorOf([&] { reader.ReadRows<std::int64_t>(rows, 2, 0, few); }).code(),
            ErrorCode::kInvalidArgument);
  std::vector<float> lists(4);
  EXPECT_EQ(ErrorOf([&] { reader.ReadRows<float>(rows, 2, 1, lists); }).code(),
            ErrorCode::kInvalidArgument);
  std::vector<std::int64_t> numbers(4);
  EXPECT_EQ(ErrorOf([&] { reader.ReadRows<std::int64_t>(rows, 2, 9, numbers); }).code(),
            ErrorCode::kInvalidArgument);
  std::vector<std::uint8_t> present(1);
  EXPECT_EQ(ErrorOf([&] { reader.ReadRows<std::int64_t>(rows, 2, 0, numbers, present); }).code(),
            ErrorCode::kInvalidArgument);
}

TEST_F(ReadingTest, PadsRaggedFieldsToTheLongest) {
  const Reader reader = store_.reader();
  const Rows rows{3};
  const std::uint64_t longest = reader.LongestInRows(rows, 3, 1);
  EXPECT_EQ(longest, 2U);
  std::vector<float> lists(3 * longest, -1);
  std::vector<std::int64_t> lengths(3);
  const RowsColumn column{.type = 1,
                          .out = lists.data(),
                          .present = nullptr,
                          .lengths = lengths.data(),
                          .max_length = longest};
  std::vector<Step> steps(3);
  reader.ReadRows(rows, 3, std::span(&column, 1), steps.data());
  EXPECT_EQ(lists, (std::vector<float>{0, 0, 4, 0, 5, 5}));
  EXPECT_EQ(lengths, (std::vector<std::int64_t>{0, 1, 2}));
  EXPECT_EQ(steps, (std::vector<Step>{30, 40, 50}));
}

TEST_F(ReadingTest, DecodesRawValuesAndRefusesPackedOnes) {
  const Reader reader = store_.reader();
  const std::vector<Value> raw{1, 0};
  std::vector<std::uint8_t> flags(2);
  reader.Decode(raw, 3, flags.data());
  EXPECT_EQ(flags, (std::vector<std::uint8_t>{1, 0}));
  EXPECT_EQ(ErrorOf([&] { reader.Decode(raw, 2, flags.data()); }).code(),
            ErrorCode::kInvalidArgument);
}

TEST_F(ReadingTest, ListsTheIndexAndTheSegments) {
  const Reader reader = store_.reader();
  const std::vector<IndexEntry> entries = reader.IndexTable(0, 2);
  ASSERT_EQ(entries.size(), 6U);
  EXPECT_EQ(entries[3].start, 2);
  EXPECT_EQ(entries[3].type, 0);
  EXPECT_EQ(entries[3].step, 10);
  const std::vector<TypeId> flag{3};
  const auto segments = reader.Segments(flag);
  EXPECT_EQ(segments.front(), (std::pair<Row, Row>{0, 7}));
}

TEST_F(ReadingTest, WaitsForAMissingStoreUntilTheTimeout) {
  const Error error = ErrorOf([&] { Reader::Open(scratch_ / "nothing", {.wait = 5ms}); });
  EXPECT_EQ(error.code(), ErrorCode::kNotFound);
}

}  // namespace
}  // namespace stream_store::internal

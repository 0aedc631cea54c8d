// Tests of Reader::RowAt(): by steps and by the times of a field, compared with a plain scan.

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/interop.h"
#include "stream_store/store.h"

#include "base/str_cat.h"
#include "support/scratch.h"

namespace stream_store::internal {
namespace {

constexpr Side kSides[] = {Side::kLeft, Side::kRight, Side::kBackward, Side::kNearest};
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// The rows [first, times.size()) that have a time, by a scan. `times` are exact as long doubles.
Row Scan(const std::vector<std::optional<long double>>& times, std::size_t first, long double asked,
         Side side) {
  const auto end = static_cast<Row>(times.size());
  if (side == Side::kNearest) {  // a distance may be rounded, so equal times come first
    const Row before = Scan(times, first, asked, Side::kBackward);
    const Row after = Scan(times, first, asked, Side::kLeft);
    const auto time = [&](Row row) { return *times[static_cast<std::size_t>(row)]; };
    if (before == end || (after != end && time(after) == asked)) return after;
    const bool nearer = after == end || asked - time(before) <= time(after) - asked;
    return nearer ? Scan(times, first, time(before), Side::kLeft) : after;
  }
  Row found = end;
  for (std::size_t i = first; i < times.size(); ++i) {
    if (!times[i]) continue;
    const auto row = static_cast<Row>(i);
    const long double time = *times[i];
    if (side == Side::kLeft && time >= asked) return row;
    if (side == Side::kRight && time > asked) return row;
    if (side == Side::kBackward && time <= asked) found = row;
  }
  return found;
}

class RowAtTest : public ::testing::Test {
 protected:
  enum Type : TypeId { kStamp, kSeconds, kNarrow, kCount, kFlag };

  static std::vector<Field> Fields() {
    return {{.name = "stamp", .dtype = DType::kTimestampNs},
            {.name = "seconds", .dtype = DType::kFloat64},
            {.name = "narrow", .dtype = DType::kFloat32},
            {.name = "count", .dtype = DType::kUInt64},
            {.name = "flag", .dtype = DType::kBool}};
  }

  // A row with one time, or without.
  template <class T>
  void Add(TypeId type, std::optional<T> time) {
    time ? store_.AppendStep({{type, *time}}) : store_.AppendStep({});
    model_.push_back(time ? std::optional<long double>(*time) : std::nullopt);
  }

  template <class T>
  void ExpectAsScanned(const Reader& reader, TypeId type, const std::vector<T>& asked,
                       std::size_t first = 0) const {
    for (const Side side : kSides) {
      std::vector<Row> rows(asked.size(), -1);
      reader.RowAt(asked, type, side, rows);
      for (std::size_t i = 0; i < asked.size(); ++i) {
        const Row expected = Scan(model_, first, static_cast<long double>(asked[i]), side);
        EXPECT_EQ(rows[i], expected) << "time " << +asked[i] << " side " << int(side);
        EXPECT_EQ(reader.RowAt(asked[i], type, side), expected);
      }
    }
  }

  std::string Refusal(const std::function<void()>& call) const {
    const Error error = ErrorOf(call);
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }

  ScratchDirectory scratch_;
  StreamStore store_ = StreamStore::Open(scratch_ / "store", {.fields = Fields()});
  std::vector<std::optional<long double>> model_;
};

TEST_F(RowAtTest, StepsHaveAllSides) {
  for (const Step step : {-5, 0, 10, 13}) {
    store_.Append(step, {});
    model_.emplace_back(step);
  }
  const Reader reader = store_.reader();
  for (Step step = -8; step < 20; ++step) {
    for (const Side side : kSides) {
      EXPECT_EQ(reader.RowAt(step, side), Scan(model_, 0, static_cast<long double>(step), side));
    }
  }
  EXPECT_EQ(reader.RowAt(std::numeric_limits<Step>::min(), Side::kNearest), 0);
  EXPECT_EQ(reader.RowAt(std::numeric_limits<Step>::max(), Side::kNearest), 3);
}

TEST_F(RowAtTest, TimesAreFoundAsByAScan) {
  std::mt19937 random(1);
  std::int64_t time = -40;
  for (int row = 0; row < 300; ++row) {
    time += static_cast<std::int64_t>(random() % 3);
    Add<std::int64_t>(kStamp, random() % 3 == 0 ? std::nullopt : std::optional(time));
  }
  std::vector<std::int64_t> asked;
  std::vector<double> between;
  for (int i = 0; i < 200; ++i) {
    asked.push_back(static_cast<std::int64_t>(random() % 400) - 60);
    between.push_back(static_cast<double>(random() % 1600) / 4 - 60);
  }
  ExpectAsScanned(store_.reader(), kStamp, asked);
  ExpectAsScanned(store_.reader(), kStamp, between);
  std::ranges::sort(asked);  // a merge join
  ExpectAsScanned(store_.reader(), kStamp, asked);
  ExpectAsScanned(store_.reader(), kStamp, std::vector<std::uint8_t>{0, 7, 255});
  ExpectAsScanned(Reader::Open(scratch_ / "store", {.safe_reads = true}), kStamp, asked);
}

TEST_F(RowAtTest, FloatsAreComparedAsTheyAreRead) {
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double time :
       {-infinity, -1e300, -2.5, -0.0, 0.0, 5e-324, 1.0, 1.0, 1e300, infinity}) {
    Add<double>(kSeconds, time);
  }
  ExpectAsScanned(store_.reader(), kSeconds,
                  std::vector<double>{-2.5, -1, -0.0, 0.0, 0.75, 1, 2, -infinity, infinity});
  ExpectAsScanned(store_.reader(), kSeconds, std::vector<int>{-3, 0, 1, 2});
  ExpectAsScanned(store_.reader(), kSeconds,
                  std::vector<std::uint64_t>{std::numeric_limits<std::uint64_t>::max()});
}

TEST_F(RowAtTest, AFloat32FieldHasTheTimesThatReadersGet) {
  store_.AppendStep({{kNarrow, 0.1}});  // stored with all its digits
  const Reader reader = store_.reader();
  EXPECT_EQ(reader.RowAt(0.1F, kNarrow, Side::kRight), 1);
  EXPECT_EQ(reader.RowAt(0.1F, kNarrow), 0);
  EXPECT_EQ(reader.RowAt(0.1, kNarrow, Side::kBackward), 1);  // float32(0.1) is greater
}

TEST_F(RowAtTest, WholeRangesOfIntegersAreInOrder) {
  const std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  for (const std::uint64_t time : {std::uint64_t{0}, std::uint64_t{1} << 63, most}) {
    Add<std::uint64_t>(kCount, time);
  }
  const Reader reader = store_.reader();
  ExpectAsScanned(reader, kCount, std::vector<std::uint64_t>{0, 1, most / 2, most - 1, most});
  ExpectAsScanned(reader, kCount, std::vector<std::int64_t>{-1, 0, INT64_MIN, INT64_MAX});
  ExpectAsScanned(reader, kCount, std::vector<double>{-1e300, -0.5, 0.5, 0x1p63, 1e300});
}

TEST_F(RowAtTest, ExtremeTimesAreInOrder) {
  for (const std::int64_t time : {INT64_MIN + 1, std::int64_t{0}, INT64_MAX - 1, INT64_MAX}) {
    Add<std::int64_t>(kStamp, time);
  }
  ExpectAsScanned(store_.reader(), kStamp,
                  std::vector<std::int64_t>{INT64_MIN, -1, 0, 1, INT64_MAX - 1, INT64_MAX});
  ExpectAsScanned(store_.reader(), kStamp,
                  std::vector<std::uint64_t>{0, INT64_MAX, std::uint64_t{1} << 63});
  ExpectAsScanned(store_.reader(), kStamp, std::vector<double>{-1e300, 0.25, 1e300});
}

TEST_F(RowAtTest, NanAndNatAreNoTimes) {
  store_.AppendStep({{kStamp, INT64_MIN}, {kSeconds, kNan}});
  store_.AppendStep({{kStamp, 3}, {kSeconds, 3.0}});
  store_.AppendStep({{kSeconds, kNan}});
  const Reader reader = store_.reader();
  EXPECT_EQ(reader.RowAt(INT64_MIN, kStamp), 1);
  EXPECT_EQ(reader.RowAt(9.0, kSeconds, Side::kBackward), 1);
  EXPECT_CONTAINS(Refusal([&] { reader.RowAt(kNan, kStamp); }), "time 0 is NaN");
}

TEST_F(RowAtTest, RestsStandForFractionsThatNoNumberHas) {
  for (const std::int64_t time : {10, 11, 14}) Add<std::int64_t>(kStamp, time);
  const Reader reader = store_.reader();
  const auto at = [&](std::int64_t time, std::uint8_t rest, Side side) {
    Row row = -1;
    interop::FindTimes(reader, {&time, 1}, {&rest, 1}, kStamp, side, {&row, 1});
    return row;
  };
  EXPECT_EQ(at(11, 0, Side::kLeft), 1);
  EXPECT_EQ(at(11, 1, Side::kLeft), 2);
  EXPECT_EQ(at(10, 1, Side::kNearest), 0);  // a half is as near to the one before
  EXPECT_EQ(at(10, 2, Side::kNearest), 1);
  EXPECT_EQ(at(12, 1, Side::kNearest), 1);
  EXPECT_EQ(at(12, 2, Side::kNearest), 2);
  EXPECT_EQ(at(99, 3, Side::kNearest), 0);
  EXPECT_EQ(at(99, 3, Side::kBackward), 3);
  EXPECT_EQ(at(14, 2, Side::kLeft), 3);
}

TEST_F(RowAtTest, TheLastRowCountsAsItIsWhenTheReaderLooks) {
  store_.Append(0, {{kStamp, 1}});
  store_.Append(1, {});
  Reader reader = store_.reader();
  EXPECT_EQ(reader.RowAt(5, kStamp, Side::kBackward), 0);
  store_.Append(1, {{kStamp, 3}});  // the row gets the field
  EXPECT_EQ(reader.RowAt(5, kStamp, Side::kBackward), 0);
  reader.Refresh();
  EXPECT_EQ(reader.RowAt(5, kStamp, Side::kBackward), 1);
  store_.Append(2, {{kStamp, 4}});
  EXPECT_EQ(reader.RowAt(5, kStamp, Side::kBackward), 1);
  reader.Refresh();
  EXPECT_EQ(reader.RowAt(5, kStamp, Side::kBackward), 2);
  EXPECT_EQ(reader.Snapshot(1).RowAt(5, kStamp, Side::kBackward), 0);
  EXPECT_EQ(reader.Snapshot(0).RowAt(5, kStamp, Side::kNearest), 0);
}

TEST_F(RowAtTest, TimesThatFallAreRefusedWhereTheyAreSeen) {
  for (const std::int64_t time : {1, 5, 3, 4}) Add<std::int64_t>(kStamp, time);
  Reader reader = store_.reader();
  const char* expected =
      "row_at by field 'stamp': expected times that never decrease but found 5 in row 1 and 3 in "
      "row 2";
  EXPECT_CONTAINS(Refusal([&] { reader.RowAt(9, kStamp); }), expected);
  EXPECT_CONTAINS(Refusal([&] { reader.Snapshot(3).RowAt(9, kStamp); }), expected);
  EXPECT_EQ(reader.Snapshot(2).RowAt(9, kStamp, Side::kBackward), 1);
  store_.AppendStep({{kStamp, 2}});  // the last row falls, too
  store_.DropBefore(2);
  reader.Refresh();
  EXPECT_CONTAINS(Refusal([&] { reader.RowAt(9, kStamp); }), "found 4 in row 3 and 2 in row 4");
  EXPECT_EQ(reader.Snapshot(4).RowAt(9, kStamp, Side::kBackward), 3);
}

TEST_F(RowAtTest, DroppedRowsAreNotFound) {
  for (std::int64_t time = 0; time < 100; ++time) Add<std::int64_t>(kStamp, time);
  const Reader before = store_.reader();
  const std::vector<std::int64_t> asked{-1, 0, 39, 40, 41, 99, 100};
  ExpectAsScanned(before, kStamp, asked);
  store_.DropBefore(40);
  ExpectAsScanned(store_.reader(), kStamp, asked, 40);
  ExpectAsScanned(before, kStamp, asked);
  for (std::int64_t time = 100; time < 110; ++time) Add<std::int64_t>(kStamp, time);
  ExpectAsScanned(store_.reader(), kStamp, asked, 40);
}

TEST_F(RowAtTest, AnIndexOfMostlyDroppedRowsIsReplaced) {
  constexpr std::int64_t kRows = 200'000;  // more than an index keeps in any case
  std::vector<Step> steps(kRows);
  std::iota(steps.begin(), steps.end(), Step{0});
  const Column column{.type = kStamp, .source = Source::kInt64, .data = steps.data()};
  store_.Extend(steps, {&column, 1});
  const Reader before = store_.reader();
  EXPECT_EQ(before.RowAt(5, kStamp), 5);
  store_.DropBefore(150'000);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(store_.reader().RowAt(5, kStamp), 150'000);
    EXPECT_EQ(store_.reader().RowAt(kRows - 1, kStamp), kRows - 1);
    EXPECT_EQ(before.RowAt(5, kStamp), 5);
  }
}

TEST_F(RowAtTest, OtherFieldsAndRoomsAreRefused) {
  store_.AppendStep({{kFlag, true}});
  store_.AddFields(
      {{.name = "list", .shape = {kRagged}}, {.name = "note", .dtype = DType::kString}});
  Reader reader = store_.reader();
  EXPECT_CONTAINS(Refusal([&] { reader.RowAt(1, kFlag); }),
                  "row_at by field 'flag': expected one number, date, time, timestamp or duration "
                  "per row but it is bool");
  EXPECT_CONTAINS(Refusal([&] { reader.RowAt(1, 5); }), "'list'");
  EXPECT_CONTAINS(Refusal([&] { reader.RowAt(1, 6); }), "'note'");
  EXPECT_CONTAINS(Refusal([&] { reader.RowAt(1, 7); }), "expected a type id below 7");
  std::vector<Row> rows(2, -7);
  EXPECT_CONTAINS(Refusal([&] { reader.RowAt(std::vector{1, 2, 3}, kStamp, Side::kLeft, rows); }),
                  "expected room for 3 rows but found 2");
  EXPECT_CONTAINS(Refusal([&] { reader.RowAt(std::vector{1.0, kNan}, kStamp, Side::kLeft, rows); }),
                  "time 1 is NaN");
  EXPECT_EQ(rows, (std::vector<Row>{-7, -7}));
}

TEST_F(RowAtTest, AStoreWithoutTimesHasNoSuchRow) {
  for (const Side side : kSides) {
    EXPECT_EQ(store_.reader().RowAt(1, kStamp, side), 0);
  }
  store_.AppendStep({});
  store_.AppendStep({{kCount, 4}});
  for (const Side side : kSides) {
    EXPECT_EQ(store_.reader().RowAt(1, kStamp, side), 2);
  }
}

TEST_F(RowAtTest, FieldsDeclaredAnewHaveTheirOwnTimes) {
  StreamStore store = StreamStore::Temporary({.fields = {{.name = "time"}}});
  EXPECT_EQ(store.reader().RowAt(1, 0), 0);
  store.DefineFields({{.name = "time", .dtype = DType::kFloat64}});
  store.AppendStep({{0, -0.5}});
  store.AppendStep({{0, 0.5}});
  EXPECT_EQ(store.reader().RowAt(0.1, 0, Side::kNearest), 1);
}

}  // namespace
}  // namespace stream_store::internal

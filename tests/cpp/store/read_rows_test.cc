// Decoded row windows equal a plain decoding of the model's rows.
#include <bit>
#include <cstring>
#include <string>

#include <gtest/gtest.h>

#include "stream_store/error.h"

#include "store/fake_rows.h"
#include "store/read_functions.h"

namespace stream_store::internal {
namespace {

constexpr std::byte kDirt{0xa5};

template <class T>
void AppendItem(std::vector<std::byte>& bytes, T item) {
  const std::size_t at = bytes.size();
  bytes.resize(at + sizeof(T));
  std::memcpy(bytes.data() + at, &item, sizeof(T));
}

// Decodes one field-write to the field's own items, in the simplest way.
std::vector<std::byte> DecodePlainly(const Field& field, const std::vector<Value>& words) {
  std::vector<std::byte> bytes;
  for (const Value word : words) {
    switch (field.dtype) {
      case DType::kFloat32:
        AppendItem(bytes, NarrowToFloat32(static_cast<std::uint64_t>(word)));
        break;
      case DType::kFloat16:
        AppendItem(bytes, NarrowToFloat16(static_cast<std::uint64_t>(word)));
        break;
      case DType::kInt16:
        AppendItem(bytes, static_cast<std::int16_t>(word));
        break;
      case DType::kInt32:
        AppendItem(bytes, static_cast<std::int32_t>(word));
        break;
      case DType::kBool:
      case DType::kString:
        AppendItem(bytes, static_cast<std::uint8_t>(word));
        break;
      default:
        AppendItem(bytes, word);
    }
  }
  if (field.packed) {
    bytes.resize(15);
  }
  return bytes;
}

// Bytes of a whole field-write, or of one item of a ragged field.
std::size_t UnitBytes(TypeId type) {
  constexpr std::size_t kBytes[] = {8, 32, 8, 1, 1, 12, 15, 8, 2, 16, 4, 8, 0};
  return kBytes[type];
}

bool IsRagged(TypeId type) { return type == kText || type == kPoints || type == kLong; }

// One column of ReadRows() and its memory, between guard bytes.
struct Column {
  Column(TypeId type_id, std::size_t places, std::uint64_t max_length)
      : type(type_id),
        place_bytes(UnitBytes(type_id) * (IsRagged(type_id) ? max_length : 1)),
        most(max_length),
        out(places * place_bytes + 64, kDirt),
        present(places, 0xee),
        lengths(places, -7) {}

  RowsColumn ask() {
    return {type, out.data(), present.data(), IsRagged(type) ? lengths.data() : nullptr,
            IsRagged(type) ? most : 0};
  }

  TypeId type;
  std::size_t place_bytes;
  std::uint64_t most;
  std::vector<std::byte> out;
  std::vector<std::uint8_t> present;
  std::vector<std::int64_t> lengths;
};

void ExpectPlace(const FakeStore& store, const Column& column, std::size_t place, Row row) {
  const FakeWrite* write = store.Find(row, column.type);
  const std::string where =
      "row " + std::to_string(row) + " field " + store.schema()[column.type].name;
  std::vector<std::byte> expected;
  if (write != nullptr) {
    expected = DecodePlainly(store.schema()[column.type], write->values);
  }
  if (IsRagged(column.type)) {
    ASSERT_EQ(column.lengths[place],
              static_cast<std::int64_t>(expected.size() / UnitBytes(column.type)))
        << where;
  }
  expected.resize(column.place_bytes);  // cut, or filled up with zeros
  const std::byte* found = column.out.data() + place * column.place_bytes;
  ASSERT_EQ(std::vector<std::byte>(found, found + column.place_bytes), expected) << where;
  ASSERT_EQ(column.present[place], write != nullptr ? 1 : 0) << where;
}

void ExpectRows(const FakeStore& store, const std::vector<Row>& rows, std::uint64_t length,
                std::uint64_t most) {
  const std::size_t places = rows.size() * length;
  std::vector<Column> columns;
  for (TypeId type = 0; type <= kMarker; ++type) {
    columns.emplace_back(type, places, most);
  }
  std::vector<RowsColumn> asks;
  for (Column& column : columns) {
    asks.push_back(column.ask());
  }
  std::vector<Step> steps(places, -1);
  ReadRows(store.view(), rows, length, asks, steps.data());
  for (std::size_t place = 0; place < places; ++place) {
    const Row row = rows[place / length] + static_cast<Row>(place % length);
    ASSERT_EQ(steps[place], store.rows()[static_cast<std::size_t>(row)].step);
    for (const Column& column : columns) {
      ASSERT_NO_FATAL_FAILURE(ExpectPlace(store, column, place, row));
    }
  }
  for (const Column& column : columns) {
    for (std::size_t i = places * column.place_bytes; i < column.out.size(); ++i) {
      ASSERT_EQ(column.out[i], kDirt);
    }
  }
}

// Random rows in [first, bound).
std::vector<Row> RandomRows(std::uint64_t seed, std::size_t count, std::uint64_t bound,
                            Row first = 0) {
  RowMaker random(seed);
  std::vector<Row> rows;
  for (std::size_t i = 0; i < count; ++i) {
    rows.push_back(first +
                   static_cast<Row>(random.Below(bound - static_cast<std::uint64_t>(first))));
  }
  return rows;
}

TEST(ReadRowsTest, EqualsThePlainDecodingOfWildRows) {
  for (const FakeHints hints : {FakeHints::kRight, FakeHints::kAbsent, FakeHints::kRandom}) {
    for (const std::uint64_t length : {1U, 2U, 12U, 70U}) {
      for (const Row first : {0, 1, 256, 301}) {
        const FakeStore store(MixedFields(), RowMaker(length).Wild(500), hints, length, first);
        std::vector<Row> rows = RandomRows(length, 30, 500 - length + 1, first);
        rows.push_back(first);
        ASSERT_NO_FATAL_FAILURE(ExpectRows(store, rows, length, 10));
      }
    }
  }
}

TEST(ReadRowsTest, EqualsThePlainDecodingOfSteadyRows) {
  const FakeStore store(MixedFields(), RowMaker(2).Steady(600, 0));
  ExpectRows(store, RandomRows(3, 40, 589), 12, 3);
  const FakeStore mixed(MixedFields(), RowMaker(2).Steady(600, 5));
  ExpectRows(mixed, RandomRows(3, 40, 589), 12, 3);
  for (const Row first : {1, 511}) {
    const FakeStore dropped(MixedFields(), RowMaker(2).Steady(600, 0), FakeHints::kRight, 1, first);
    ExpectRows(dropped, RandomRows(3, 40, 589, first), 12, 3);
    ExpectRows(dropped, {first, 599, first}, 1, 3);
  }
}

TEST(ReadRowsTest, EqualsThePlainDecodingOfRowsInTwoRecords) {
  const FakeStore store(MixedFields(), RowMaker(2).Acting(600));
  ExpectRows(store, RandomRows(3, 40, 589), 12, 3);
  ExpectRows(store, {0, 599, 599}, 1, 0);
  const FakeStore dropped(MixedFields(), RowMaker(2).Acting(600), FakeHints::kRight, 1, 300);
  ExpectRows(dropped, RandomRows(3, 40, 589, 300), 12, 3);
}

TEST(ReadRowsTest, ReadsTheWholeStoreAsOneWindow) {
  const FakeStore store(MixedFields(), RowMaker(8).Wild(300));
  ExpectRows(store, {0}, 300, 800);
}

TEST(ReadRowsTest, FillsSeveralColumnsOfOneField) {
  const FakeStore store(MixedFields(), RowMaker(8).Steady(20, 3));
  Column first(kPose, 20, 0);
  Column second(kPose, 20, 0);
  const std::vector<RowsColumn> asks = {first.ask(), second.ask()};
  ReadRows(store.view(), std::vector<Row>{0}, 20, asks, nullptr);
  EXPECT_EQ(first.out, second.out);
  for (std::size_t place = 0; place < 20; ++place) {
    ExpectPlace(store, first, place, static_cast<Row>(place));
  }
}

TEST(ReadRowsTest, FillsPresentFlagsWithoutOutput) {
  const FakeStore store(MixedFields(), RowMaker(8).Wild(100));
  std::vector<std::uint8_t> present(100, 9);
  const RowsColumn ask{kPose, nullptr, present.data()};
  ReadRows(store.view(), std::vector<Row>{0}, 100, {&ask, 1}, nullptr);
  for (Row row = 0; row < 100; ++row) {
    EXPECT_EQ(present[static_cast<std::size_t>(row)], store.Find(row, kPose) != nullptr ? 1 : 0);
  }
}

TEST(ReadRowsTest, HandsOutSpansOfStoredWords) {
  const FakeStore store(MixedFields(), RowMaker(8).Wild(200));
  for (const TypeId type : {kText, kImage, kMarker}) {
    std::vector<std::span<const Value>> spans(200, std::span<const Value>(store.values));
    RowsColumn ask{type};
    ask.spans = spans.data();
    ReadRows(store.view(), std::vector<Row>{0}, 200, {&ask, 1}, nullptr);
    for (Row row = 0; row < 200; ++row) {
      const FakeWrite* write = store.Find(row, type);
      const auto& span = spans[static_cast<std::size_t>(row)];
      const std::vector<Value> expected = write == nullptr ? std::vector<Value>() : write->values;
      ASSERT_EQ(std::vector<Value>(span.begin(), span.end()), expected);
    }
  }
}

// Runs of every length fill their own places and no others.
TEST(ReadRowsTest, ReadsRunsIntoTheirPlaces) {
  for (const FakeHints hints : {FakeHints::kRight, FakeHints::kRandom}) {
    const Row first = hints == FakeHints::kRight ? 0 : 170;
    const FakeStore store(MixedFields(), RowMaker(4).Wild(400), hints, 4, first);
    RowMaker random(9);
    std::vector<RowRun> runs;
    std::uint64_t places = 3;
    for (int i = 0; i < 60; ++i) {
      const std::uint64_t count = random.Below(9);
      const std::uint64_t most = 400 - count - static_cast<std::uint64_t>(first);
      runs.push_back({first + static_cast<Row>(random.Below(most + 1)), count, places});
      places += count + random.Below(3);
    }
    std::swap(runs.front(), runs.back());
    Column column(kPose, places, 0);
    std::vector<Step> steps(places, -77);
    const RowsColumn ask = column.ask();
    ReadRows(store.view(), runs, {&ask, 1}, steps.data());
    std::vector<bool> filled(places, false);
    for (const RowRun& run : runs) {
      for (std::uint64_t i = 0; i < run.count; ++i) {
        const Row row = run.row + static_cast<Row>(i);
        ASSERT_NO_FATAL_FAILURE(ExpectPlace(store, column, run.place + i, row));
        ASSERT_EQ(steps[run.place + i], store.rows()[static_cast<std::size_t>(row)].step);
        filled[run.place + i] = true;
      }
    }
    for (std::uint64_t place = 0; place < places; ++place) {
      ASSERT_EQ(column.present[place] == 0xee, !filled[place]) << place;
      ASSERT_EQ(steps[place] == -77, !filled[place]) << place;
    }
    ZeroRows(store.view(), 0, places, {&ask, 1}, steps.data());
    EXPECT_EQ(column.present, std::vector<std::uint8_t>(places, 0));
    EXPECT_EQ(steps, std::vector<Step>(places, 0));
  }
}

TEST(ReadRowsTest, RefusesRunsOutsideTheStore) {
  const FakeStore store(MixedFields(), RowMaker(1).Steady(10, 0));
  for (const RowRun& run : {RowRun{8, 3, 0}, RowRun{-1, 1, 0}, RowRun{11, 0, 0}}) {
    EXPECT_THROW(ReadRows(store.view(), {&run, 1}, {}, nullptr), Error);
    EXPECT_THROW(LongestInRows(store.view(), {&run, 1}, kLong), Error);
  }
  const RowRun none{10, 0, 0};
  ReadRows(store.view(), {&none, 1}, {}, nullptr);
  EXPECT_EQ(LongestInRows(store.view(), {&none, 1}, kLong), 0U);
}

// Plans are kept from call to call; another set of columns, or another store, must not use them.
TEST(ReadRowsTest, KeepsThePlansOfColumnsApart) {
  const FakeStore first(MixedFields(), RowMaker(21).Wild(100));
  const FakeStore second(MixedFields(), RowMaker(22).Wild(100));
  for (int i = 0; i < 3; ++i) {
    for (const FakeStore* store : {&first, &second}) {
      for (TypeId type = 0; type < kMarker; ++type) {
        Column column(type, 100, 4);
        const RowsColumn ask = column.ask();
        ReadRows(store->view(), std::vector<Row>{0}, 100, {&ask, 1}, nullptr);
        for (std::size_t place = 0; place < 100; ++place) {
          ASSERT_NO_FATAL_FAILURE(ExpectPlace(*store, column, place, static_cast<Row>(place)));
        }
      }
    }
  }
}

TEST(ReadRowsTest, FindsTheLongestRaggedWrite) {
  const FakeStore store(MixedFields(), RowMaker(5).Wild(300));
  const std::vector<Row> rows = {0, 40, 250, 7};
  for (const TypeId type : {kText, kPoints, kLong}) {
    for (const std::uint64_t length : {1U, 20U, 50U}) {
      std::size_t longest = 0;
      for (const Row begin : rows) {
        for (Row row = begin; row < begin + static_cast<Row>(length); ++row) {
          const FakeWrite* write = store.Find(row, type);
          if (write != nullptr) {
            longest = std::max(longest, write->values.size());
          }
        }
      }
      EXPECT_EQ(LongestInRows(store.view(), rows, length, type),
                longest / (type == kPoints ? 3 : 1));
    }
  }
}

std::string MessageOf(const View& view, std::vector<Row> rows, std::uint64_t length,
                      TypeId type = kPose) {
  std::vector<std::byte> out(rows.size() * std::min<std::uint64_t>(length, 100) * 32, kDirt);
  const RowsColumn ask{type, out.data()};
  try {
    ReadRows(view, rows, length, {&ask, 1}, nullptr);
  } catch (const Error& error) {
    EXPECT_EQ(out, std::vector<std::byte>(out.size(), kDirt)) << "output touched";
    return error.what();
  }
  return "no error";
}

TEST(ReadRowsTest, NamesTheFirstRowOutsideAndLeavesTheOutputAlone) {
  const FakeStore store(MixedFields(), RowMaker(1).Steady(10, 0));
  EXPECT_EQ(MessageOf(store.view(), {3, 10, 11}, 1),
            "row 10 is outside [0, 10): the store has 10 rows");
  EXPECT_EQ(MessageOf(store.view(), {-1}, 1), "row -1 is outside [0, 10): the store has 10 rows");
  EXPECT_EQ(MessageOf(store.view(), {3, 6}, 5),
            "row window [6, 6 + 5) is outside [0, 10): the store has 10 rows");
  EXPECT_EQ(MessageOf(store.view(), {5}, 5), "no error");
  EXPECT_EQ(MessageOf(store.view(), {10}, 0), "no error");
  EXPECT_EQ(MessageOf(store.view(), {0}, 1, 99), "read rows: type id 99 is outside [0, 13)");
}

TEST(DecodeTest, DecodesRawWordsAndRefusesItemsOfSeveralWords) {
  const FakeStore store(MixedFields(), {});
  const std::vector<Value> words = {std::bit_cast<Value>(1.5), std::bit_cast<Value>(-2.25)};
  std::vector<float> out(2);
  Decode(store.view(), words, kPose, out.data());
  EXPECT_EQ(out, (std::vector<float>{1.5F, -2.25F}));
  for (const TypeId type : {TypeId{kImage}, TypeId{kPrice}, TypeId{kMarker}, TypeId{500}}) {
    EXPECT_THROW(Decode(store.view(), words, type, out.data()), Error) << type;
  }
}

}  // namespace
}  // namespace stream_store::internal

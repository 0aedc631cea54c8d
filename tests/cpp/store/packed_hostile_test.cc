// Reads of packed fields whose stored number of items is wrong: they return at most what the stored
// words hold, and access no memory outside the store.
//
// Most useful under AddressSanitizer: the arrays of a FakeStore have exactly the sizes that the
// View states.
#include <limits>

#include <gtest/gtest.h>

#include "stream_store/error.h"

#include "store/fake_rows.h"
#include "store/read_functions.h"
#include "support/scratch.h"

namespace stream_store::internal {
namespace {

constexpr TypeId kTextType = 1;
constexpr TypeId kPointsType = 2;
constexpr Value kMost = std::numeric_limits<Value>::max();
constexpr Value kLeast = std::numeric_limits<Value>::min();

std::vector<Field> Fields() {
  return {{.name = "number"},
          {.name = "text", .dtype = DType::kString, .packed = true},
          {.name = "points", .dtype = DType::kFloat16, .shape = {kRagged, 3}, .packed = true}};
}

// A row whose text and points store these numbers of items; the text has `words` words in all, the
// points have 24 bytes, room for 4 points.
FakeRow Row0(Step step, Value texts, std::size_t words, Value points) {
  FakeWrite text{kTextType, std::vector<Value>(words, 0x6162636465666768)};
  text.values[0] = texts;
  return {step, {{text, {kPointsType, {points, 1, 2, 3}}}}};
}

// Every kind of wrong count, each in rows of several layouts. The lengths that reads must return are
// those that fit, and those of points are whole points.
struct Hostile {
  Hostile() {
    const Value counts[] = {0, 1, 8, 9, 16, 17, 100, -1, kMost, kLeast, Value{1} << 61};
    Step step = 0;
    for (const Value count : counts) {
      for (const std::size_t words : {1U, 2U, 3U}) {
        rows.push_back(Row0(step++, count, words, count));
        const auto room = static_cast<std::uint64_t>(8 * (words - 1));
        texts.push_back(std::min(static_cast<std::uint64_t>(count), room));
        points.push_back(std::min(static_cast<std::uint64_t>(count), std::uint64_t{12}) / 3);
      }
    }
  }

  std::vector<FakeRow> rows;
  std::vector<std::uint64_t> texts;
  std::vector<std::uint64_t> points;
};

void ExpectLengths(const View& view, TypeId type, const std::vector<std::uint64_t>& expected,
                   std::uint64_t length, std::size_t item_bytes) {
  std::vector<Row> rows;
  for (std::size_t row = 0; row + length <= expected.size(); row += length) {
    rows.push_back(static_cast<Row>(row));
  }
  const std::uint64_t longest = LongestInRows(view, rows, length, type);
  EXPECT_EQ(longest, *std::ranges::max_element(expected));
  std::vector<std::byte> out(rows.size() * length * longest * item_bytes);
  std::vector<std::int64_t> lengths(rows.size() * length);
  std::vector<std::span<const Value>> spans(lengths.size());
  const RowsColumn column{type, out.data(), nullptr, lengths.data(), longest, spans.data()};
  ReadRows(view, rows, length, {&column, 1}, nullptr);
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    EXPECT_EQ(lengths[i], static_cast<std::int64_t>(expected[i])) << "row " << i;
    EXPECT_GE(spans[i].data(), view.values);
    EXPECT_LE(spans[i].data() + spans[i].size(), view.values + view.value_count);
  }
}

TEST(PackedHostileTest, ReadsAsManyItemsAsTheWordsHold) {
  const Hostile hostile;
  const FakeStore store(Fields(), hostile.rows);
  for (const std::uint64_t length : {1U, 3U, 33U}) {
    ExpectLengths(store.view(), kTextType, hostile.texts, length, 1);
    ExpectLengths(store.view(), kPointsType, hostile.points, length, 6);
  }
}

// Rows of one layout are read as a run; each has a count of its own.
TEST(PackedHostileTest, ReadsRunsOfOneLayout) {
  Hostile hostile;
  hostile.rows.clear();
  hostile.texts.clear();
  for (Step step = 0; step < 66; ++step) {
    const Value count = step % 3 == 0 ? kMost : step;
    hostile.rows.push_back(Row0(step, count, 4, 12));
    hostile.texts.push_back(std::min(static_cast<std::uint64_t>(count), std::uint64_t{24}));
  }
  const FakeStore store(Fields(), hostile.rows);
  for (const std::uint64_t length : {1U, 33U, 66U}) {
    ExpectLengths(store.view(), kTextType, hostile.texts, length, 1);
  }
}

TEST(PackedHostileTest, ALayoutWithoutTheCountIsCorrupt) {
  const FakeStore store(Fields(), {{0, {{{kTextType, {}}}}}});
  const std::vector<Row> rows = {0};
  std::int64_t length = 0;
  const RowsColumn column{kTextType, nullptr, nullptr, &length};
  EXPECT_EQ(ErrorOf([&] { ReadRows(store.view(), rows, 1, {&column, 1}, nullptr); }).code(),
            ErrorCode::kCorrupt);
  EXPECT_EQ(ErrorOf([&] { LongestInRows(store.view(), rows, 1, kTextType); }).code(),
            ErrorCode::kCorrupt);
}

// The longest field-write is found in the values, so the place of a record is checked, too.
TEST(PackedHostileTest, RecordsOutsideTheStoreAreCorrupt) {
  for (const std::uint64_t start :
       {std::uint64_t{9}, std::uint64_t{1} << 40, ~std::uint64_t{0}, ~std::uint64_t{0} - 3}) {
    FakeStore store(Fields(), {Row0(0, 1, 2, 3), Row0(1, 1, 2, 3)});
    store.records[1].start = start;
    store.Freeze();
    const std::vector<Row> rows = {0};
    EXPECT_EQ(ErrorOf([&] { LongestInRows(store.view(), rows, 2, kTextType); }).code(),
              ErrorCode::kCorrupt);
  }
}

TEST(PackedHostileTest, DecodeOfSingleWordsIsRefused) {
  const FakeStore store(Fields(), {Row0(0, 1, 2, 3)});
  const std::vector<Value> words = {1};
  std::byte out{};
  EXPECT_CONTAINS(ErrorOf([&] { Decode(store.view(), words, kTextType, &out); }).what(),
                  "field 'text' is packed string; read it with read_rows");
}

}  // namespace
}  // namespace stream_store::internal

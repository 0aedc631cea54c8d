// Tests of the rules of the stream: which appends are accepted, which are refused, and that a
// refused one leaves nothing.

#include <limits>
#include <numeric>

#include "storage/fixture.h"

namespace stream_store::internal {
namespace {

class AppendTest : public StoreTest {
 protected:
  std::string Shown() const { return Show(store_.reader()); }

  ErrorCode CodeOf(Step step, std::initializer_list<FieldWrite> writes) {
    return store_.TryAppend(step, writes);
  }

  StreamStore store_ = Open();
};

TEST_F(AppendTest, StoresAnySubsetOfTheFields) {
  EXPECT_EQ(store_.Append(0, {{0, 7}, {1, List{1, 2}}, {2, true}}), 0);
  EXPECT_EQ(store_.Append(3, {{1, List{}}}), 1);
  EXPECT_EQ(store_.Append(4, {{0, 8}, {2, false}}), 2);
  EXPECT_EQ(Shown(), "0{0:7 1:1,2 2:1} 3{1:} 4{0:8 2:0}");
}

TEST_F(AppendTest, ContinuesTheLastRowWithLaterFields) {
  store_.Append(5, {{0, 1}});
  EXPECT_EQ(store_.Append(5, {{1, List{2}}}), 0);
  EXPECT_EQ(store_.Append(5, {{2, true}}), 0);
  EXPECT_EQ(Shown(), "5{0:1 1:2 2:1}");
  EXPECT_EQ(store_.reader().records(), 3U);
}

TEST_F(AppendTest, ContinuesAlsoAfterReopening) {
  store_.Append(5, {{0, 1}});
  store_.Close();
  store_ = Open();
  EXPECT_EQ(CodeOf(5, {{0, 2}}), ErrorCode::kInvalidArgument);
  store_.Append(5, {{1, List{2}}});
  EXPECT_EQ(Shown(), "5{0:1 1:2}");
}

TEST_F(AppendTest, ContinuesAnEmptyRowAfterReopening) {
  store_.Append(5, {});
  store_.Close();
  store_ = Open();
  EXPECT_EQ(store_.Append(5, {{0, 2}}), 0);
  EXPECT_EQ(Shown(), "5{0:2}");
}

TEST_F(AppendTest, EmptyRowIsARow) {
  store_.Append(-3, {});
  store_.Append(0, {});
  EXPECT_EQ(Shown(), "-3{} 0{}");
  EXPECT_EQ(store_.reader().size(), 0U);
}

TEST_F(AppendTest, EmptyAppendToTheLastStepStoresNothing) {
  store_.Append(1, {});
  EXPECT_EQ(store_.Append(1, {}), 0);
  store_.Append(1, {{0, 1}});
  EXPECT_EQ(store_.Append(1, {}), 0);
  EXPECT_EQ(store_.reader().records(), 2U);
}

TEST_F(AppendTest, NextStepIsTheOneAfterTheLast) {
  EXPECT_EQ(store_.AppendStep({{0, 7}}), 0);
  store_.Append(40, {{0, 8}});
  EXPECT_EQ(store_.AppendStep({}), 41);
  Step step = -1;
  EXPECT_EQ(store_.TryAppendStep({{0, 1}, {0, 1}}, &step), ErrorCode::kInvalidArgument);
  EXPECT_EQ(step, -1);
  EXPECT_EQ(store_.TryAppendStep({{2, true}}, &step), ErrorCode::kOk);
  EXPECT_EQ(step, 42);
  EXPECT_EQ(Shown(), "0{0:7} 40{0:8} 41{} 42{2:1}");
}

TEST_F(AppendTest, NoStepComesAfterTheLastOfAll) {
  store_.Append(std::numeric_limits<Step>::max(), {{0, 1}});
  EXPECT_EQ(store_.TryAppendStep({{0, 2}}), ErrorCode::kInvalidArgument);
  EXPECT_THROW(store_.AppendStep({{0, 2}}), Error);
  EXPECT_EQ(Shown(), "9223372036854775807{0:1}");
}

TEST_F(AppendTest, RefusesFieldsOutOfOrderOrTwice) {
  EXPECT_EQ(CodeOf(0, {{1, List{1}}, {0, 1}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(0, {{0, 1}, {0, 1}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(0, {{3, 1}}), ErrorCode::kInvalidArgument);
  store_.Append(0, {{1, List{1}}});
  EXPECT_EQ(CodeOf(0, {{0, 1}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(0, {{1, List{1}}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(Shown(), "0{1:1}");
}

TEST_F(AppendTest, RefusesStepsThatDecrease) {
  store_.Append(5, {{0, 1}});
  EXPECT_EQ(CodeOf(4, {{0, 1}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(INT64_MIN, {}), ErrorCode::kInvalidArgument);
  store_.Append(INT64_MAX, {{0, 2}});
  EXPECT_EQ(Shown(), StrCat("5{0:1} ", INT64_MAX, "{0:2}"));
}

TEST_F(AppendTest, RefusesValuesThatDoNotBelongWhateverCameBefore) {
  EXPECT_EQ(CodeOf(0, {{0, 1.5}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(0, {{0, 1}, {1, List{1, 2}}, {2, 2}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(0, {{0, List{1, 2}}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(store_.reader().records(), 0U);
  store_.Append(0, {{0, 1}, {1, List{3, 4}}, {2, 1}});
  EXPECT_EQ(Shown(), "0{0:1 1:3,4 2:1}");
}

TEST_F(AppendTest, SeveralStepsAreAllOrNothing) {
  const std::vector<Step> steps = {0, 0, 1, 2};
  const std::vector<FieldWrite> good = {{0, 1}, {2, true}, {0, 2}, {0, 3}};
  std::vector<FieldWrite> bad = good;
  bad[3] = {2, 7};
  EXPECT_EQ(ErrorOf([&] { store_.Append(steps, bad); }).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(Shown(), "");
  store_.Append(steps, good);
  EXPECT_EQ(Shown(), "0{0:1 2:1} 1{0:2} 2{0:3}");
}

TEST_F(AppendTest, SeveralStepsMayBeginInTheLastRow) {
  store_.Append(0, {{0, 1}});
  const List two = {2};
  const std::vector<FieldWrite> writes = {{1, two}, {0, 3}};
  store_.Append(std::vector<Step>{0, 1}, writes);
  EXPECT_EQ(Shown(), "0{0:1 1:2} 1{0:3}");
}

TEST_F(AppendTest, ExtendIsAllOrNothing) {
  const std::vector<Step> steps = {0, 1, 2};
  const List numbers = {1, 2, 3};
  List flags = {0, 1, 2};
  const auto extend = [&] {
    const Column columns[] = {{.type = 0, .data = numbers.data()},
                              {.type = 2, .data = flags.data()}};
    store_.Extend(steps, columns);
  };
  EXPECT_EQ(ErrorOf(extend).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(Shown(), "");
  flags[2] = 0;
  extend();
  EXPECT_EQ(Shown(), "0{0:1 2:0} 1{0:2 2:1} 2{0:3 2:0}");
}

TEST_F(AppendTest, ExtendTellsOfTheFirstRowThatDoesNotBelong) {
  List flags(200, 1);
  flags[150] = flags[130] = 2;
  List others = flags;
  others[129] = 2;
  std::vector<Step> steps(200);
  std::iota(steps.begin(), steps.end(), 0);
  StreamStore store = StreamStore::Temporary(
      {.fields = {{.name = "a", .dtype = DType::kBool}, {.name = "b", .dtype = DType::kBool}}});
  const Column columns[] = {{.type = 0, .data = flags.data()}, {.type = 1, .data = others.data()}};
  const std::string text = ErrorOf([&] { store.Extend(steps, columns); }).what();
  EXPECT_NE(text.find("row 129"), std::string::npos) << text;
  EXPECT_NE(text.find("'b'"), std::string::npos) << text;
  others[129] = 1;
  const std::string tie = ErrorOf([&] { store.Extend(steps, columns); }).what();
  EXPECT_NE(tie.find("row 130"), std::string::npos) << tie;
  EXPECT_NE(tie.find("'a'"), std::string::npos) << tie;
}

TEST_F(AppendTest, ExtendTakesNoTextThatIsTornOverRows) {
  StreamStore store =
      StreamStore::Temporary({.fields = {{.name = "text", .dtype = DType::kString}}});
  std::vector<Step> steps(100);
  std::iota(steps.begin(), steps.end(), 0);
  for (const std::size_t torn : {0U, 62U, 63U, 64U}) {
    std::string text(100, 'x');
    text.replace(torn, 2, "\xc3\xa9");  // one character, in two rows
    const Column column{.type = 0, .source = Source::kBytes, .data = text.data(), .row_items = 1};
    const auto extend = [&] { store.Extend(steps, {&column, 1}); };
    EXPECT_EQ(ErrorOf(extend).code(), ErrorCode::kInvalidArgument) << torn;
  }
  EXPECT_EQ(store.reader().num_rows(), 0U);
}

TEST_F(AppendTest, ExtendLeavesOutWhatIsMissing) {
  const std::vector<Step> steps = {0, 1};
  const List items = {1, 2, 3};
  const std::int64_t offsets[] = {0, 3, 3};
  const std::uint8_t present[] = {1, 0};
  const Column columns[] = {
      {.type = 1, .data = items.data(), .offsets = offsets, .present = present}};
  store_.Extend(steps, columns);
  EXPECT_EQ(Shown(), "0{1:1,2,3} 1{}");
}

TEST_F(AppendTest, ExtendRefusesStepsThatAreNotNew) {
  store_.Append(1, {{0, 1}});
  const List numbers = {1, 2};
  const Column column{.type = 0, .data = numbers.data()};
  for (const std::vector<Step>& steps : {std::vector<Step>{1, 2}, {2, 2}, {3, 2}}) {
    const auto extend = [&] { store_.Extend(steps, {&column, 1}); };
    EXPECT_EQ(ErrorOf(extend).code(), ErrorCode::kInvalidArgument);
  }
  EXPECT_EQ(Shown(), "1{0:1}");
}

TEST_F(AppendTest, ManyShapesKeepTheirValues) {
  std::string expected;
  for (Step step = 0; step < 3000; ++step) {  // more shapes than the table of layouts can hold
    const List items(static_cast<std::size_t>(step), step);
    store_.Append(step, {{1, items}});
  }
  const Reader reader = store_.reader();
  for (Row row = 0; row < 3000; ++row) {
    const RowView view = reader.row(row);
    ASSERT_EQ((*view.begin()).values.size(), static_cast<std::size_t>(row));
    if (row > 0) {
      ASSERT_EQ((*view.begin()).values.back(), row);
    }
  }
}

TEST_F(AppendTest, ClosedStoreRefuses) {
  store_.Close();
  store_.Close();
  EXPECT_EQ(CodeOf(0, {{0, 1}}), ErrorCode::kClosed);
  EXPECT_EQ(ErrorOf([&] { store_.Sync(); }).code(), ErrorCode::kClosed);
}

}  // namespace
}  // namespace stream_store::internal

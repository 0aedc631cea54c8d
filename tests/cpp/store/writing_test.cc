// Tests of StreamStore as a C++ program uses it: its states, and the messages of refused appends.

#include <array>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/store.h"
#include "stream_store/version.h"

#include "base/str_cat.h"
#include "support/scratch.h"

namespace stream_store::internal {
namespace {

using List = std::vector<std::int64_t>;

std::vector<Field> RobotFields() {
  return {{.name = "tick"},
          {.name = "joint", .dtype = DType::kFloat64, .shape = {3}},
          {.name = "contacts", .dtype = DType::kUInt8, .shape = {kRagged}},
          {.name = "frame", .dtype = DType::kUInt16, .shape = {2, 2}, .packed = true},
          {.name = "note", .dtype = DType::kString}};
}

class WritingTest : public ::testing::Test {
 protected:
  // The message of an append that must fail, and must not change the store.
  std::string Refusal(const std::function<void()>& append,
                      ErrorCode code = ErrorCode::kInvalidArgument) {
    const std::uint64_t rows = store_.reader().num_rows();
    const std::uint64_t values = store_.reader().size();
    const Error error = ErrorOf(append);
    EXPECT_EQ(error.code(), code);
    EXPECT_EQ(store_.reader().num_rows(), rows);
    EXPECT_EQ(store_.reader().size(), values);
    return error.what();
  }

  ScratchDirectory scratch_;
  StreamStore store_ = StreamStore::Open(scratch_ / "store", {.fields = RobotFields()});
};

// --- messages ---

TEST_F(WritingTest, NamesAnUnknownTypeAndHowManyThereAre) {
  EXPECT_CONTAINS(Refusal([&] { store_.Append(0, {{9, 1}}); }), "Unknown field: type id 9 of 5");
  EXPECT_CONTAINS(ErrorOf([&] { store_.type_id("joints"); }).what(),
                  "Unknown field 'joints'; declared are tick, joint, contacts, frame, note");
}

TEST_F(WritingTest, NamesTheFieldThatCameTooLateAndTheOneBefore) {
  EXPECT_CONTAINS(Refusal([&] { store_.Append(0, {{4, "x"}, {0, 1}}); }),
                  "field 'tick' (type id 0) came after field 'note' (type id 4)");
  store_.Append(0, {{0, 1}, {4, "x"}});
  EXPECT_CONTAINS(Refusal([&] { store_.Append(0, {{2, List{}}}); }),
                  "field 'contacts' (type id 2) came after field 'note' (type id 4) in step 0; "
                  "the declared order is tick, joint, contacts, frame, note");
}

TEST_F(WritingTest, NamesAFieldThatAppearsTwiceInAStepWhereverItCame) {
  EXPECT_CONTAINS(
      Refusal([&] { store_.Append(0, {{0, 1}, {0, 2}}); }),
      "field 'tick' (type id 0) appears twice in one step; fields come in declared order, "
      "each at most once");
  store_.Append(0, {{0, 1}});
  store_.Append(0, {{2, List{1}}});
  EXPECT_CONTAINS(Refusal([&] { store_.Append(0, {{0, 1}}); }),
                  "field 'tick' (type id 0) appears twice in step 0");
}

TEST_F(WritingTest, NamesTheLengthThatWasExpected) {
  const std::array<double, 2> two{};
  EXPECT_CONTAINS(Refusal([&] { store_.Append(0, {{1, two}}); }),
                  "field 'joint' (type id 1), float64[3]: expected 3 items but found 2");
  EXPECT_CONTAINS(Refusal([&] { store_.Append(0, {{3, two}}); }),
                  "packed uint16[2,2]: expected 4 items but found 2");
  const FieldWrite words(3, Source::kWords, two.data(), 2);
  EXPECT_CONTAINS(Refusal([&] { store_.Append(0, {words}); }), "expected 1 words but found 2");
}

TEST_F(WritingTest, NamesTheInvalidValueAndItsPlace) {
  EXPECT_CONTAINS(Refusal([&] { store_.Append(0, {{0, 1.5}}); }),
                  "field 'tick' (type id 0): 1.5 is not a valid int64");
  EXPECT_CONTAINS(Refusal([&] { store_.Append(0, {{2, List{7, 300}}}); }),
                  "field 'contacts' (type id 2), uint8[]: 300 (item 1) is not a valid uint8");
  EXPECT_CONTAINS(Refusal([&] { store_.Append(0, {{4, "\xff"}}); }), "is not a valid string");
}

TEST_F(WritingTest, NamesTheStepThatDecreases) {
  store_.Append(5, {{0, 1}});
  EXPECT_CONTAINS(Refusal([&] { store_.Append(4, {{0, 1}}); }),
                  "step 4 after step 5: steps never decrease (order)");
  store_.Append(std::numeric_limits<Step>::max(), {{0, 1}});
  EXPECT_CONTAINS(Refusal([&] { store_.AppendStep({{0, 1}}); }),
                  "the last step, 9223372036854775807, is the largest");
}

TEST_F(WritingTest, NamesTheRowOfACallOfManyRows) {
  const List ticks{1, 2, 3};
  const List contacts{1, 2, 999};
  const std::vector<Step> steps{0, 1, 2};
  const std::vector<Column> columns{{.type = 0, .data = ticks.data()},
                                    {.type = 2, .data = contacts.data(), .row_items = 1}};
  EXPECT_CONTAINS(Refusal([&] { store_.Extend(steps, columns); }),
                  "row 2 of the call: field 'contacts' (type id 2), uint8[]: 999 is not a valid");
  const std::vector<Column> swapped{columns[1], columns[0]};
  EXPECT_CONTAINS(Refusal([&] { store_.Extend(steps, swapped); }),
                  "field 'tick' (type id 0) came after field 'contacts' (type id 2)");
  const std::vector<Column> unknown{{.type = 7, .data = ticks.data()}};
  EXPECT_CONTAINS(Refusal([&] { store_.Extend(steps, unknown); }), "Unknown field: type id 7 of 5");
  const std::vector<Column> short_joints{{.type = 1, .data = ticks.data(), .row_items = 1}};
  EXPECT_CONTAINS(Refusal([&] { store_.Extend(steps, short_joints); }),
                  "row 0 of the call: field 'joint' (type id 1), float64[3]: expected 3 items");
  const std::vector<Step> again{0, 0, 1};
  EXPECT_CONTAINS(Refusal([&] { store_.Extend(again, columns); }),
                  "row 1 of the call: step 0 is not greater than the one before it");
}

TEST_F(WritingTest, NamesOffsetsThatDecrease) {
  const List contacts{1, 2, 3};
  const List offsets{0, 2, 1};
  const std::vector<Step> steps{0, 1};
  const std::vector<Column> columns{
      {.type = 2, .data = contacts.data(), .offsets = offsets.data()}};
  EXPECT_CONTAINS(Refusal([&] { store_.Extend(steps, columns); }),
                  "row 1 of the call: field 'contacts' (type id 2): expected offsets that are 0 or "
                  "more and do not decrease but found 2 and 1");
}

TEST_F(WritingTest, SeveralStepsNeedAStepEach) {
  const std::vector<Step> steps{0, 1};
  const std::vector<FieldWrite> writes{{0, 1}};
  EXPECT_CONTAINS(Refusal([&] { store_.Append(steps, writes); }),
                  "steps and field-writes must have equal length, found 2 and 1");
  const std::vector<FieldWrite> wrong{{0, 1}, {0, 2.5}};
  EXPECT_CONTAINS(Refusal([&] { store_.Append(steps, wrong); }), "2.5 is not a valid int64");
  const std::vector<Step> back{3, 2};
  const std::vector<FieldWrite> right{{0, 1}, {0, 2}};
  EXPECT_CONTAINS(Refusal([&] { store_.Append(back, right); }), "step 2 after step 3");
}

TEST_F(WritingTest, LongListsOfFieldsAreCutInMessages) {
  std::vector<Field> fields;
  for (int i = 0; i < 20; ++i) {
    fields.push_back({.name = StrCat("f", i)});
  }
  StreamStore many = StreamStore::Temporary({.fields = fields});
  const Error error = ErrorOf([&] { many.Append(0, {{5, 1}, {4, 1}}); });
  EXPECT_CONTAINS(error.what(), "f10, f11, …");
  EXPECT_EQ(std::string(error.what()).find("f12"), std::string::npos);
}

// --- states ---

TEST_F(WritingTest, BeforeFieldsAreDeclaredOtherCallsFail) {
  StreamStore bare = StreamStore::Open(scratch_ / "bare");
  EXPECT_FALSE(bare.declared());
  for (const auto& use : std::vector<std::function<void()>>{
           [&] { bare.Append(0, {}); }, [&] { bare.Sync(); }, [&] { bare.Reserve(1, 1); },
           [&] { bare.schema(); }, [&] { bare.reader(); }, [&] { bare.id(); }}) {
    const Error error = ErrorOf(use);
    EXPECT_EQ(error.code(), ErrorCode::kState);
    EXPECT_CONTAINS(error.what(), "needs declared fields: call define_fields() first");
  }
  EXPECT_EQ(bare.durable_rows(), 0U);
  bare.DefineFields(RobotFields());
  EXPECT_EQ(bare.Append(0, {{0, 1}}), 0);
}

TEST_F(WritingTest, ClosedItRefusesAndStaysReadable) {
  store_.Append(0, {{0, 7}});
  const Reader reader = store_.reader();
  store_.Close();
  store_.Close();
  EXPECT_TRUE(store_.closed());
  EXPECT_EQ(store_.TryAppend(1, {{0, 1}}), ErrorCode::kClosed);
  EXPECT_EQ(store_.TryAppendStep({{0, 1}}), ErrorCode::kClosed);
  EXPECT_EQ(ErrorOf([&] { store_.DefineFields(RobotFields()); }).code(), ErrorCode::kClosed);
  EXPECT_EQ(reader.row(0).begin()->values[0], 7);
  EXPECT_EQ(store_.reader().num_rows(), 1U);
}

TEST_F(WritingTest, ClosedBeforeFieldsWereDeclaredItIsClosed) {
  StreamStore bare = StreamStore::Open(scratch_ / "bare");
  bare.Close();
  EXPECT_TRUE(bare.closed());
  EXPECT_EQ(ErrorOf([&] { bare.Append(0, {}); }).code(), ErrorCode::kClosed);
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "bare"));
}

TEST_F(WritingTest, MovesTakeTheStoreAlong) {
  store_.Append(0, {{0, 7}});
  StreamStore moved = std::move(store_);
  store_ = StreamStore::Temporary({.fields = RobotFields()});
  moved.Append(1, {{0, 8}});
  EXPECT_EQ(moved.reader().num_rows(), 2U);
  EXPECT_EQ(store_.reader().num_rows(), 0U);
  EXPECT_TRUE(store_.path().empty());
  EXPECT_EQ(moved.path(), scratch_ / "store");
}

TEST_F(WritingTest, OpeningChecksTheFieldsAndTheMode) {
  store_.Close();
  const std::filesystem::path path = scratch_ / "store";
  EXPECT_EQ(ErrorOf([&] { StreamStore::Open(path, {.mode = Mode::kCreate}); }).code(),
            ErrorCode::kAlreadyExists);
  EXPECT_CONTAINS(ErrorOf([&] { StreamStore::Open(path, {.fields = {{.name = "other"}}}); }).what(),
                  "expected those of the store (tick, joint, contacts, frame, note)");
  EXPECT_EQ(ErrorOf([&] { StreamStore::Open(path, {.capacity_values = 0}); }).code(),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(ErrorOf([&] { StreamStore::Open("/proc/self/stat"); }).code(),
            ErrorCode::kAlreadyExists);
  const StreamStore again = StreamStore::Open(path, {.fields = RobotFields()});
  EXPECT_EQ(again.recovery().state, Recovery::State::kClean);
}

TEST_F(WritingTest, OnlyTemporaryStoresAreCleared) {
  EXPECT_EQ(ErrorOf([&] { store_.Clear(); }).code(), ErrorCode::kReadOnly);
  StreamStore temporary = StreamStore::Temporary({.fields = RobotFields()});
  temporary.Append(0, {{0, 7}});
  const Reader before = temporary.reader();
  temporary.Clear();
  EXPECT_EQ(temporary.reader().num_rows(), 0U);
  EXPECT_EQ(before.row(0).begin()->values[0], 7);
  temporary.Append(0, {{0, 8}});
  EXPECT_EQ(temporary.reader().row(0).begin()->values[0], 8);
  temporary.Close();
  EXPECT_EQ(ErrorOf([&] { temporary.Clear(); }).code(), ErrorCode::kClosed);
}

TEST_F(WritingTest, SyncTellsHowManyRowsAreDurable) {
  store_.Append(0, {{0, 7}});
  store_.Append(0, {{4, "x"}});
  store_.Append(1, {{0, 7}});
  EXPECT_EQ(store_.Sync(), 2U);
  EXPECT_EQ(store_.durable_rows(), 2U);
}

TEST(VersionTest, LibraryIsOfTheHeadersVersion) { EXPECT_STREQ(LibraryVersion(), kVersion); }

}  // namespace
}  // namespace stream_store::internal

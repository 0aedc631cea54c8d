// Tests of AppendResult: every rule has its reason, the reasons keep their numbers, and messages fit
// into the memory that they are given.

#include <array>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/store.h"

#include "base/str_cat.h"
#include "support/scratch.h"

namespace stream_store::internal {
namespace {

using List = std::vector<std::int64_t>;
using Reason = AppendReason;

class AppendResultTest : public ::testing::Test {
 protected:
  enum Type : TypeId { kTick, kJoint, kPairs, kSmall, kNote };

  static std::vector<Field> Fields() {
    return {{.name = "tick"},
            {.name = "joint", .dtype = DType::kFloat64, .shape = {3}},
            {.name = "pairs", .shape = {kRagged, 2}},
            {.name = "small", .dtype = DType::kUInt8},
            {.name = "note", .dtype = DType::kString}};
  }

  std::string Message(const AppendResult& result) {
    return std::string(result.Message(buffer_, store_.schema()));
  }

  ScratchDirectory scratch_;
  StreamStore store_ = StreamStore::Open(scratch_ / "store", {.fields = Fields()});
  std::array<char, 160> buffer_{};
};

TEST_F(AppendResultTest, ASuccessIsTrueAndHasTheRow) {
  const AppendResult first = store_.TryAppend(4, {{kTick, 1}});
  EXPECT_TRUE(first);
  EXPECT_EQ(first, ErrorCode::kOk);
  EXPECT_EQ(first.row(), 0);
  if (const AppendResult next = store_.TryAppend(4, {{kSmall, 1}})) {
    EXPECT_EQ(next.row(), 0);
  } else {
    ADD_FAILURE() << Message(next);
  }
  EXPECT_EQ(store_.TryAppendStep({}).row(), 1);
  EXPECT_EQ(Message(first), "append: stored row 0");
}

TEST_F(AppendResultTest, EveryRuleOfACallHasItsReasonAndMessage) {
  store_.Append(7, {{kTick, 1}, {kSmall, 1}});
  const auto expect = [&](const AppendResult& result, Reason reason, const std::string& text) {
    EXPECT_FALSE(result);
    EXPECT_EQ(result.reason(), reason) << text;
    EXPECT_EQ(result.code(), ErrorCode::kInvalidArgument) << text;
    EXPECT_EQ(result.row(), -1);
    EXPECT_EQ(Message(result), "append: " + text);
    EXPECT_EQ(store_.reader().num_rows(), 1U);
  };
  expect(store_.TryAppend(8, {{9, 1}}), Reason::kUnknownField, "unknown field: type id 9 of 5");
  expect(store_.TryAppend(8, {{kSmall, 1}, {kTick, 1}}), Reason::kWrongOrder,
         "field 'tick' (type id 0) came after field 'small' (type id 3): fields come in declared "
         "order, each at most once");
  expect(store_.TryAppend(8, {{kTick, 1}, {kSmall, 1}, {kTick, 1}}), Reason::kWrongOrder,
         "field 'tick' (type id 0) appears twice in one step: fields come in declared order, each "
         "at most once");
  expect(store_.TryAppend(7, {{kJoint, std::array{1., 2., 3.}}}), Reason::kWrongOrder,
         "field 'joint' (type id 1) came after field 'small' (type id 3): fields come in declared "
         "order, each at most once");
  expect(store_.TryAppend(8, {{kJoint, List{1, 2}}}), Reason::kWrongLength,
         "field 'joint' (type id 1): expected 3 items but found 2");
  expect(store_.TryAppend(8, {{kPairs, List{1, 2, 3}}}), Reason::kWrongLength,
         "field 'pairs' (type id 2): expected a multiple of 2 items but found 3");
  expect(store_.TryAppend(8, {{kTick, 1}, {kSmall, 300}}), Reason::kInvalidValue,
         "field 'small' (type id 3): 300 (item 0) is not a valid uint8");
  expect(store_.TryAppend(8, {{kTick, 0.5}}), Reason::kInvalidValue,
         "field 'tick' (type id 0): 0.5 (item 0) is not a valid int64");
  const std::uint64_t huge = std::numeric_limits<std::uint64_t>::max();
  expect(store_.TryAppend(8, {{kTick, huge}}), Reason::kInvalidValue,
         "field 'tick' (type id 0): 18446744073709551615 (item 0) is not a valid int64");
  expect(store_.TryAppend(8, {{kNote, "\xff"}}), Reason::kInvalidValue,
         "field 'note' (type id 4): the content (item 0) is not a valid string");
  expect(store_.TryAppend(6, {}), Reason::kStepDecreases,
         "step 6 after step 7: steps never decrease");
}

TEST_F(AppendResultTest, NamesTheFieldTheFieldWriteAndTheItem) {
  const AppendResult result =
      store_.TryAppend(0, {{kTick, 1}, {kPairs, std::array{1., 2., 3.5, 4.}}});
  EXPECT_EQ(result.reason(), Reason::kInvalidValue);
  EXPECT_EQ(result.field(), kPairs);
  EXPECT_EQ(result.write(), 1U);
  EXPECT_EQ(result.item(), 2);
}

TEST_F(AppendResultTest, NoStepFollowsTheLargest) {
  store_.Append(std::numeric_limits<Step>::max(), {});
  Step step = -1;
  const AppendResult result = store_.TryAppendStep({}, &step);
  EXPECT_EQ(result.reason(), Reason::kStepLimit);
  EXPECT_EQ(step, -1);
  EXPECT_EQ(Message(result), "append: the last step is the largest: no step can follow");
}

TEST_F(AppendResultTest, TooManyFieldsHaveAReasonOfTheirOwn) {
  const std::vector<FieldWrite> writes(65'536, FieldWrite(kTick, 1));
  EXPECT_EQ(store_.TryAppend(0, writes).reason(), Reason::kTooManyFields);
}

TEST_F(AppendResultTest, TheStateOfTheStoreComesBeforeTheRules) {
  StreamStore undeclared = StreamStore::Temporary();
  EXPECT_EQ(undeclared.TryAppend(0, {{9, 1}}).reason(), Reason::kNoFields);
  EXPECT_EQ(undeclared.TryAppendStep({}), ErrorCode::kState);
  undeclared.Close();
  EXPECT_EQ(undeclared.TryAppend(0, {}).reason(), Reason::kClosed);
  store_.Append(0, {{kTick, 1}});
  {
    const StagedRows rows = store_.Stage();
    EXPECT_EQ(store_.TryAppend(1, {{kTick, 2}}).reason(), Reason::kStaging);
    EXPECT_EQ(store_.TryAppend(0, {}).reason(), Reason::kStaging);
  }
  EXPECT_TRUE(store_.TryAppend(1, {{kTick, 2}}));
  store_.Close();
  for (const AppendResult& result :
       {store_.TryAppend(2, {{kTick, 3}}), store_.TryAppend(2, {{9, 3}}), store_.TryAppend(-2, {}),
        store_.TryAppend(1, {}), store_.TryAppendStep({{kNote, "never seen before"}})}) {
    EXPECT_EQ(result.reason(), Reason::kClosed);
    EXPECT_EQ(result, ErrorCode::kClosed);
  }
}

TEST_F(AppendResultTest, AMessageIsCutToItsMemoryAndEndsWithAZero) {
  const AppendResult result = store_.TryAppend(0, {{kSmall, -1}});
  const std::string whole = Message(result);
  for (std::size_t bytes = 0; bytes <= whole.size() + 2; ++bytes) {
    std::vector<char> memory(bytes + 1, '#');
    const std::string_view text = result.Message(std::span(memory).first(bytes), store_.schema());
    EXPECT_EQ(text, whole.substr(0, std::min(whole.size(), bytes == 0 ? 0 : bytes - 1)));
    EXPECT_EQ(memory[bytes], '#');
    if (bytes > 0) {
      EXPECT_EQ(memory[text.size()], '\0');
    }
  }
  EXPECT_EQ(result.Message(buffer_),
            "append: type id 3: -1 (item 0) is not a valid value of this field");
}

TEST_F(AppendResultTest, AMessageIsNotCutInsideACharacter) {
  StreamStore store = StreamStore::Temporary(
      {.fields = {{.name = "\u00b5\u00b5\u00b5\u00b5", .dtype = DType::kInt8}}});
  const AppendResult result = store.TryAppend(0, {{0, 200}});
  const std::string whole(result.Message(buffer_, store.schema()));
  std::array<char, 64> memory{};
  for (std::size_t bytes = 1; bytes < 40; ++bytes) {
    const std::string_view text = result.Message(std::span(memory).first(bytes), store.schema());
    EXPECT_TRUE(whole.starts_with(text));
    EXPECT_NE(static_cast<unsigned char>(whole[text.size()]) & 0xc0U, 0x80U) << bytes;
  }
}

TEST_F(AppendResultTest, ReasonsKeepTheirNumbersAndNames) {
  constexpr std::pair<Reason, int> kNumbers[] = {{Reason::kOk, 0},
                                                 {Reason::kUnknownField, 1},
                                                 {Reason::kWrongOrder, 2},
                                                 {Reason::kTooManyFields, 3},
                                                 {Reason::kWrongLength, 4},
                                                 {Reason::kInvalidValue, 5},
                                                 {Reason::kStepDecreases, 6},
                                                 {Reason::kStepLimit, 7},
                                                 {Reason::kRowLimit, 8},
                                                 {Reason::kNoFields, 20},
                                                 {Reason::kClosed, 21},
                                                 {Reason::kForked, 22},
                                                 {Reason::kStaging, 23},
                                                 {Reason::kSyncFailed, 24},
                                                 {Reason::kNoSpace, 40},
                                                 {Reason::kNoMemory, 41},
                                                 {Reason::kIo, 42}};
  for (const auto& [reason, number] : kNumbers) {
    EXPECT_EQ(static_cast<int>(reason), number);
    EXPECT_TRUE(AppendReasonName(reason).starts_with("k"));
  }
  EXPECT_EQ(AppendReasonName(static_cast<Reason>(99)), "unknown");
}

}  // namespace
}  // namespace stream_store::internal

// Windows by key, with offsets and of whole segments, through the C++ API. The Python tests compare
// random options with a model.
#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/error.h"
#include "stream_store/sampler.h"
#include "stream_store/store.h"

#include "support/scratch.h"

namespace stream_store {
namespace {

enum LaneType : TypeId { kAgent, kNumber, kAction, kDone };

void ExpectRefused(const std::function<void()>& call, const std::string& reason) {
  const Error error = internal::ErrorOf(call);
  EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
  EXPECT_NE(std::string(error.what()).find(reason), std::string::npos) << error.what();
}

StreamStore Filled(std::int64_t rows) {
  StreamStore store = StreamStore::Temporary({.fields = {{.name = "agent", .dtype = DType::kInt32},
                                                         {.name = "number", .dtype = DType::kInt64},
                                                         {.name = "action", .dtype = DType::kInt64},
                                                         {.name = "done", .dtype = DType::kBool}}});
  for (std::int64_t row = 0; row < rows; ++row) {
    // Agent 0 has two of three rows, agent 1 every third. Every tenth row ends a segment.
    const std::int64_t agent = row % 3 == 2 ? 1 : 0;
    std::vector<FieldWrite> writes = {{kAgent, agent}, {kNumber, row}};
    if (row % 5 != 0) {
      writes.emplace_back(kAction, row);
    }
    writes.emplace_back(kDone, std::int64_t{row % 10 == 9 ? 1 : 0});
    store.Append(row, writes);
  }
  return store;
}

SamplerOptions ByAgent() {
  SamplerOptions options;
  options.unit = SampleUnit::kRow;
  options.lane_by = {kAgent};
  options.replacement = false;
  options.batch_size = 1000;
  return options;
}

WindowBatch EpochOf(const StreamStore& store, const SamplerOptions& options) {
  WindowSampler sampler({store.reader()}, options);
  sampler.BeginEpoch();
  WindowBatch batch;
  EXPECT_TRUE(sampler.Next(batch));
  return batch;
}

TEST(SamplerLanesTest, EachOfSeveralBoolFieldsEndsASegment) {
  StreamStore store =
      StreamStore::Temporary({.fields = {{.name = "agent"},
                                         {.name = "terminated", .dtype = DType::kBool},
                                         {.name = "truncated", .dtype = DType::kBool}}});
  for (std::int64_t row = 0; row < 12; ++row) {
    // Agent 0 has the even rows. Its rows 4 and 8 end segments, each by another field.
    store.Append(row, {{0, row % 2}, {1, row == 4}, {2, row == 8}});
  }
  SamplerOptions options = ByAgent();
  options.segment_by = {1, 2};
  options.length = 2;
  const WindowBatch batch = EpochOf(store, options);
  std::vector<std::int64_t> starts(batch.starts().begin(), batch.starts().end());
  std::ranges::sort(starts);
  EXPECT_EQ(starts, (std::vector<std::int64_t>{0, 1, 2, 3, 5, 6, 7, 9}));
}

TEST(SamplerLanesTest, AWindowHasConsecutiveRowsOfOneAgent) {
  const StreamStore store = Filled(30);
  SamplerOptions options = ByAgent();
  options.length = 3;
  const WindowBatch batch = EpochOf(store, options);
  ASSERT_EQ(batch.size(), (20U - 2) + (10U - 2));
  std::vector<Row> rows(batch.size() * 3);
  batch.ReadRowNumbers(rows);
  std::vector<std::int64_t> numbers(rows.size());
  const RowsColumn column{.type = kNumber, .out = numbers.data()};
  std::vector<Step> steps(rows.size());
  std::vector<std::uint8_t> valid(rows.size());
  batch.ReadRows({&column, 1}, steps.data(), valid.data());
  EXPECT_EQ(numbers, rows);
  EXPECT_EQ(steps, rows);
  EXPECT_EQ(valid, std::vector<std::uint8_t>(rows.size(), 1));
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const Row first = rows[3 * i];
    EXPECT_EQ(batch.anchors()[i], first);
    EXPECT_EQ(batch.starts()[i], first);
    const std::vector<Row> wanted = first % 3 == 2 ? std::vector<Row>{first, first + 3, first + 6}
                                    : first % 3 == 0
                                        ? std::vector<Row>{first, first + 1, first + 3}
                                        : std::vector<Row>{first, first + 2, first + 3};
    EXPECT_EQ(std::vector<Row>(rows.begin() + 3 * static_cast<int>(i),
                               rows.begin() + 3 * static_cast<int>(i) + 3),
              wanted);
    EXPECT_EQ(batch.segments()[i].first, first % 3 == 2 ? 2 : 0);
    EXPECT_EQ(batch.segments()[i].end, first % 3 == 2 ? 30 : 29);
    EXPECT_FALSE(batch.segments()[i].complete);
  }
}

TEST(SamplerLanesTest, EachFieldHasItsOwnOffsets) {
  const StreamStore store = Filled(30);
  SamplerOptions options = ByAgent();
  options.offsets = {{.type = kNumber, .offsets = {-1, 0}},
                     {.type = kAction, .offsets = {0, 1, 2}}};
  options.outside = SampleOutside::kEdge;
  options.require = {kAction};
  const WindowBatch batch = EpochOf(store, options);
  ASSERT_EQ(batch.size(), 24U);  // six rows have no action
  ASSERT_EQ(batch.length(), 1U);
  ASSERT_EQ(batch.length(kNumber), 2U);
  ASSERT_EQ(batch.length(kAction), 3U);
  std::vector<std::int64_t> numbers(batch.size() * 2);
  std::vector<std::int64_t> actions(batch.size() * 3);
  std::vector<std::uint8_t> present(actions.size());
  const std::vector<RowsColumn> columns = {
      {.type = kAction, .out = actions.data(), .present = present.data()},
      {.type = kNumber, .out = numbers.data()}};
  std::vector<Step> steps(batch.size());
  batch.ReadRows(columns, steps.data());
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const Row anchor = batch.anchors()[i];
    EXPECT_EQ(steps[i], anchor);
    EXPECT_EQ(numbers[2 * i + 1], anchor);
    const bool first = anchor <= 2;  // of its agent: row 1 is the second one of agent 0
    EXPECT_EQ(batch.valid(kNumber)[2 * i], first && anchor != 1 ? 0 : 1);
    EXPECT_EQ(present[3 * i], 1);
    EXPECT_EQ(actions[3 * i], anchor);
    EXPECT_EQ(batch.valid(kAction)[3 * i + 2], anchor >= 26 - (anchor % 3 == 2 ? 2 : 0) ? 0 : 1)
        << anchor;
  }
}

TEST(SamplerLanesTest, AFieldWithoutOffsetsIsRefused) {
  const StreamStore store = Filled(10);
  SamplerOptions options = ByAgent();
  options.offsets = {{.type = kNumber, .offsets = {0}}};
  const WindowBatch batch = EpochOf(store, options);
  std::vector<std::int64_t> actions(batch.size());
  const RowsColumn column{.type = kAction, .out = actions.data()};
  ExpectRefused([&] { batch.ReadRows({&column, 1}); }, "field 2 has none");
  ExpectRefused([&] { (void)batch.valid(kAction); }, "field 2 has none");
  ExpectRefused([&] { (void)batch.length(kAction); }, "field 2 has none");
}

TEST(SamplerLanesTest, WholeSegmentsArePaddedToTheLongest) {
  const StreamStore store = Filled(35);
  SamplerOptions options = ByAgent();
  options.lane_by = {};
  options.segment_by = {kDone};
  options.whole_segments = true;
  options.length = 0;
  options.exclude = {{.begin = 12, .end = 14}};
  const WindowBatch batch = EpochOf(store, options);
  // Rows 0 to 9, 10 and 11, 14 to 19, 20 to 29; the one from row 30 on has not ended.
  ASSERT_EQ(batch.size(), 4U);
  ASSERT_EQ(batch.length(), 10U);
  std::vector<Row> rows(batch.size() * 10);
  batch.ReadRowNumbers(rows);
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const Row first = batch.anchors()[i];
    const Row end = first == 10 ? 12 : first == 14 ? 20 : first + 10;
    EXPECT_EQ(batch.segments()[i].first, first);
    EXPECT_EQ(batch.segments()[i].end, end);
    EXPECT_TRUE(batch.segments()[i].complete);
    for (Row k = 0; k < 10; ++k) {
      EXPECT_EQ(rows[10 * i + static_cast<std::size_t>(k)], first + k < end ? first + k : -1);
    }
  }
}

TEST(SamplerLanesTest, OptionsThatExcludeEachOtherAreRefused) {
  const StreamStore store = Filled(10);
  const auto make = [&store](auto change) {
    SamplerOptions options = ByAgent();
    change(options);
    WindowSampler sampler({store.reader()}, options);
  };
  ExpectRefused([&] { make([](SamplerOptions& options) { options.lanes = 2; }); },
                "expected lane_by or lanes");
  ExpectRefused([&] { make([](SamplerOptions& options) { options.unit = SampleUnit::kValue; }); },
                "lane_by: expected windows of rows");
  ExpectRefused([&] { make([](SamplerOptions& options) { options.lane_by = {kDone}; }); },
                "lane_by: expected int fields");
  ExpectRefused([&] { make([](SamplerOptions& options) { options.where = kAgent; }); },
                "where: expected a bool field");
  ExpectRefused([&] { make([](SamplerOptions& options) { options.require = {9}; }); },
                "require: type id 9");
  ExpectRefused([&] { make([](SamplerOptions& options) { options.whole_segments = true; }); },
                "whole_segments: expected segment_by");
  ExpectRefused(
      [&] {
        make([](SamplerOptions& options) { options.offsets = {{.type = kNumber, .offsets = {}}}; });
      },
      "of field 'number' but found 0");
  ExpectRefused(
      [&] { make([](SamplerOptions& options) { options.outside = SampleOutside::kZero; }); },
      "outside: expected offsets");
}

// More than the rows from which on a thread of its own reads them.
TEST(SamplerLanesTest, ManyRowsGiveTheWindowsOfASimpleLoop) {
  constexpr std::size_t kRows = 300'000;
  constexpr std::int64_t kAgents = 40;
  std::vector<Step> steps(kRows);
  std::vector<std::int64_t> agent(kRows);
  std::vector<std::uint8_t> done(kRows);
  std::vector<std::int64_t> before(kAgents, -1);  // of each agent: its last row
  std::vector<std::int64_t> wanted;               // starts of windows of two rows
  for (std::size_t row = 0; row < kRows; ++row) {
    steps[row] = static_cast<Step>(row);
    agent[row] = static_cast<std::int64_t>(row * row % 1013 % kAgents);
    done[row] = row % 11 == 3 ? 1 : 0;
    std::int64_t& last = before[static_cast<std::size_t>(agent[row])];
    if (last >= 0 && done[static_cast<std::size_t>(last)] == 0) {
      wanted.push_back(last);
    }
    last = static_cast<std::int64_t>(row);
  }
  std::ranges::sort(wanted);
  StreamStore store = StreamStore::Temporary(
      {.fields = {{.name = "agent"}, {.name = "done", .dtype = DType::kBool}}});
  const std::vector<Column> columns = {
      {.type = 0, .source = Source::kInt64, .data = agent.data(), .row_items = 1},
      {.type = 1, .source = Source::kBool, .data = done.data(), .row_items = 1}};
  store.Extend(steps, columns);
  store.Append(kRows, {{0, kAgents}, {1, true}});  // makes the row before it final
  SamplerOptions options = ByAgent();
  options.length = 2;
  options.segment_by = {1};
  options.batch_size = kRows;
  const WindowBatch batch = EpochOf(store, options);
  std::vector<std::int64_t> starts(batch.starts().begin(), batch.starts().end());
  std::ranges::sort(starts);
  EXPECT_EQ(starts, wanted);
}

TEST(SamplerLanesTest, TheMessageSaysWhyThereIsNoStart) {
  const StreamStore store = Filled(10);
  SamplerOptions options = ByAgent();
  options.length = 9;
  WindowSampler sampler({store.reader()}, options);
  ExpectRefused([&] { sampler.BeginEpoch(); },
                "a window needs 9 rows of one lane but the store has 10 rows in 2 segments of 2 "
                "lanes");
}

}  // namespace
}  // namespace stream_store

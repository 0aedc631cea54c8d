// The errors of WindowSampler: invalid options, no valid start, states of other samplers.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/error.h"
#include "stream_store/sampler.h"

#include "store/sampler_model.h"
#include "support/scratch.h"

namespace stream_store::internal {
namespace {

std::string MessageOf(const std::vector<Reader>& readers, const SamplerOptions& options) {
  try {
    WindowSampler sampler(readers, options);
    WindowBatch batch;
    sampler.Sample(batch);
    return "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }
}

TEST(WindowSamplerTest, RefusesInvalidOptions) {
  Plain plain;
  const std::vector<Reader> one = {plain.store.reader()};
  EXPECT_EQ(MessageOf({}, {}), "sampler: expected at least one store");
  EXPECT_EQ(MessageOf(one, {.length = 0}), "sampler: length: expected 1 to 4294967295 but found 0");
  EXPECT_EQ(MessageOf(one, {.batch_size = 0}),
            "sampler: batch_size: expected 1 to 4294967295 but found 0");
  EXPECT_EQ(MessageOf(one, {.rank = 2, .world_size = 2}),
            "sampler: rank: expected [0, 2) but found 2");
  EXPECT_EQ(MessageOf(one, {.pad = SamplePad::kLeft}),
            "sampler: pad: expected windows of rows but found windows of values");
  EXPECT_EQ(MessageOf(one, {.lanes = 2}),
            "sampler: lanes: expected windows of rows but found windows of values");
  EXPECT_EQ(MessageOf(one, {.segment_by = {kItemsType}}).substr(0, 19), "segments: expected ");
  const StreamStore other = StreamStore::Temporary({.fields = {{.name = "x"}}});
  EXPECT_EQ(MessageOf({one[0], other.reader()}, {}),
            "sampler: expected stores of equal fields but the fields of store 1 differ from the "
            "fields of store 0: type id 0: expected 'episode' (int32) but found 'x' (int64)");
}

TEST(WindowSamplerTest, RefusesToReadWindowsOfTheOtherUnit) {
  Plain plain;
  WindowBatch rows;
  WindowSampler({plain.store.reader()}, {.unit = SampleUnit::kRow}).Sample(rows);
  WindowBatch values;
  WindowSampler({plain.store.reader()}, {}).Sample(values);
  const auto code = [](const auto& read) { return ErrorOf(read).code(); };
  EXPECT_EQ(code([&] { rows.ReadWindows({}); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([&] { values.ReadRows({}); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([&] { values.LongestInRows(kItemsType); }), ErrorCode::kInvalidArgument);
}

TEST(WindowSamplerTest, SaysHowManyRowsThereAreWhenNoWindowFits) {
  Plain plain;
  const std::vector<Reader> one = {plain.store.reader()};
  EXPECT_EQ(MessageOf(one, {.length = 101, .unit = SampleUnit::kRow}),
            "no valid start: a window needs 101 rows but the store has 100 rows");
  EXPECT_EQ(
      MessageOf(one, {.length = 11, .unit = SampleUnit::kRow, .segment_by = {kCutType}}),
      "no valid start: a window needs 11 rows of one segment but the store has 100 rows in 10 "
      "segments");
  EXPECT_EQ(MessageOf(one, {.length = 5000}),
            "no valid start: a window needs 5000 values but the store has 200 values in 100 rows");
  EXPECT_EQ(
      MessageOf(one, {.length = 3, .first_row = 99}),
      "no valid start: a window needs 3 values, starting in rows [99, end), but the store has "
      "200 values in 100 rows");
}

TEST(WindowSamplerTest, SaysWhichWindowsDoNotFitWithLanesAndPadding) {
  StreamStore store = StreamStore::Temporary({.fields = SamplerFields()});
  const std::vector<Reader> two = {store.reader(), store.reader()};
  EXPECT_EQ(MessageOf(two, {.length = 4, .unit = SampleUnit::kRow, .lanes = 2, .last_row = 9}),
            "no valid start: a window needs 4 rows of one of 2 lanes, starting in rows [0, 9), but "
            "store 0 has 0 rows; store 1 has 0 rows");
  EXPECT_EQ(MessageOf({two[0]}, {.length = 4, .unit = SampleUnit::kRow, .pad = SamplePad::kRight}),
            "no valid start: a window needs at least one row but the store has 0 rows");
  store.Append(0, {{kEpisodeType, 1}});
  EXPECT_EQ(MessageOf({store.reader()}, {.length = 1, .unit = SampleUnit::kRow}),
            "no valid start: a window needs 1 row but the store has 1 row (0 complete)");
  WindowSampler epochs({store.reader()},
                       {.length = 1, .unit = SampleUnit::kRow, .replacement = false});
  WindowBatch batch;
  EXPECT_THROW(epochs.Next(batch), Error);
  EXPECT_THROW(epochs.BeginEpoch(), Error);
}

TEST(WindowSamplerTest, RefusesStatesOfOtherSamplers) {
  Plain plain;
  Plain other;
  SamplerOptions options{.length = 2, .replacement = false};
  WindowSampler sampler({plain.store.reader()}, options);
  WindowBatch batch;
  sampler.BeginEpoch();
  sampler.Next(batch);
  const SamplerState before = sampler.state();
  WindowSampler foreign({other.store.reader()}, options);
  EXPECT_THROW(foreign.Restore(before), Error);
  SamplerState state = before;
  state.extents[0].rows = 101;
  EXPECT_THROW(sampler.Restore(state), Error);
  state = before;
  state.extents.emplace_back();
  EXPECT_THROW(sampler.Restore(state), Error);
  state = before;
  state.stores.clear();
  EXPECT_THROW(sampler.Restore(state), Error);
  EXPECT_EQ(sampler.state().batches, 1U) << "a refused state changes nothing";
  WindowSampler replacing({plain.store.reader()}, {.length = 2});
  EXPECT_THROW(replacing.Restore(before), Error);
  EXPECT_THROW(replacing.BeginEpoch(), Error);
  EXPECT_THROW(replacing.EpochBatches(), Error);
  EXPECT_THROW(sampler.Sample(batch), Error);
}

}  // namespace
}  // namespace stream_store::internal

// WindowSampler beyond the choice of windows (sampler_model_test.cc): states, ranks, epochs of
// growing stores, and reading batches. For errors see sampler_errors_test.cc.
#include "stream_store/sampler.h"

#include <chrono>
#include <numeric>
#include <thread>

#include <gtest/gtest.h>

#include "stream_store/interop.h"

#include "store/sampler_model.h"
#include "support/patience.h"
#include "support/scratch.h"

namespace stream_store::internal {
namespace {

using Windows = std::vector<ModelWindow>;

TEST(WindowSamplerTest, FollowsTheStoreAndContinuesFromItsState) {
  Plain plain;
  SamplerOptions options{.length = 3, .unit = SampleUnit::kRow, .batch_size = 5, .seed = 9};
  WindowSampler sampler({plain.store.reader()}, options);
  WindowSampler twin({plain.store.reader()}, options);
  WindowBatch batch;
  Windows first;
  Windows second;
  for (int i = 0; i < 4; ++i) {
    sampler.Sample(batch);
    AddWindows(batch, first);
    twin.Sample(batch);
    AddWindows(batch, second);
  }
  EXPECT_EQ(first, second);
  WindowSampler resumed({plain.store.reader()}, options);
  resumed.Restore(sampler.state());
  ModelRow row;
  row.episode = 99;
  row.cut = false;
  for (int i = 0; i < 900; ++i) {
    plain.model.Append(plain.store, row);
  }
  std::int64_t largest = 0;
  for (int i = 0; i < 40; ++i) {
    Windows here;
    Windows there;
    sampler.Sample(batch);
    AddWindows(batch, here);
    resumed.Sample(batch);
    AddWindows(batch, there);
    ASSERT_EQ(here, there);
    largest = std::max(largest, *std::max_element(batch.starts().begin(), batch.starts().end()));
  }
  EXPECT_GT(largest, 500);
}

TEST(WindowSamplerTest, RanksDrawDifferentWindows) {
  Plain plain;
  SamplerOptions options{.length = 3, .batch_size = 50, .world_size = 2};
  WindowSampler zero({plain.store.reader()}, options);
  options.rank = 1;
  WindowSampler one({plain.store.reader()}, options);
  WindowBatch first;
  WindowBatch second;
  zero.Sample(first);
  one.Sample(second);
  EXPECT_FALSE(std::equal(first.starts().begin(), first.starts().end(), second.starts().begin()));
}

TEST(WindowSamplerTest, EpochsDiffer) {
  Plain plain;
  WindowSampler sampler(
      {plain.store.reader()},
      {.length = 2, .unit = SampleUnit::kRow, .batch_size = 7, .replacement = false});
  const Windows first = EpochOf(sampler);
  const Windows second = EpochOf(sampler);
  EXPECT_NE(first, second);
  EXPECT_EQ(Sorted(first), Sorted(second));
}

TEST(WindowSamplerTest, StateDoesNotCountBatchesDrawnAhead) {
  Plain plain;
  SamplerOptions options{.length = 2, .batch_size = 10, .replacement = false};
  WindowSampler sampler({plain.store.reader()}, options);
  WindowBatch batch;
  sampler.BeginEpoch();
  Windows expected;
  sampler.Next(batch);
  AddWindows(batch, expected);
  const SamplerState handed_out = sampler.state();
  Windows ahead;
  sampler.Next(batch);
  AddWindows(batch, ahead);
  interop::SetPrefetched(sampler, 1);
  EXPECT_EQ(sampler.state().batches, handed_out.batches);
  interop::ReturnPrefetched(sampler);
  Windows again;
  sampler.Next(batch);
  AddWindows(batch, again);
  EXPECT_EQ(ahead, again);
}

// A prefetch draws the end of the epoch long before its caller sees it.
TEST(WindowSamplerTest, AnEndThatWasNotHandedOutIsNotCounted) {
  Plain plain;
  SamplerOptions options{.length = 100, .batch_size = 1, .replacement = false};
  WindowSampler sampler({plain.store.reader()}, options);
  WindowBatch batch;
  sampler.BeginEpoch();
  const std::uint64_t batches = sampler.EpochBatches();
  while (sampler.Next(batch)) {
  }
  EXPECT_TRUE(sampler.state().finished);
  interop::SetPrefetched(sampler, 0, /*end=*/true);
  EXPECT_FALSE(sampler.state().finished);
  EXPECT_EQ(sampler.state().batches, batches);
  interop::SetPrefetched(sampler, 2, /*end=*/true);
  EXPECT_FALSE(sampler.state().finished);
  EXPECT_EQ(sampler.state().batches, batches - 2);
  interop::ReturnPrefetched(sampler);
  EXPECT_TRUE(sampler.Next(batch));
  EXPECT_TRUE(sampler.Next(batch));
  EXPECT_FALSE(sampler.state().finished);
  EXPECT_FALSE(sampler.Next(batch));
  EXPECT_TRUE(sampler.state().finished);
}

// The last row may still get its second field, until the writer closes. No record is added then.
TEST(WindowSamplerTest, ALastRowCountsOnceItsWriterHasClosed) {
  StreamStore store = StreamStore::Temporary({.fields = {Field{.name = "a"}, Field{.name = "b"}}});
  store.Append(0, {{0, 1}, {1, 1}});
  store.Append(1, {{0, 1}});
  WindowSampler sampler({store.reader()}, {.length = 1, .unit = SampleUnit::kRow});
  EXPECT_EQ(sampler.NumStarts(), 1U);
  store.Close();
  EXPECT_EQ(sampler.NumStarts(), 2U);
}

TEST(WindowSamplerTest, ReadingStartsDoesNotMoveTheEpochUnderWay) {
  Plain plain;
  WindowSampler sampler({plain.store.reader()},
                        {.length = 2, .unit = SampleUnit::kRow, .replacement = false});
  sampler.BeginEpoch();
  ModelRow row;
  row.cut = false;  // its last field, so that the row is complete
  plain.model.Append(plain.store, row);
  WindowBatch batch;
  const std::uint64_t last[] = {98};
  const std::uint64_t after[] = {99};  // only in the next epoch
  interop::ReadStarts(sampler, last, batch);
  EXPECT_EQ(sampler.state().extents[0].rows, 100U);
  EXPECT_EQ(ErrorOf([&] { interop::ReadStarts(sampler, after, batch); }).code(),
            ErrorCode::kOutOfRange);
  EXPECT_EQ(sampler.EpochBatches(), 99U);
}

TEST(WindowSamplerTest, TheLongestListMayBeOfAnyStore) {
  std::vector<StreamStore> stores;
  std::vector<Reader> readers;
  for (const std::size_t length : {2U, 5U, 3U}) {
    stores.push_back(StreamStore::Temporary({.fields = {Field{.name = "l", .shape = {kRagged}}}}));
    stores.back().Append(0, {{0, std::vector<std::int64_t>(length, 7)}});
    readers.push_back(stores.back().reader());
  }
  WindowSampler sampler(
      std::move(readers),
      {.length = 1, .unit = SampleUnit::kRow, .batch_size = 3, .replacement = false});
  sampler.BeginEpoch();
  WindowBatch batch;
  sampler.Next(batch);
  EXPECT_EQ(batch.LongestInRows(0), 5U);
}

TEST(WindowSamplerTest, NumbersKeepTheirStartsWhileTheStoreGrows) {
  ModelStream model(5);
  StreamStore store = StreamStore::Temporary({.fields = SamplerFields()});
  for (const auto& cuts : std::vector<std::vector<TypeId>>{{}, {kEpisodeType}}) {
    SamplerOptions options{.length = 3, .unit = SampleUnit::kRow, .segment_by = cuts};
    WindowSampler sampler({store.reader()}, options);
    Windows known;
    for (int stop = 0; stop < 10; ++stop) {
      for (int i = 0; i < 20; ++i) {
        model.Append(store, model.MakeRow(9));
      }
      std::vector<std::uint64_t> numbers(sampler.NumStarts());
      std::iota(numbers.begin(), numbers.end(), 0);
      WindowBatch batch;
      interop::ReadStarts(sampler, numbers, batch);
      Windows windows;
      AddWindows(batch, windows);
      ASSERT_TRUE(std::equal(known.begin(), known.end(), windows.begin()));
      known = windows;
    }
    WindowBatch batch;
    const std::uint64_t outside = known.size();
    EXPECT_THROW(interop::ReadStarts(sampler, {&outside, 1}, batch), Error);
  }
}

TEST(WindowSamplerTest, CountsNewStartsDuringAnEpochThatKeepsItsOwn) {
  Plain plain;
  for (const auto& cuts : std::vector<std::vector<TypeId>>{{}, {kCutType}}) {
    SamplerOptions options{
        .length = 10, .unit = SampleUnit::kRow, .replacement = false, .segment_by = cuts};
    WindowSampler sampler({plain.store.reader()}, options);
    sampler.BeginEpoch();
    const std::uint64_t batches = sampler.EpochBatches();
    ModelRow row;
    row.cut = false;
    for (int i = 0; i < 10; ++i) {
      plain.model.Append(plain.store, row);
    }
    EXPECT_GT(sampler.NumStarts(), batches);
    EXPECT_EQ(sampler.EpochBatches(), batches);
    WindowBatch batch;
    std::uint64_t drawn = 0;
    while (sampler.Next(batch)) {
      ++drawn;
    }
    EXPECT_EQ(drawn, batches);
  }
}

// Samplers share the index of segments, so it can hold segments that end after the last row of an
// older snapshot, where that snapshot's Reader cannot look up positions.
TEST(WindowSamplerTest, CountsStartsOfASnapshotOlderThanTheIndex) {
  Plain plain;
  const Reader snapshot = plain.store.reader().Snapshot(50);
  WindowSampler newer({plain.store.reader()},
                      {.length = 2, .unit = SampleUnit::kRow, .segment_by = {kCutType}});
  EXPECT_EQ(newer.NumStarts(), 90U);
  WindowSampler older({snapshot}, {.length = 2, .segment_by = {kCutType}});
  EXPECT_EQ(older.NumStarts(), 5U * 19U);
}

// A closed store can end with a row that lacks fields. An epoch over it keeps that row as it was,
// also when a writer completes it later.
TEST(WindowSamplerTest, AnEpochKeepsTheLastRowItBeganWith) {
  ScratchDirectory directory;
  const auto path = directory.path() / "store";
  const auto append = [&](Step step, std::vector<FieldWrite> writes) {
    StreamStore store = StreamStore::Open(path, {.fields = SamplerFields()});
    store.Append(step, writes);
  };
  {
    StreamStore store = StreamStore::Open(path, {.fields = SamplerFields()});
    for (Step step = 0; step < 10; ++step) {
      store.Append(step, {{kEpisodeType, 1}, {kCutType, false}});
    }
  }
  append(10, {});  // without an episode the row counts as one of the segment before
  SamplerOptions options{
      .length = 2, .unit = SampleUnit::kRow, .replacement = false, .segment_by = {kEpisodeType}};
  WindowSampler sampler({Reader::Open(path)}, options);
  WindowBatch batch;
  sampler.BeginEpoch();
  EXPECT_EQ(sampler.EpochBatches(), 10U);
  sampler.Next(batch);
  Windows found;
  AddWindows(batch, found);
  const SamplerState state = sampler.state();
  append(10, {{kEpisodeType, 2}});  // the same row now begins a segment
  append(11, {{kEpisodeType, 2}, {kCutType, false}});
  WindowSampler resumed({Reader::Open(path)}, options);
  EXPECT_EQ(resumed.NumStarts(), 10U);
  resumed.Restore(state);
  while (sampler.Next(batch)) {
    AddWindows(batch, found);
  }
  Windows rest;
  const Windows of_resumed = EpochOf(resumed);
  EXPECT_TRUE(std::equal(of_resumed.begin(), of_resumed.end(), found.begin() + 1));
  EXPECT_EQ(found.size(), 10U);
  EXPECT_EQ(std::get<1>(Sorted(found).back()), 9);
}

TEST(WindowSamplerTest, ReadsTheRowsOfItsWindows) {
  ModelStream model(3);
  std::vector<StreamStore> stores;
  std::vector<Reader> readers;
  for (int which = 0; which < 2; ++which) {
    stores.push_back(StreamStore::Temporary({.fields = SamplerFields()}));
    for (int i = 0; i < 60; ++i) {
      ModelRow row;
      row.episode = 1000 * which + i / 20;
      row.items = static_cast<std::uint64_t>(i % 4);
      row.cut = false;
      model.Append(stores.back(), row);
      model.rows.resize(static_cast<std::size_t>(i) + 1);
    }
    model.rows.clear();
    readers.push_back(stores.back().reader());
  }
  for (const std::uint64_t lanes : {1U, 3U}) {
    for (const SamplePad pad : {SamplePad::kNone, SamplePad::kLeft, SamplePad::kRight}) {
      SamplerOptions options{.length = 4,
                             .unit = SampleUnit::kRow,
                             .batch_size = 64,
                             .segment_by = {kEpisodeType},
                             .pad = pad,
                             .lanes = lanes};
      WindowSampler sampler(readers, options);
      WindowBatch batch;
      sampler.Sample(batch);
      std::vector<std::int32_t> episodes(64 * 4, -1);
      std::vector<std::uint8_t> present(64 * 4, 9);
      std::vector<std::uint8_t> valid(64 * 4, 9);
      std::vector<Step> steps(64 * 4, -1);
      const RowsColumn column{kEpisodeType, episodes.data(), present.data()};
      batch.ReadRows({&column, 1}, steps.data(), valid.data());
      for (std::size_t place = 0; place < episodes.size(); ++place) {
        const std::size_t window = place / 4;
        const std::uint64_t lead = pad == SamplePad::kNone ? 0 : batch.lead()[window];
        const std::uint64_t count = pad == SamplePad::kNone ? 4 : batch.count()[window];
        const std::uint64_t at = place % 4;
        const bool there = at >= lead && at < lead + count;
        const std::int64_t row =
            there ? batch.starts()[window] + static_cast<std::int64_t>((at - lead) * lanes) : 0;
        ASSERT_EQ(valid[place], there ? 1 : 0);
        ASSERT_EQ(present[place], there ? 1 : 0);
        ASSERT_EQ(steps[place], row);
        ASSERT_EQ(episodes[place], there ? 1000 * batch.stores()[window] + row / 20 : 0);
      }
      EXPECT_LE(batch.LongestInRows(kItemsType), 3U);
    }
  }
}

TEST(WindowSamplerTest, ReadsValueWindowsOfSeveralStores) {
  std::vector<StreamStore> stores;
  for (std::int64_t which = 0; which < 2; ++which) {
    stores.push_back(StreamStore::Temporary({.fields = {{.name = "x"}}}));
    for (Step step = 0; step < 50; ++step) {
      stores.back().Append(step, {{TypeId{0}, 1000 * which + step}});
    }
  }
  for (const std::size_t count : {1U, 2U}) {
    std::vector<Reader> readers;
    for (std::size_t which = 0; which < count; ++which) {
      readers.push_back(stores[which].reader());
    }
    WindowSampler sampler(readers, {.length = 7, .batch_size = 40});
    WindowBatch batch;
    sampler.Sample(batch);
    std::vector<Value> values(40 * 7);
    std::vector<std::int64_t> types(40 * 7, -1);
    std::vector<Step> steps(40 * 7);
    std::vector<float> numbers(40 * 7);
    std::vector<std::int64_t> offsets(40 * 7, -1);
    std::vector<Row> rows(40 * 7);
    batch.ReadWindows(
        {values.data(), types.data(), steps.data(), numbers.data(), offsets.data(), rows.data()});
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::int64_t at = batch.starts()[i / 7] + static_cast<std::int64_t>(i % 7);
      ASSERT_EQ(values[i], 1000 * batch.stores()[i / 7] + at);
      ASSERT_EQ(numbers[i], static_cast<float>(values[i]));
      ASSERT_EQ(steps[i], at);
      ASSERT_EQ(rows[i], at);
      ASSERT_EQ(types[i], 0);
      ASSERT_EQ(offsets[i], 0);
    }
  }
}

TEST(WindowSamplerTest, AnEmptyBatchReadsNothing) {
  const WindowBatch batch;
  batch.ReadWindows({});
  batch.ReadRows({});
  EXPECT_EQ(batch.LongestInRows(0), 0U);
}

TEST(WindowSamplerTest, WaitsForTheFirstWindow) {
  StreamStore store = StreamStore::Temporary({.fields = SamplerFields()});
  WindowSampler sampler({store.reader()},
                        {.length = 3, .unit = SampleUnit::kRow, .segment_by = {kCutType}});
  EXPECT_FALSE(sampler.WaitForStart(std::chrono::milliseconds(3)));
  std::thread writer([&store] {
    for (Step step = 0; step < 5; ++step) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      store.Append(step, {{kCutType, false}});
    }
  });
  EXPECT_TRUE(sampler.WaitForStart(kPatience));
  writer.join();
  EXPECT_EQ(sampler.NumStarts(), 3U);
  EXPECT_EQ(interop::UnscannedRows(sampler), 0U);
  store.Append(5, {{kCutType, true}});
  EXPECT_EQ(interop::UnscannedRows(sampler), 1U);
}

TEST(WindowSamplerTest, MovesWithItsState) {
  Plain plain;
  WindowSampler sampler({plain.store.reader()}, {.length = 2, .batch_size = 3});
  WindowBatch batch;
  sampler.Sample(batch);
  WindowSampler moved = std::move(sampler);
  EXPECT_EQ(moved.state().batches, 1U);
  EXPECT_EQ(moved.options().batch_size, 3U);
}

}  // namespace
}  // namespace stream_store::internal

// Samplers draw exactly the windows of a plain model, each as often as any other, and resume.
#include "stream_store/sampler.h"

#include <cmath>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "base/str_cat.h"
#include "store/sampler_model.h"
#include "support/scratch.h"

namespace stream_store {
namespace {

using Windows = std::vector<ModelWindow>;

// Options of every kind, drawn at random.
SamplerOptions RandomOptions(ModelStream& random, std::uint64_t rows) {
  SamplerOptions options;
  options.length = 1 + random.Below(6);
  options.unit = random.Below(3) == 0 ? SampleUnit::kValue : SampleUnit::kRow;
  if (options.unit == SampleUnit::kRow) {
    options.pad = static_cast<SamplePad>(random.Below(3));
    options.lanes = random.Below(2) == 0 ? 1 : 1 + random.Below(5);
  } else {
    options.align = static_cast<SampleAlign>(random.Below(2));
  }
  const std::vector<std::vector<TypeId>> cuts = {
      {}, {kEpisodeType}, {kDoneType}, {kCutType}, {kDoneType, kCutType}};
  options.segment_by = cuts[random.Below(cuts.size())];
  if (random.Below(3) == 0) {
    const auto most = static_cast<Row>(rows + 2);
    options.first_row = static_cast<Row>(random.Below(rows + 2)) - (random.Below(2) ? most : 0);
    if (random.Below(2) == 0) {
      options.last_row = static_cast<Row>(random.Below(rows + 2)) - (random.Below(2) ? most : 0);
    }
  }
  options.batch_size = 1 + random.Below(7);
  options.seed = random.Below(1000);
  return options;
}

Windows EpochOf(WindowSampler& sampler) {
  Windows windows;
  WindowBatch batch;
  sampler.BeginEpoch();
  while (sampler.Next(batch)) {
    AddWindows(batch, windows);
  }
  return windows;
}

Windows Sorted(Windows windows) {
  std::sort(windows.begin(), windows.end());
  return windows;
}

std::string TextOf(const SamplerOptions& options) {
  std::string text =
      StrCat("length ", options.length, " unit ", static_cast<int>(options.unit), " align ",
             static_cast<int>(options.align), " pad ", static_cast<int>(options.pad), " lanes ",
             options.lanes, " rows ", options.first_row, "..");
  text += StrCat(options.last_row ? std::to_string(*options.last_row) : "", " cuts");
  for (const TypeId type : options.segment_by) {
    text += StrCat(" ", type);
  }
  return text;
}

class ModelTest : public testing::TestWithParam<std::uint64_t> {};

INSTANTIATE_TEST_SUITE_P(Seeds, ModelTest, testing::Range<std::uint64_t>(0, 12));

// Grows a store and, at every stop, compares samplers old and new with the model.
TEST_P(ModelTest, AnEpochIsEveryValidWindowOnce) {
  ModelStream model(GetParam());
  StreamStore store = StreamStore::Temporary({.fields = SamplerFields()});
  std::vector<std::pair<SamplerOptions, WindowSampler>> samplers;
  for (int stop = 0; stop < 12; ++stop) {
    for (std::uint64_t i = model.Below(40); i > 0; --i) {
      model.Append(store, model.MakeRow(6));
    }
    for (int i = 0; i < 6; ++i) {
      SamplerOptions options = RandomOptions(model, model.rows.size());
      options.replacement = false;
      samplers.emplace_back(options, WindowSampler({store.reader()}, options));
    }
    for (auto& [options, sampler] : samplers) {
      const Windows expected = model.Windows(options, model.whole_rows());
      ASSERT_EQ(sampler.NumStarts(), expected.size()) << TextOf(options);
      if (expected.empty()) {
        EXPECT_THROW(sampler.BeginEpoch(), Error);
        continue;
      }
      ASSERT_EQ(Sorted(EpochOf(sampler)), expected) << TextOf(options);
    }
  }
}

// The same of a store that nobody writes: its last row counts, whole or not.
TEST_P(ModelTest, AClosedStoreHasItsLastRow) {
  ScratchDirectory directory;
  ModelStream model(100 + GetParam());
  const auto path = directory.path() / "store";
  for (int session = 0; session < 2; ++session) {
    {
      StreamStore store = StreamStore::Open(path, {.fields = SamplerFields()});
      for (std::uint64_t i = 1 + model.Below(20); i > 0; --i) {
        model.Append(store, model.MakeRow(4));
      }
    }
    const Reader reader = Reader::Open(path);
    for (int i = 0; i < 30; ++i) {
      SamplerOptions options = RandomOptions(model, model.rows.size());
      options.replacement = false;
      WindowSampler sampler({reader}, options);
      const Windows expected = model.Windows(options, model.rows.size());
      ASSERT_EQ(sampler.NumStarts(), expected.size()) << TextOf(options);
      if (!expected.empty()) {
        ASSERT_EQ(Sorted(EpochOf(sampler)), expected) << TextOf(options);
      }
    }
  }
}

TEST_P(ModelTest, RanksAndStoresShareAnEpochDisjointly) {
  ModelStream model(200 + GetParam());
  std::vector<ModelStream> streams;
  std::vector<StreamStore> stores;
  for (std::uint64_t i = 0; i < 3; ++i) {
    streams.emplace_back(i + 10 * GetParam());
    stores.push_back(StreamStore::Temporary({.fields = SamplerFields()}));
    for (std::uint64_t row = model.Below(60); row > 0; --row) {
      streams[i].Append(stores[i], streams[i].MakeRow(5));
    }
  }
  for (int i = 0; i < 20; ++i) {
    SamplerOptions options = RandomOptions(model, 40);
    options.replacement = false;
    options.world_size = 1 + model.Below(4);
    options.drop_last = model.Below(2) == 0;
    Windows expected;
    std::vector<Reader> readers;
    for (std::size_t which = 0; which < stores.size(); ++which) {
      readers.push_back(stores[which].reader());
      for (const ModelWindow& window : streams[which].Windows(options, streams[which].whole_rows(),
                                                              static_cast<std::int64_t>(which))) {
        expected.push_back(window);
      }
    }
    if (expected.empty()) {
      continue;
    }
    Windows all;
    std::set<std::uint64_t> batches;
    for (options.rank = 0; options.rank < options.world_size; ++options.rank) {
      WindowSampler sampler(readers, options);
      const std::uint64_t promised = sampler.EpochBatches();
      const Windows mine = EpochOf(sampler);
      ASSERT_EQ((mine.size() + options.batch_size - 1) / options.batch_size, promised);
      batches.insert(promised);
      all.insert(all.end(), mine.begin(), mine.end());
    }
    if (!options.drop_last) {
      ASSERT_EQ(Sorted(all), Sorted(expected)) << TextOf(options);
      continue;
    }
    ASSERT_EQ(batches.size(), 1U);
    const std::uint64_t whole = options.world_size * options.batch_size;
    ASSERT_EQ(all.size(), expected.size() / whole * whole);
    ASSERT_TRUE(std::includes(expected.begin(), expected.end(), all.begin(), all.begin()));
    Windows sorted = Sorted(all);
    const Windows from = Sorted(expected);
    ASSERT_TRUE(std::includes(from.begin(), from.end(), sorted.begin(), sorted.end()));
  }
}

// Cuts an epoch at any batch, lets the store grow, and goes on elsewhere.
TEST_P(ModelTest, AnEpochResumesExactlyAfterGrowth) {
  ModelStream model(300 + GetParam());
  StreamStore store = StreamStore::Temporary({.fields = SamplerFields()});
  for (int round = 0; round < 15; ++round) {
    for (int i = 0; i < 15; ++i) {
      model.Append(store, model.MakeRow(6));
    }
    SamplerOptions options = RandomOptions(model, model.rows.size());
    options.replacement = false;
    WindowSampler sampler({store.reader()}, options);
    if (sampler.NumStarts() == 0) {
      continue;
    }
    const Windows first_epoch = EpochOf(sampler);
    WindowSampler whole({store.reader()}, options);
    const std::uint64_t batches = whole.EpochBatches();
    const Windows expected = EpochOf(whole);
    ASSERT_EQ(first_epoch, expected) << "the order is a function of seed, epoch and starts";

    WindowSampler cut({store.reader()}, options);
    Windows found;
    WindowBatch batch;
    cut.BeginEpoch();
    for (std::uint64_t i = model.Below(cut.EpochBatches() + 1); i > 0 && cut.Next(batch); --i) {
      AddWindows(batch, found);
    }
    const SamplerState state = cut.state();
    for (int i = 0; i < 10; ++i) {
      model.Append(store, model.MakeRow(6));
    }
    options.seed = 0;  // comes with the state
    WindowSampler resumed({store.reader()}, options);
    resumed.Restore(state);
    ASSERT_EQ(resumed.EpochBatches(), batches);
    const Windows rest = EpochOf(resumed);
    found.insert(found.end(), rest.begin(), rest.end());
    ASSERT_EQ(found, expected) << TextOf(options);
    ASSERT_EQ(Sorted(EpochOf(resumed)), model.Windows(options, model.whole_rows()));
  }
}

// Pearson's statistic over 40 draws a window: within six standard deviations.
TEST_P(ModelTest, SamplingIsUniformOverTheValidWindows) {
  ModelStream model(400 + GetParam());
  StreamStore store = StreamStore::Temporary({.fields = SamplerFields()});
  for (int i = 0; i < 150; ++i) {
    model.Append(store, model.MakeRow(8));
  }
  for (int i = 0; i < 8; ++i) {
    SamplerOptions options = RandomOptions(model, model.rows.size());
    const Windows valid = model.Windows(options, model.whole_rows());
    WindowSampler sampler({store.reader()}, options);
    WindowBatch batch;
    if (valid.empty()) {
      EXPECT_THROW(sampler.Sample(batch), Error);
      continue;
    }
    std::map<ModelWindow, std::uint64_t> counts;
    std::uint64_t draws = 0;
    Windows drawn;
    while (draws < 40 * valid.size()) {
      sampler.Sample(batch);
      draws += batch.size();
      AddWindows(batch, drawn);
    }
    for (const ModelWindow& window : drawn) {
      ++counts[window];
    }
    // Rows without values start where the next one does: equal windows count together.
    std::map<ModelWindow, std::uint64_t> weights;
    for (const ModelWindow& window : valid) {
      ++weights[window];
    }
    double sum = 0;
    for (const auto& [window, weight] : weights) {
      const double expected =
          static_cast<double>(draws * weight) / static_cast<double>(valid.size());
      sum += std::pow(static_cast<double>(counts[window]) - expected, 2) / expected;
      counts.erase(window);
    }
    EXPECT_TRUE(counts.empty()) << "drew what is not valid: " << TextOf(options);
    const auto freedom = static_cast<double>(weights.size() - 1);
    EXPECT_LE((sum - freedom), 6 * std::sqrt(2 * freedom) + 1e-9) << TextOf(options);
  }
}

// --- single claims ---

struct Plain {
  Plain() {
    for (int i = 0; i < 100; ++i) {
      ModelRow row;
      row.episode = i / 10;
      row.cut = i % 10 == 9;
      model.Append(store, row);
    }
  }

  ModelStream model{1};
  StreamStore store = StreamStore::Temporary({.fields = SamplerFields()});
};

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

TEST(WindowSamplerTest, RanksDrawStreamsOfTheirOwn) {
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

TEST(WindowSamplerTest, AReaderAheadIsNotCounted) {
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
  sampler.NoteAhead(1);
  EXPECT_EQ(sampler.state().batches, handed_out.batches);
  sampler.Rewind();
  Windows again;
  sampler.Next(batch);
  AddWindows(batch, again);
  EXPECT_EQ(ahead, again);
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
      sampler.ReadStarts(numbers, batch);
      Windows windows;
      AddWindows(batch, windows);
      ASSERT_TRUE(std::equal(known.begin(), known.end(), windows.begin()));
      known = windows;
    }
    WindowBatch batch;
    const std::uint64_t outside = known.size();
    EXPECT_THROW(sampler.ReadStarts({&outside, 1}, batch), Error);
  }
}

// An epoch over a closed store whose last row lacks fields keeps to it when a writer goes on.
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
  append(10, {});  // joins, as far as anybody can know
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
  append(10, {{kEpisodeType, 2}});  // it began a segment after all
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

TEST(WindowSamplerTest, ReadsWhatItChose) {
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

// --- bad input ---

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

TEST(WindowSamplerTest, RefusesOptionsThatCannotBe) {
  Plain plain;
  const std::vector<Reader> one = {plain.store.reader()};
  EXPECT_EQ(MessageOf({}, {}), "sampler: expected at least one store");
  EXPECT_EQ(MessageOf(one, {.length = 0}), "sampler: length: expected 1 to 4294967295 but found 0");
  EXPECT_EQ(MessageOf(one, {.batch_size = 0}),
            "sampler: batch_size: expected 1 to 4294967295 but found 0");
  EXPECT_EQ(MessageOf(one, {.rank = 2, .world_size = 2}),
            "sampler: rank: expected [0, 2) but found 2");
  EXPECT_EQ(MessageOf(one, {.pad = SamplePad::kLeft}), "sampler: pad is for windows of rows");
  EXPECT_EQ(MessageOf(one, {.lanes = 2}), "sampler: lanes are for windows of rows");
  EXPECT_EQ(MessageOf(one, {.segment_by = {kItemsType}}).substr(0, 19), "segments: expected ");
  const StreamStore other = StreamStore::Temporary({.fields = {{.name = "x"}}});
  EXPECT_EQ(MessageOf({one[0], other.reader()}, {}),
            "sampler: expected stores of equal fields but those of store 1 differ from those of "
            "store 0");
}

TEST(WindowSamplerTest, SaysHowManyRowsThereAreWhenNoWindowFits) {
  Plain plain;
  const std::vector<Reader> one = {plain.store.reader()};
  EXPECT_EQ(MessageOf(one, {.length = 101, .unit = SampleUnit::kRow}),
            "no valid start: expected 101 rows but found 100 rows");
  EXPECT_EQ(MessageOf(one, {.length = 11, .unit = SampleUnit::kRow, .segment_by = {kCutType}}),
            "no valid start: expected 11 rows of one segment but found 100 rows in 10 segments");
  EXPECT_EQ(MessageOf(one, {.length = 5000}),
            "no valid start: expected 5000 values but found 100 rows, 200 values");
  EXPECT_EQ(MessageOf(one, {.length = 3, .first_row = 99}),
            "no valid start: expected 3 values from rows [99, end) on but found 100 rows, 200 "
            "values");
}

TEST(WindowSamplerTest, RefusesStatesOfOthers) {
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
}  // namespace stream_store

// Samplers of stores that have dropped their first rows draw exactly the windows of the rows that are
// left, however the index of segments that they share came about.
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/error.h"
#include "stream_store/sampler.h"

#include "storage/locate.h"
#include "storage/view.h"
#include "store/read_functions.h"
#include "store/sampler_model.h"

namespace stream_store::internal {
namespace {

using Windows = std::vector<ModelWindow>;

// A fixed snapshot whose rows before `first` were dropped. It shares its source, and with it the
// indexes of segments, with all snapshots of the store.
Reader SnapshotFrom(const Reader& reader, std::uint64_t first) {
  Reader snapshot = reader.Snapshot();
  if (first == 0) {
    return snapshot;
  }
  auto& view = const_cast<View&>(ReaderAccess::ViewOf(snapshot));
  const bool any = first < view.row_count;
  const std::uint64_t begin = any ? RecordOfRow(view, static_cast<Row>(first)) : view.record_count;
  view.first_position = any ? view.records[begin].start : view.value_count;
  view.begin_record = begin;
  view.first_row = first;
  return snapshot;
}

// A state of the store, and the model of it.
struct Moment {
  Reader reader;
  ModelStream model;
  std::uint64_t dropped;

  Windows Valid(const SamplerOptions& options) const {
    return model.Windows(options, std::max(model.whole_rows(), dropped), 0, dropped);
  }
};

SamplerOptions RandomOptions(ModelStream& random, std::uint64_t rows) {
  SamplerOptions options;
  options.replacement = false;
  options.length = 1 + random.Below(5);
  options.unit = random.Below(3) == 0 ? SampleUnit::kValue : SampleUnit::kRow;
  if (options.unit == SampleUnit::kRow) {
    options.pad = static_cast<SamplePad>(random.Below(3));
    options.lanes = 1 + random.Below(3);
  } else {
    options.align = static_cast<SampleAlign>(random.Below(2));
  }
  const std::vector<std::vector<TypeId>> cuts = {
      {}, {kEpisodeType}, {kEpisodeType}, {kDoneType}, {kDoneType, kCutType}};
  options.segment_by = cuts[random.Below(cuts.size())];
  if (random.Below(3) == 0) {
    options.first_row = static_cast<Row>(random.Below(rows + 2));
    if (random.Below(2) == 0) {
      options.last_row = static_cast<Row>(random.Below(rows + 2)) - static_cast<Row>(rows + 2);
    }
  }
  options.batch_size = 1 + random.Below(7);
  options.seed = random.Below(1000);
  return options;
}

class DroppedModelTest : public testing::TestWithParam<std::uint64_t> {
 protected:
  DroppedModelTest() {
    std::uint64_t dropped = 0;
    for (int stop = 0; stop < 8; ++stop) {
      for (std::uint64_t i = 5 + model_.Below(40); i > 0; --i) {
        model_.Append(store_, model_.MakeRow(6));
      }
      const std::uint64_t rows = model_.rows.size();
      dropped += stop == 0 ? 0 : model_.Below(rows - dropped + 1);
      moments_.push_back({SnapshotFrom(store_.reader(), dropped), model_, dropped});
    }
  }

  // Any moment; old ones are asked for after new ones, too.
  const Moment& AnyMoment() { return moments_[model_.Below(moments_.size())]; }

  ModelStream model_{500 + GetParam()};
  StreamStore store_ = StreamStore::Temporary({.fields = SamplerFields()});
  std::vector<Moment> moments_;
};

INSTANTIATE_TEST_SUITE_P(Seeds, DroppedModelTest, testing::Range<std::uint64_t>(0, 12));

TEST_P(DroppedModelTest, AnEpochIsEveryRetainedWindowOnce) {
  struct Known {
    const Moment* moment;
    SamplerOptions options;
    WindowSampler sampler;
  };

  std::vector<Known> samplers;  // kept, so that later ones share their indexes
  for (int i = 0; i < 60; ++i) {
    const Moment& moment = AnyMoment();
    const SamplerOptions options = RandomOptions(model_, moment.model.rows.size());
    samplers.push_back({&moment, options, WindowSampler({moment.reader}, options)});
    for (Known* known : {&samplers.back(), &samplers[model_.Below(samplers.size())]}) {
      const Windows expected = known->moment->Valid(known->options);
      ASSERT_EQ(known->sampler.NumStarts(), expected.size()) << "sampler " << i;
      if (expected.empty()) {
        EXPECT_THROW(known->sampler.BeginEpoch(), Error);
        continue;
      }
      ASSERT_EQ(Sorted(EpochOf(known->sampler)), expected) << "sampler " << i;
    }
  }
}

// The draws of an epoch depend on the retained rows only: not on rows that other samplers of the
// process have seen before they were dropped.
TEST_P(DroppedModelTest, AnEpochResumesWithAnIndexThatHasSeenLess) {
  for (int i = 0; i < 40; ++i) {
    const Moment& moment = AnyMoment();
    const SamplerOptions options = RandomOptions(model_, moment.model.rows.size());
    SamplerState state;
    Windows found;
    Windows whole;
    {
      WindowSampler first({moments_[0].reader}, options);  // its index begins at row 0
      first.NumStarts();
      WindowSampler sampler({moment.reader}, options);
      if (sampler.NumStarts() == 0) {
        continue;
      }
      whole = EpochOf(sampler);
      WindowSampler cut({moment.reader}, options);
      WindowBatch batch;
      cut.BeginEpoch();
      for (std::uint64_t n = model_.Below(cut.EpochBatches() + 1); n > 0 && cut.Next(batch); --n) {
        AddWindows(batch, found);
      }
      state = cut.state();
      ASSERT_EQ(state.extents[0].first_row, moment.dropped);
    }
    WindowSampler resumed({moment.reader}, options);  // no other is left: a new index
    resumed.Restore(state);
    const Windows rest = EpochOf(resumed);
    found.insert(found.end(), rest.begin(), rest.end());
    ASSERT_EQ(found, whole) << "sampler " << i;
  }
}

// A newer Reader still has all rows of the epoch, unless more were dropped.
TEST_P(DroppedModelTest, AStateNamesTheRowsThatAreMissing) {
  for (const Moment& then : moments_) {
    for (const Moment& now : moments_) {
      if (&now <= &then) {
        continue;
      }
      SamplerOptions options;
      options.replacement = false;
      options.segment_by = {kDoneType};
      WindowSampler sampler({then.reader}, options);
      if (sampler.NumStarts() == 0) {
        continue;
      }
      sampler.BeginEpoch();
      const SamplerState state = sampler.state();
      WindowSampler resumed({now.reader}, options);
      if (now.dropped == then.dropped) {
        resumed.Restore(state);
        ASSERT_EQ(Sorted(EpochOf(resumed)), then.Valid(options));
        continue;
      }
      try {
        resumed.Restore(state);
        FAIL() << "took a state of rows that are gone";
      } catch (const Error& error) {
        const std::uint64_t rows = state.extents[0].rows;
        ASSERT_EQ(error.code(), ErrorCode::kDropped) << error.what();
        ASSERT_EQ(std::string(error.what()),
                  "sampler state: its epoch covers rows [" + std::to_string(then.dropped) + ", " +
                      std::to_string(rows) + ") but rows [" + std::to_string(then.dropped) + ", " +
                      std::to_string(std::min(now.dropped, rows)) + ") were dropped");
      }
    }
  }
}

TEST_P(DroppedModelTest, ReadersCountWhatIsLeft) {
  for (const Moment& moment : moments_) {
    const Reader& reader = moment.reader;
    EXPECT_EQ(reader.first_row(), moment.dropped);
    EXPECT_EQ(reader.kept_rows(), moment.model.rows.size() - moment.dropped);
    EXPECT_EQ(reader.num_rows(), moment.model.rows.size());
    std::uint64_t before = 0;
    for (std::uint64_t row = 0; row < moment.dropped; ++row) {
      before += moment.model.rows[row].values();
    }
    EXPECT_EQ(reader.first_position(), before);
    const auto first = static_cast<Row>(moment.dropped);
    const Reader none = reader.Snapshot(moment.dropped);
    EXPECT_EQ(none.kept_rows(), 0U);
    EXPECT_EQ(none.size(), none.first_position());
    EXPECT_TRUE(none.IndexTable(first, first).empty());
    EXPECT_TRUE(none.Segments(std::vector<TypeId>{kDoneType}).empty());
    EXPECT_LT(none.bytes(), 100'000U);
    if (first == 0) {
      continue;
    }
    try {
      static_cast<void>(reader.Snapshot(moment.dropped - 1));
      FAIL() << "made a snapshot of dropped rows";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kDropped);
    }
  }
}

// The message that there is no start counts only the rows that are left.
TEST(DroppedSamplerTest, DescribesTheRowsThatAreLeft) {
  const Plain plain;
  SamplerOptions options;
  options.length = 50;
  options.unit = SampleUnit::kRow;
  options.segment_by = {kEpisodeType};
  WindowSampler sampler({SnapshotFrom(plain.store.reader(), 75)}, options);
  WindowBatch batch;
  try {
    sampler.Sample(batch);
    FAIL() << "drew a window of 50 rows from segments of 10";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("the store has 25 rows in 3 segments"),
              std::string::npos)
        << error.what();
  }
}

// A sampler that begins after the drop counts no starts in the segments before it. Its counts are of
// no use to one whose snapshot still has them.
TEST(DroppedSamplerTest, CountsThatLackSegmentsAreNotShared) {
  StreamStore store = StreamStore::Temporary({.fields = {{.name = "episode"}}});
  for (Step step = 0; step < 100; ++step) {
    store.Append(step, {{TypeId{0}, step / 10}});
  }
  const Reader all = store.reader();
  SamplerOptions options;
  options.segment_by = {TypeId{0}};
  options.length = 3;
  WindowSampler of_all({SnapshotFrom(all, 0)}, options);
  EXPECT_EQ(of_all.NumStarts(), 10U * 8);  // the index has all segments from now on
  options.length = 5;
  WindowSampler after({SnapshotFrom(all, 50)}, options);
  EXPECT_EQ(after.NumStarts(), 5U * 6);
  WindowSampler before({SnapshotFrom(all, 0)}, options);
  EXPECT_EQ(before.NumStarts(), 10U * 6);
  EXPECT_EQ(after.NumStarts(), 5U * 6);
}

}  // namespace
}  // namespace stream_store::internal

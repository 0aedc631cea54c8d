// Samplers draw exactly the windows of a simple model, each equally often, and resume exactly.
#include "store/sampler_model.h"

#include <cmath>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "stream_store/sampler.h"

#include "base/str_cat.h"
#include "support/scratch.h"

namespace stream_store::internal {
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

// A store grows in steps; after each step, old and new samplers are compared with the model.
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

// Without a writer the last row counts even if it lacks fields.
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

// An epoch is interrupted at any batch, the store grows, and another sampler continues.
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

// Pearson's statistic over 40 draws per window lies within six standard deviations.
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

}  // namespace
}  // namespace stream_store::internal

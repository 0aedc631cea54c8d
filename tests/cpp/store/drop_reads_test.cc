// Readers and samplers of a store that drops rows while they read it. The chunks are one page, so
// that files are deleted all the time.
#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/error.h"
#include "stream_store/sampler.h"
#include "stream_store/store.h"

#include "format/control.h"
#include "store/sampler_model.h"
#include "store/segment_index.h"
#include "support/scratch.h"

namespace stream_store::internal {
namespace {

using Windows = std::vector<ModelWindow>;

// A persistent or temporary store in small chunks, and the rows that it was given.
class DropReadsTest : public testing::TestWithParam<bool> {
 protected:
  DropReadsTest() { SmallestChunkBytes() = 4096; }

  ~DropReadsTest() override { SmallestChunkBytes() = kMinChunkBytes; }

  StreamStore NewStore() const {
    Options options;
    options.fields = SamplerFields();
    options.chunk_bytes = 4096;
    return GetParam() ? StreamStore::Open(path_, options) : StreamStore::Temporary(options);
  }

  void Append(StreamStore& store, int rows) {
    for (int i = 0; i < rows; ++i) {
      model_.Append(store, model_.MakeRow(6));
    }
  }

  // Compares everything that a Reader says about its rows with the model.
  void ExpectModel(const Reader& reader) const {
    const auto first = static_cast<Row>(reader.first_row());
    const auto end = static_cast<Row>(reader.num_rows());
    ASSERT_EQ(reader.first_position(), PositionOf(reader.first_row()));
    ASSERT_EQ(reader.kept_rows(), static_cast<std::uint64_t>(end - first));
    std::vector<Value> steps;
    for (Row row = first; row < end; ++row) {
      const ModelRow& expected = model_.rows[static_cast<std::size_t>(row)];
      const RowView view = reader.row(row);
      ASSERT_EQ(view.step(), row);
      std::uint64_t values = 0;
      for (const auto& [type, words] : view) {
        values += words.size();
        if (type == kEpisodeType) {
          ASSERT_EQ(words[0], *expected.episode);
        }
      }
      ASSERT_EQ(values, expected.values()) << "row " << row;
      steps.insert(steps.end(), values, row);
    }
    ASSERT_EQ(reader.IndexTable(first, end).size(), reader.field_writes());
    ASSERT_EQ(reader.first_position() + steps.size(), reader.size());
    std::vector<Step> found(steps.size());
    const auto start = static_cast<Position>(reader.first_position());
    reader.ReadWindows({&start, steps.empty() ? 0U : 1U}, steps.size(), {.step = found.data()});
    ASSERT_EQ(found, steps);
  }

  std::uint64_t PositionOf(std::uint64_t row) const {
    std::uint64_t position = 0;
    for (std::uint64_t i = 0; i < row; ++i) {
      position += model_.rows[i].values();
    }
    return position;
  }

  ScratchDirectory directory_;
  std::filesystem::path path_ = directory_.path() / "store";
  ModelStream model_{77};
};

INSTANTIATE_TEST_SUITE_P(Kinds, DropReadsTest, testing::Bool(), [](const auto& kind) {
  return kind.param ? std::string("Persistent") : std::string("Temporary");
});

TEST_P(DropReadsTest, ReadersEqualTheModelBeforeAndAfterTheirRefresh) {
  StreamStore store = NewStore();
  Append(store, 50);
  std::vector<Reader> readers = {store.reader()};
  for (int round = 0; round < 25; ++round) {
    Append(store, 60);
    if (GetParam()) {
      readers.push_back(Reader::Open(path_));  // as another process does
    }
    readers.push_back(store.reader());
    const Reader now = store.reader();
    store.DropBefore(static_cast<Row>(now.first_row() + model_.Below(now.kept_rows())));
    const Reader& old = readers[model_.Below(readers.size())];
    ASSERT_NO_FATAL_FAILURE(ExpectModel(old)) << "round " << round;
    Reader& some = readers[model_.Below(readers.size())];
    some.Refresh();
    ASSERT_EQ(some.first_row(), store.reader().first_row());
    ASSERT_EQ(some.num_rows(), model_.rows.size());
    ASSERT_NO_FATAL_FAILURE(ExpectModel(some)) << "round " << round;
  }
  for (const Reader& reader : readers) {
    ASSERT_NO_FATAL_FAILURE(ExpectModel(reader));
  }
}

// An index of segments goes on over drops; its samplers draw retained rows only.
TEST_P(DropReadsTest, SamplersFollowTheBegin) {
  StreamStore store = NewStore();
  Append(store, 30);
  std::vector<SamplerOptions> all;
  for (const std::vector<TypeId>& cuts :
       {std::vector<TypeId>{}, {kEpisodeType}, {kDoneType, kCutType}}) {
    for (const std::uint64_t lanes : {1U, 3U, 0U}) {  // 0: windows of values
      SamplerOptions options;
      options.segment_by = cuts;
      options.unit = lanes == 0 ? SampleUnit::kValue : SampleUnit::kRow;
      options.lanes = std::max<std::uint64_t>(lanes, 1);
      options.length = 3;
      options.replacement = false;
      all.push_back(options);
    }
  }
  std::vector<WindowSampler> samplers;
  for (const SamplerOptions& options : all) {
    samplers.emplace_back(std::vector<Reader>{store.reader()}, options);
  }
  for (int round = 0; round < 40; ++round) {
    Append(store, 25);
    const Reader now = store.reader();
    const std::uint64_t more = model_.Below(std::min<std::uint64_t>(40, now.kept_rows()));
    store.DropBefore(static_cast<Row>(now.first_row() + more));
    const std::uint64_t dropped = store.reader().first_row();
    for (std::size_t i = 0; i < samplers.size(); ++i) {
      if (model_.Below(3) == 0) {
        continue;  // its index may lag behind the begin
      }
      const std::uint64_t whole = std::max(model_.whole_rows(), dropped);
      const Windows expected = model_.Windows(all[i], whole, 0, dropped);
      ASSERT_EQ(samplers[i].NumStarts(), expected.size()) << "round " << round << " sampler " << i;
      if (!expected.empty()) {
        ASSERT_EQ(Sorted(EpochOf(samplers[i])), expected) << "round " << round << " sampler " << i;
      }
    }
  }
}

TEST_P(DropReadsTest, AnEpochKeepsTheRowsItBeganWith) {
  StreamStore store = NewStore();
  Append(store, 400);
  SamplerOptions options;
  options.unit = SampleUnit::kRow;
  options.segment_by = {kEpisodeType};
  options.length = 2;
  options.batch_size = 10;
  options.replacement = false;
  const Windows expected = model_.Windows(options, model_.whole_rows());
  WindowSampler sampler({store.reader()}, options);
  WindowBatch batch;
  Windows found;
  sampler.BeginEpoch();
  ASSERT_TRUE(sampler.Next(batch));
  AddWindows(batch, found);
  const SamplerState state = sampler.state();
  Append(store, 100);
  store.DropBefore(350);
  const std::uint64_t now = model_.Windows(options, model_.whole_rows(), 0, 350).size();
  EXPECT_EQ(sampler.NumStarts(), now) << "counts what a new epoch would draw";
  while (sampler.Next(batch)) {
    AddWindows(batch, found);
    std::vector<Step> steps(batch.size() * 2);
    batch.ReadRows({}, steps.data());
    for (std::size_t i = 0; i < batch.size(); ++i) {
      ASSERT_EQ(steps[2 * i], batch.starts()[i]);
      ASSERT_EQ(steps[2 * i + 1], batch.starts()[i] + 1);
    }
  }
  EXPECT_EQ(Sorted(found), expected);
  WindowSampler resumed({store.reader()}, options);
  try {
    resumed.Restore(state);
    FAIL() << "took a state of rows that are gone";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kDropped);
    EXPECT_NE(std::string(error.what()).find("but rows [0, 350) were dropped"), std::string::npos)
        << error.what();
  }
}

// Otherwise a replay buffer of short episodes would grow in memory without limit.
TEST_P(DropReadsTest, IndexesForgetTheSegmentsOfDroppedRows) {
  StreamStore store = NewStore();
  const auto append = [&](int rows) {
    for (int i = 0; i < rows; ++i) {
      ModelRow row;
      row.items = 1;
      row.done = true;  // each row is a segment
      row.cut = true;
      model_.Append(store, row);
    }
  };
  append(100);
  SamplerOptions options;
  options.unit = SampleUnit::kValue;
  options.length = 2;
  options.segment_by = {kDoneType};
  options.replacement = false;
  WindowSampler sampler({store.reader()}, options);
  const std::vector<TypeId> types = {kDoneType};
  const std::weak_ptr<SegmentIndex> first = SegmentIndex::SharedFor(store.reader(), types, 1);
  std::uint64_t largest = 0;
  for (int round = 0; round < 60; ++round) {
    append(300);
    store.DropBefore(static_cast<Row>(model_.rows.size() - 100));
    ASSERT_EQ(sampler.NumStarts(), 200U) << "round " << round;
    const auto index = SegmentIndex::SharedFor(store.reader(), types, 1);
    largest = std::max(largest, index->begins(0).size());
  }
  EXPECT_TRUE(first.expired());
  EXPECT_LT(largest, 6000U);
  const std::uint64_t dropped = model_.rows.size() - 100;
  EXPECT_EQ(Sorted(EpochOf(sampler)), model_.Windows(options, model_.whole_rows(), 0, dropped));
}

TEST_P(DropReadsTest, SamplingWithReplacementUsesRetainedRowsOnly) {
  StreamStore store = NewStore();
  Append(store, 300);
  SamplerOptions options;
  options.unit = SampleUnit::kRow;
  options.length = 1;
  options.batch_size = 64;
  WindowSampler sampler({store.reader()}, options);
  WindowBatch batch;
  for (Row first = 0; first < 290; first += 29) {
    store.DropBefore(first);
    sampler.Sample(batch);
    ASSERT_GE(*std::ranges::min_element(batch.starts()), first);
  }
}

// A temporary store cannot be opened by its path.
class DropSafeReadsTest : public DropReadsTest {};

INSTANTIATE_TEST_SUITE_P(Kinds, DropSafeReadsTest, testing::Values(true),
                         [](const auto&) { return std::string("Persistent"); });

// Safe reads have no mappings that keep the rows.
TEST_P(DropSafeReadsTest, SayThatTheirRowsWereDropped) {
  StreamStore store = NewStore();
  Append(store, 2000);
  Reader reader = Reader::Open(path_, {.safe_reads = true});
  ASSERT_EQ(reader.row(3).step(), 3);
  store.DropBefore(1900);
  try {
    static_cast<void>(reader.row(3));
    FAIL() << "read a row whose files are gone";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kDropped) << error.what();
  }
  reader.Refresh();
  ASSERT_EQ(reader.first_row(), 1900U);
  ASSERT_NO_FATAL_FAILURE(ExpectModel(reader));
  EXPECT_EQ(reader.RowAt(0), 1900);
  EXPECT_EQ(reader.Segments(std::vector<TypeId>{kDoneType}).front().first, 1900);
}

}  // namespace
}  // namespace stream_store::internal

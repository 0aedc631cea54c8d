// WindowSampler::Read(): chosen windows, for every kind of starts. The Python tests compare contents.
#include <cstdint>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/error.h"
#include "stream_store/sampler.h"
#include "stream_store/store.h"

#include "support/scratch.h"

namespace stream_store {
namespace {

enum ReadType : TypeId { kEpisode, kDone, kAgent };

constexpr std::int64_t kRows = 80;
constexpr std::int64_t kStoreTwo = std::int64_t{1} << 48;

StreamStore Filled(std::int64_t rows, unsigned seed) {
  StreamStore store = StreamStore::Temporary(
      {.fields = {
           {.name = "episode"}, {.name = "done", .dtype = DType::kBool}, {.name = "agent"}}});
  std::mt19937 random(seed);
  std::int64_t episode = 0;
  for (std::int64_t row = 0; row < rows; ++row) {
    const bool ends = random() % 6 == 0;
    const std::int64_t done = ends ? 1 : 0;
    const auto agent = static_cast<std::int64_t>(random() % 3);
    store.Append(row, {{kEpisode, episode}, {kDone, done}, {kAgent, agent}});
    episode += ends ? 1 : 0;
  }
  return store;
}

std::vector<SamplerOptions> AllKinds() {
  SamplerOptions plain;
  plain.length = 3;
  plain.unit = SampleUnit::kRow;
  plain.batch_size = 1000;
  plain.replacement = false;
  std::vector<SamplerOptions> kinds = {plain};
  const auto add = [&](auto&& change) {
    kinds.push_back(plain);
    change(kinds.back());
  };
  add([](SamplerOptions& options) { options.segment_by = {kEpisode}; });
  add([](SamplerOptions& options) {
    options.segment_by = {kDone};
    options.lanes = 3;
    options.length = 2;
  });
  add([](SamplerOptions& options) {
    options.segment_by = {kEpisode};
    options.first_row = 11;
    options.last_row = -20;
  });
  add([](SamplerOptions& options) {
    options.segment_by = {kDone};
    options.pad = SamplePad::kLeft;
  });
  add([](SamplerOptions& options) { options.lanes = 4; });
  add([](SamplerOptions& options) { options.lane_by = {kAgent}; });
  add([](SamplerOptions& options) {
    options.where = kDone;
    options.length = 1;
    options.first_row = -40;
  });
  add([](SamplerOptions& options) {
    options.length = 0;
    options.whole_segments = true;
    options.segment_by = {kDone};
  });
  return kinds;
}

std::vector<std::int64_t> IndicesOf(const WindowBatch& batch) {
  std::vector<std::int64_t> indices(batch.size());
  batch.ReadIndices(indices);
  return indices;
}

std::vector<Row> RowsOf(const WindowBatch& batch) {
  std::vector<Row> rows(batch.size() * batch.length());
  batch.ReadRowNumbers(rows);
  return rows;
}

TEST(SamplerReadTest, ReadsTheWindowsOfABatchAgain) {
  const StreamStore one = Filled(kRows, 1);
  const StreamStore two = Filled(kRows / 2, 2);
  for (const SamplerOptions& options : AllKinds()) {
    WindowSampler sampler({one.reader(), two.reader()}, options);
    sampler.BeginEpoch();
    WindowBatch batch;
    ASSERT_TRUE(sampler.Next(batch));
    ASSERT_GT(batch.size(), 0U);
    WindowBatch again;
    sampler.Read(IndicesOf(batch), again);
    EXPECT_EQ(IndicesOf(again), IndicesOf(batch));
    EXPECT_EQ(RowsOf(again), RowsOf(batch));
    EXPECT_EQ(std::vector(again.stores().begin(), again.stores().end()),
              std::vector(batch.stores().begin(), batch.stores().end()));
  }
}

TEST(SamplerReadTest, ReadsExactlyTheValidStarts) {
  const StreamStore store = Filled(kRows, 3);
  for (SamplerOptions options : AllKinds()) {
    WindowSampler epochs({store.reader()}, options);
    epochs.BeginEpoch();
    WindowBatch batch;
    ASSERT_TRUE(epochs.Next(batch));
    const std::vector<std::int64_t> all = IndicesOf(batch);
    const std::set<std::int64_t> valid(all.begin(), all.end());
    options.replacement = true;
    WindowSampler sampler({store.reader()}, options);
    for (std::int64_t row = 0; row < kRows + 5; ++row) {
      if (valid.contains(row)) {
        sampler.Read({&row, 1}, batch);
        EXPECT_EQ(batch.anchors()[0], row);
        continue;
      }
      const Error error = internal::ErrorOf([&] { sampler.Read({&row, 1}, batch); });
      EXPECT_EQ(error.code(), ErrorCode::kOutOfRange) << row;
    }
  }
}

TEST(SamplerReadTest, SaysWhichIndexIsWrongAndChangesNothing) {
  StreamStore store = Filled(kRows, 4);
  SamplerOptions options = AllKinds()[0];
  options.replacement = true;
  WindowSampler sampler({store.reader()}, options);
  WindowBatch batch;
  sampler.Read(std::vector<std::int64_t>{5, 3}, batch);
  const auto expect = [&](std::vector<std::int64_t> indices, ErrorCode code,
                          const std::string& reason) {
    const Error error = internal::ErrorOf([&] { sampler.Read(indices, batch); });
    EXPECT_EQ(error.code(), code);
    EXPECT_NE(std::string(error.what()).find(reason), std::string::npos) << error.what();
    EXPECT_EQ(IndicesOf(batch), (std::vector<std::int64_t>{5, 3}));
  };
  expect({1, 79}, ErrorCode::kOutOfRange, "index number 1, 79, is row 79 of store 0");
  expect({kStoreTwo}, ErrorCode::kOutOfRange, "of store 1, but the sampler has 1 store");
  expect({2, -1}, ErrorCode::kOutOfRange, "index number 1, -1, is of store");
  store.DropBefore(40);
  expect({50, 39}, ErrorCode::kDropped, "but the rows before row 40 were dropped");
  sampler.Read({}, batch);
  EXPECT_EQ(batch.size(), 0U);
}

TEST(SamplerReadTest, ReadBatchesHaveNoWeights) {
  const StreamStore store = Filled(kRows, 5);
  SamplerOptions options = AllKinds()[0];
  options.replacement = true;
  options.batch_size = 8;
  options.priorities = Priorities{};
  WindowSampler sampler({store.reader()}, options);
  WindowBatch batch;
  sampler.Sample(batch);
  EXPECT_EQ(batch.weights().size(), 8U);
  sampler.Read(IndicesOf(batch), batch);
  EXPECT_EQ(batch.size(), 8U);
  EXPECT_TRUE(batch.weights().empty());
  EXPECT_TRUE(batch.probabilities().empty());
}

TEST(SamplerReadTest, WindowsOfValuesHaveNoIndex) {
  const StreamStore store = Filled(kRows, 6);
  WindowSampler sampler({store.reader()}, {.length = 3});
  WindowBatch batch;
  const std::int64_t index = 0;
  EXPECT_EQ(internal::ErrorOf([&] { sampler.Read({&index, 1}, batch); }).code(),
            ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace stream_store

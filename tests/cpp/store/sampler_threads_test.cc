// Samplers of several threads share the index of segments while a writer appends.
#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/sampler.h"
#include "stream_store/store.h"

#include "support/sanitizers.h"

namespace stream_store::internal {
namespace {

#if STREAM_STORE_TSAN || STREAM_STORE_ASAN
constexpr Step kRows = 5'000;
#else
constexpr Step kRows = 50'000;
#endif

constexpr Step kEpisode = 7;  // rows
constexpr std::uint64_t kLength = 3;

// Windows lie within episodes; each row holds the number of its episode.
void ExpectWholeWindows(WindowSampler& sampler, bool epochs) {
  WindowBatch batch;
  if (epochs) {
    sampler.BeginEpoch();
  }
  while (epochs ? sampler.Next(batch) : (sampler.Sample(batch), true)) {
    std::vector<std::int64_t> episodes(batch.size() * kLength);
    const RowsColumn column{0, episodes.data()};
    batch.ReadRows({&column, 1});
    for (std::size_t i = 0; i < batch.size(); ++i) {
      for (std::uint64_t j = 0; j < kLength; ++j) {
        ASSERT_EQ(episodes[i * kLength + j], batch.starts()[i] / kEpisode);
      }
    }
    if (!epochs) {
      return;
    }
  }
}

TEST(SamplerThreadsTest, SamplersOfOneStoreWorkBesideItsWriter) {
  StreamStore store = StreamStore::Temporary({.fields = {{.name = "episode"}}});
  for (Step step = 0; step < 100; ++step) {
    store.Append(step, {{TypeId{0}, step / kEpisode}});
  }
  std::atomic<bool> writing{true};
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < 3; ++i) {
    threads.emplace_back([&store, &writing, i] {
      SamplerOptions options{.length = kLength, .unit = SampleUnit::kRow, .batch_size = 64};
      options.segment_by = {TypeId{0}};
      options.replacement = i != 2;
      options.seed = i;
      do {  // one sampler lives throughout, others are new
        WindowSampler sampler({store.reader()}, options);
        for (int round = 0; round < 20; ++round) {
          ExpectWholeWindows(sampler, /*epochs=*/i == 2);
        }
      } while (writing.load());
    });
  }
  for (Step step = 100; step < kRows; ++step) {
    store.Append(step, {{TypeId{0}, step / kEpisode}});
  }
  writing.store(false);
  for (std::thread& thread : threads) {
    thread.join();
  }
  SamplerOptions options{.length = kLength, .unit = SampleUnit::kRow};
  options.segment_by = {TypeId{0}};
  WindowSampler sampler({store.reader()}, options);
  const auto whole = static_cast<std::uint64_t>(kRows / kEpisode);
  const auto rest = static_cast<std::uint64_t>(kRows % kEpisode);
  EXPECT_EQ(sampler.NumStarts(),
            whole * (kEpisode - kLength + 1) + (rest >= kLength ? rest - kLength + 1 : 0));
}

}  // namespace
}  // namespace stream_store::internal

// Samplers of several threads share the index of segments, or that of lanes, while a writer appends.
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

// Agent a has every third row from a on, and numbers its own rows. Every fifth of them is excluded.
TEST(SamplerThreadsTest, SamplersShareTheIndexOfLanes) {
  constexpr std::int64_t kAgents = 3;
  constexpr Step kAgentRows = kRows / 5;
  StreamStore store = StreamStore::Temporary(
      {.fields = {{.name = "agent"}, {.name = "number"}, {.name = "used", .dtype = DType::kBool}}});
  const auto append = [&store](Step step) {
    const Step number = step / kAgents;
    store.Append(step, {{TypeId{0}, step % kAgents},
                        {TypeId{1}, number},
                        {TypeId{2}, std::int64_t{number % 5 != 0 ? 1 : 0}}});
  };
  for (Step step = 0; step < 100; ++step) {
    append(step);
  }
  SamplerOptions options{.length = kLength, .unit = SampleUnit::kRow, .batch_size = 64};
  options.lane_by = {TypeId{0}};
  options.where = TypeId{2};
  std::atomic<bool> writing{true};
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < 3; ++i) {
    threads.emplace_back([&store, &writing, options, i]() mutable {
      options.seed = i;
      std::vector<std::int64_t> numbers(options.batch_size * kLength);
      const RowsColumn column{.type = 1, .out = numbers.data()};
      do {
        WindowSampler sampler({store.reader()}, options);
        for (int round = 0; round < 20; ++round) {
          WindowBatch batch;
          sampler.Sample(batch);
          batch.ReadRows({&column, 1});
          for (std::size_t k = 0; k < batch.size(); ++k) {
            const std::int64_t first = batch.anchors()[k] / kAgents;
            ASSERT_NE(first % 5, 0);
            ASSERT_EQ(first % 5 + static_cast<std::int64_t>(kLength) <= 5, true);
            for (std::uint64_t j = 0; j < kLength; ++j) {
              ASSERT_EQ(numbers[k * kLength + j], first + static_cast<std::int64_t>(j));
            }
          }
        }
      } while (writing.load());
    });
  }
  for (Step step = 100; step < kAgentRows; ++step) {
    append(step);
  }
  writing.store(false);
  for (std::thread& thread : threads) {
    thread.join();
  }
  // Of the five rows 5k to 5k + 4 of an agent, the last four are used: windows of three begin at two.
  WindowSampler sampler({store.reader()}, options);
  std::uint64_t starts = 0;
  for (Step step = 0; step < kAgentRows; ++step) {
    const Step number = step / kAgents;
    const bool fits = step + kAgents * static_cast<Step>(kLength - 1) < kAgentRows;
    starts += fits && (number % 5 == 1 || number % 5 == 2) ? 1 : 0;
  }
  EXPECT_EQ(sampler.NumStarts(), starts);
}

// Batches share snapshots of the stores, which threads read while the sampler draws from newer ones.
TEST(SamplerThreadsTest, BatchesAreReadBesideTheirSamplerAndItsWriters) {
  constexpr std::size_t kStores = 5;
  constexpr std::size_t kAtOnce = 3;
  std::vector<StreamStore> stores;
  std::vector<Reader> readers;
  for (std::size_t i = 0; i < kStores; ++i) {
    stores.push_back(StreamStore::Temporary({.fields = {{.name = "store"}, {.name = "row"}}}));
    readers.push_back(stores.back().reader());
  }
  const auto append = [&stores](Step row) {
    for (std::size_t i = 0; i < kStores; ++i) {
      stores[i].Append(row, {{TypeId{0}, static_cast<std::int64_t>(i)}, {TypeId{1}, row}});
    }
  };
  Step rows = 0;
  while (rows < 100) {
    append(rows++);
  }
  const auto read = [](const WindowBatch& batch) {
    std::vector<std::int64_t> store(batch.size() * kLength);
    std::vector<std::int64_t> row(batch.size() * kLength);
    const RowsColumn columns[] = {{.type = 0, .out = store.data()}, {.type = 1, .out = row.data()}};
    batch.ReadRows(columns);
    for (std::size_t place = 0; place < row.size(); ++place) {
      const std::size_t window = place / kLength;
      ASSERT_EQ(store[place], batch.stores()[window]);
      ASSERT_EQ(row[place], batch.starts()[window] + static_cast<Row>(place % kLength));
    }
  };
  WindowSampler sampler(readers, {.length = kLength, .unit = SampleUnit::kRow, .batch_size = 200});
  for (Step round = 0; round < kRows / 100; ++round) {
    std::vector<WindowBatch> batches(kAtOnce);
    std::vector<std::thread> threads;
    for (WindowBatch& batch : batches) {
      sampler.Sample(batch);
      threads.emplace_back([&read, &batch] { read(batch); });
      append(rows++);
    }
    if (round % 10 == 0) {
      stores[static_cast<std::size_t>(round / 10) % kStores].DropBefore(rows - 50);
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
  }
}

}  // namespace
}  // namespace stream_store::internal

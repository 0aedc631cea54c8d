// Times row windows of 12 steps, read and sampled through the public API: regular streams, and
// streams with missing and ragged fields, with and without segments.
//
// The competitor is one memcpy of the stored bytes of each window (records and values), from random
// places of a source of the same size. It is the lower limit for any reader.
#include <cstring>
#include <optional>
#include <vector>

#include <benchmark/benchmark.h>

#include "stream_store/sampler.h"
#include "stream_store/store.h"

#include "data/data.h"

namespace stream_store {
namespace {

using namespace benchmarks;  // NOLINT(google-build-using-namespace)

constexpr std::uint64_t kStoredRowBytes = kStepValues * sizeof(Value) + 32;

enum Kind : std::int64_t { kPlain, kMissing };

StreamStore& StoreOf(std::int64_t rows, Kind kind) {
  static std::optional<StreamStore> store;
  static std::pair<std::int64_t, Kind> held{};
  if (!store || held != std::pair{rows, kind}) {
    store.reset();
    const auto steps = static_cast<std::uint64_t>(rows);
    store.emplace(kind == kPlain ? MakeRegularStore(steps) : MakeIrregularStore(steps));
    held = {rows, kind};
  }
  return *store;
}

void Memcpy(benchmark::State& state) {
  const auto rows = static_cast<std::uint64_t>(state.range(0));
  std::vector<char> source(rows * kStoredRowBytes, 1);
  std::vector<char> out(kBatchRows * kStoredRowBytes);
  Draws draws(Batches(kWindows), kWindows, rows - kLength);
  for (auto _ : state) {
    const std::span<const Row> starts = draws.Next();
    for (std::uint64_t i = 0; i < kWindows; ++i) {
      std::memcpy(out.data() + i * kLength * kStoredRowBytes,
                  source.data() + static_cast<std::uint64_t>(starts[i]) * kStoredRowBytes,
                  kLength * kStoredRowBytes);
    }
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
}

void ReadRows(benchmark::State& state) {
  const auto kind = static_cast<Kind>(state.range(1));
  const Reader reader = StoreOf(state.range(0), kind).reader();
  Draws draws(Batches(kWindows), kWindows, reader.num_rows() - kLength);
  RowsRoom room(/*ragged_too=*/kind == kMissing);
  for (auto _ : state) {
    reader.ReadRows(draws.Next(), kLength, room.columns, room.steps.data());
    benchmark::ClobberMemory();
  }
}

enum How : std::int64_t { kReplacing, kEpochs, kSegments, kSegmentEpochs, kAfterAppend };

WindowSampler MakeSampler(const StreamStore& store, How how) {
  SamplerOptions options{.length = kLength, .unit = SampleUnit::kRow, .batch_size = kWindows};
  options.replacement = how != kEpochs && how != kSegmentEpochs;
  if (how >= kSegments) {
    options.segment_by = {kDone};
  }
  return {{store.reader()}, options};
}

// Chooses windows without reading them. With kAfterAppend, the store grows by a row each time.
void Choose(benchmark::State& state) {
  StreamStore& store = StoreOf(state.range(0), kPlain);
  const auto how = static_cast<How>(state.range(1));
  WindowSampler sampler = MakeSampler(store, how);
  WindowBatch batch;
  sampler.NumStarts();
  if (!sampler.options().replacement) {
    sampler.BeginEpoch();
  }
  auto step = static_cast<Step>(store.reader().num_rows());
  for (auto _ : state) {
    if (how == kAfterAppend) {
      store.Append(step, {{kReward, 1.0F}, {kDone, step % 200 == 199}});
      ++step;
    }
    if (sampler.options().replacement) {
      sampler.Sample(batch);
    } else if (!sampler.Next(batch)) {
      sampler.BeginEpoch();
    }
    benchmark::DoNotOptimize(batch.starts().data());
  }
}

// Chooses and reads windows.
void SampleRows(benchmark::State& state) {
  StreamStore& store = StoreOf(state.range(0), kPlain);
  WindowSampler sampler = MakeSampler(store, static_cast<How>(state.range(1)));
  WindowBatch batch;
  RowsRoom room(/*ragged_too=*/false);
  std::vector<std::uint8_t> valid(kBatchRows);
  sampler.NumStarts();
  for (auto _ : state) {
    sampler.Sample(batch);
    batch.ReadRows(room.columns, room.steps.data(), valid.data());
    benchmark::ClobberMemory();
  }
}

void SizesAndHows(benchmark::internal::Benchmark* benchmark) {
  for (const std::int64_t rows : kSizes) {
    for (const How how : {kReplacing, kEpochs, kSegments, kSegmentEpochs, kAfterAppend}) {
      benchmark->Args({rows, how});
    }
  }
}

void SizesAndTwoHows(benchmark::internal::Benchmark* benchmark) {
  for (const std::int64_t rows : kSizes) {
    for (const How how : {kReplacing, kSegments}) {
      benchmark->Args({rows, how});
    }
  }
}

void Sizes(benchmark::internal::Benchmark* benchmark) {
  for (const std::int64_t rows : kSizes) {
    benchmark->Arg(rows);
  }
}

void SizesAndKinds(benchmark::internal::Benchmark* benchmark) {
  for (const std::int64_t rows : {20'000, 2'000'000}) {
    benchmark->Args({rows, kMissing});
  }
  for (const std::int64_t rows : kSizes) {
    benchmark->Args({rows, kPlain});
  }
}

BENCHMARK(Memcpy)->Apply(Sizes)->Unit(benchmark::kMicrosecond);
BENCHMARK(ReadRows)->Apply(SizesAndKinds)->Unit(benchmark::kMicrosecond);
BENCHMARK(Choose)->Apply(SizesAndHows)->Unit(benchmark::kMicrosecond);
BENCHMARK(SampleRows)->Apply(SizesAndTwoHows)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace stream_store

BENCHMARK_MAIN();
